package writeback

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// gate is a Bucket whose first UploadParts wait at a gate, and do not hear that they are cancelled.
type gate struct {
	Bucket
	arrived chan struct{}
	open    chan struct{}
}

func (g *gate) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	select {
	case g.arrived <- struct{}{}:
		<-g.open
	default:
	}
	return g.Bucket.UploadPart(ctx, p)
}

// A file that is renamed while its parts are on their way to the old key is sent to the new one: the two
// who send it do not take each other's wake-up, nor the notes of what is on its way.
func TestRenameWhileParts(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	g := &gate{Bucket: r.bucket, arrived: make(chan struct{}, 4), open: make(chan struct{})}
	r.opt.Bucket = g
	s := r.open()
	content := noise(9<<19, 5)
	opened := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(opened)        // before the Store is closed, which waits for the parts
	r.write(s, "a", content) // one write: the upload is begun by the stream, some parts too
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	turn := func() { // of the loop
		if err := s.loop.ask(func() {}); err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err(), len(g.arrived), s.Status())
		}
	}
	for len(g.arrived) < cap(g.arrived) { // as many as are sent while nobody waits, at least
		turn()
	}
	sync := func(key Key) chan error {
		done := make(chan error, 1)
		go func() { done <- s.SyncTree(ctx, key) }()
		for n := 0; n < 500; turn() { // long enough for it to wait for the parts
			s.mu.RLock()
			if _, sending := s.inflight[key]; sending {
				n++
			}
			s.mu.RUnlock()
		}
		return done
	}
	first := sync("a")
	if err := s.Rename(ctx, "a", "b", RenameSource{}, Seen{}); err != nil {
		t.Fatal(err)
	}
	second := sync("b")
	opened()
	for _, end := range []chan error{first, second} {
		if err := <-end; err != nil {
			t.Errorf("sync: %v; %+v", err, s.Status())
		}
	}
	r.flush(s)
	r.want("b", content)
	if _, ok := r.body("a"); ok {
		t.Error("a is still there")
	}
	if n := len(r.server.Uploads(ossservertest.Bucket)); n > 0 {
		t.Errorf("%d uploads left over", n)
	}
}

// What replaces a file while one who is to send it waits for his turn is sent itself, and not bytes of the file.
func TestLinkThatReplacedAFile(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", noise(5000, 1))
	f := s.use("a")
	if err := f.turn.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Sync(ctx, "a") }()
	for waits := false; !waits && ctx.Err() == nil; runtime.Gosched() {
		s.mu.RLock()
		waits = f.uses == 2
		s.mu.RUnlock()
	}
	if err := s.Remove("a", Seen{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("a", attr.Attr{}, "target", ossclient.Version{}); err != nil {
		t.Fatal(err)
	}
	f.turn.give()
	f.unuse()
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.flush(s)
	r.want("a", "target")
}
