package writeback

import (
	"context"
	"runtime"
	"testing"
	"time"

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
	g := &gate{Bucket: r.bucket, arrived: make(chan struct{}, min(4, runtime.GOMAXPROCS(0))), open: make(chan struct{})}
	r.opt.Bucket = g
	s := r.open()
	content := noise(9<<19, 5)
	r.write(s, "a", content) // one write: the upload is begun by the stream, some parts too
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	first := make(chan error, 1)
	go func() { first <- s.SyncTree(ctx, "a") }()
	for len(g.arrived) < cap(g.arrived) { // as many as are sent while nobody waits, at least
		if ctx.Err() != nil {
			t.Fatalf("%d parts are on their way, want %d", len(g.arrived), cap(g.arrived))
		}
		if err := s.loop.ask(func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Rename(ctx, "a", "b", RenameSource{}, ossclient.Version{}); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() { second <- s.SyncTree(ctx, "b") }()
	sending := func() (n int) {
		if err := s.loop.ask(func() {
			if s.loop.active["b"] != nil {
				n = 1
			}
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for n := 0; n < 500; n += sending() { // long enough for it to wait for the parts
		if ctx.Err() != nil {
			t.Fatal("b is not being sent")
		}
	}
	close(g.open)
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
