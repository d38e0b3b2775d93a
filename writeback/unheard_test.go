package writeback

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// deaf is a Bucket whose looks at objects fail, as long as it is.
type deaf struct {
	*ossclient.Bucket
	still atomic.Bool
	asked chan struct{}
}

func (b *deaf) Head(ctx context.Context, key Key) (ossclient.Object, error) {
	if b.still.Load() {
		b.asked <- struct{}{}
		return ossclient.Object{}, ossclient.ErrUnavailable
	}
	return b.Bucket.Head(ctx, key)
}

// A process is killed while the bucket is storing an edit. Until the next one has looked at what the bucket has, the object that was edited
// seems to be gone: whoever reads the file has it looked at, and is not told so.
// SEMANTICS 2.3
func TestReadWhatWasStoredUnheard(t *testing.T) {
	content := noise(3<<20, 1)
	r := newRig(t)
	mem := disktest.New()
	d := &answerless{Bucket: r.bucket}
	r.opt.Disk, r.opt.Bucket, r.opt.Delay = mem, d, time.Hour
	var killed *disktest.Mem
	died := make(chan struct{})
	d.meanwhile = func() {
		killed = mem.Killed()
		close(died)
	}
	s := r.open()
	f := must(s.Edit("a", r.put("a", content), fileAttr(), nil))(t)
	r.grow(f, content+"added", len(content))
	r.closed(f)
	go func() { _ = s.Sync(t.Context(), "a") }() // it ends with the Store
	<-died
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Release()
	b := &deaf{Bucket: r.bucket, asked: make(chan struct{}, 16)}
	b.still.Store(true)
	r.opt.Disk, r.opt.Bucket = killed, b
	next := r.open()
	<-b.asked // what the bucket has was not heard; it is tried again later
	r.until("it is not being sent", func() bool {
		next.mu.RLock()
		defer next.mu.RUnlock()
		return len(next.inflight) == 0
	})
	b.still.Store(false)
	g, pending := next.OpenContent("a")
	if !pending {
		t.Fatal("it is not pending, and this test tests nothing")
	}
	defer g.Release()
	got := make([]byte, len(content))
	if _, err := g.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
		t.Errorf("other bytes than were written (%v)", err)
	}
	r.flush(next)
	r.want("a", content+"added")
}
