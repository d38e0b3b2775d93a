package writeback

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
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
	f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
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

// beforeComplete is a Bucket in which something happens before an upload is completed, and whose next look at an object may fail.
type beforeComplete struct {
	*ossclient.Bucket
	before func(c ossclient.CompleteRequest)
	fail   atomic.Bool
}

func (b *beforeComplete) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error) {
	b.before(c)
	return b.Bucket.CompleteUpload(ctx, c)
}

func (b *beforeComplete) Head(ctx context.Context, key Key) (ossclient.Object, error) {
	if b.fail.Swap(false) {
		return ossclient.Object{}, ossclient.ErrUnavailable
	}
	return b.Bucket.Head(ctx, key)
}

// The bucket has what an upload is about to be completed as, from another one that was completed unheard: this one is given up.
func TestUploadOfWhatTheBucketHas(t *testing.T) {
	content := noise(1<<20, 1)
	r := newRig(t)
	b := &beforeComplete{Bucket: r.bucket}
	b.before = func(ossclient.CompleteRequest) { r.put("a", content) }
	r.opt.Bucket = b
	s := young(r)
	r.write(s, "a", content)
	r.flush(s)
	r.want("a", content)
	r.until("the upload is given up", func() bool { return len(r.server.Uploads(ossservertest.Bucket)) == 0 })
}

// An upload that was completed unheard, and of which it cannot be seen for a moment what it has become, is not sent again.
func TestCompletedAndNotSeen(t *testing.T) {
	content := noise(1<<20, 1)
	r := newRig(t)
	b := &beforeComplete{Bucket: r.bucket}
	first := sync.OnceFunc(func() { b.fail.Store(true) })
	b.before = func(c ossclient.CompleteRequest) {
		_, _ = b.Bucket.CompleteUpload(t.Context(), c) // whose answer is lost; it is gone when it is tried again
		first()
	}
	r.opt.Bucket = b
	s := young(r)
	r.write(s, "a", content)
	r.flush(s)
	r.want("a", content)
	if n := r.server.Counts()["InitiateMultipartUpload"]; n != 1 {
		t.Errorf("%d uploads were begun, want one", n)
	}
	r.noUploads()
}
