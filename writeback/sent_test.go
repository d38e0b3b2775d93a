package writeback

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// halfway is a Bucket whose first requests with a body stop when half of it was read.
type halfway struct {
	Bucket
	times   chan struct{} // a token for each request that is to stop
	stopped chan struct{}
	goOn    chan struct{}
}

func newHalfway(r *rig, times int) *halfway {
	h := &halfway{Bucket: r.bucket, times: make(chan struct{}, times), stopped: make(chan struct{}), goOn: make(chan struct{})}
	for range times {
		h.times <- struct{}{}
	}
	r.opt.Bucket = h
	return h
}

type halfBody struct {
	io.ReaderAt
	h   *halfway
	off int64 // at which it stops
}

func (b *halfBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= b.off {
		return b.ReaderAt.ReadAt(p, off)
	}
	n := 0
	if off < b.off {
		var err error
		if n, err = b.ReaderAt.ReadAt(p[:b.off-off], off); err != nil {
			return n, err
		}
	}
	select {
	case <-b.h.times:
		b.h.stopped <- struct{}{}
		<-b.h.goOn
	default:
	}
	m, err := b.ReaderAt.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

func (h *halfway) Put(ctx context.Context, p ossclient.PutRequest) (ossclient.PutResult, error) {
	p.Body = &halfBody{p.Body, h, p.Size / 2}
	return h.Bucket.Put(ctx, p)
}

func (h *halfway) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	p.Body = &halfBody{p.Body, h, p.Size / 2}
	return h.Bucket.UploadPart(ctx, p)
}

// A file that is written to while it is being sent is never stored as a mixture, and what another client has stored
// meanwhile is seen: in one request, and of an edit in parts.
// SEMANTICS 5.2
func TestNothingMixedIsStored(t *testing.T) {
	for name, size := range map[string]int{"one request": 600 << 10, "parts": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay = time.Hour
			h := newHalfway(r, 1)
			s := r.open()
			before := noise(size, 1)
			base := r.put("a", before)
			f := must(s.Edit("a", Seen{Version: base}, fileAttr(), nil))(t)
			write := func(text string) {
				t.Helper()
				if _, err := f.WriteAt(t.Context(), []byte(text), 10); err != nil {
					t.Fatal(err)
				}
			}
			write("first")
			sent := make(chan error, 1)
			go func() { sent <- s.Sync(t.Context(), "a") }()
			<-h.stopped
			write("second")
			r.put("a", "another client's")
			close(h.goOn)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			r.close(f)
			r.flush(s)
			r.want("a", "another client's")
			if n := s.Status().Conflicts; n != 1 {
				t.Errorf("conflicts: got %d, want 1", n)
			}
		})
	}
}

// When the same file is sent and written to again and again, it is sent: writers wait for it at last. Others do
// not.
func TestSendingIsNotStarved(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	h := newHalfway(r, lateMost+1)
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	content := []byte(noise(600<<10, 1))
	write := func(ctx context.Context) error {
		_, err := f.WriteAt(ctx, content, 0)
		return err
	}
	if err := write(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- s.Sync(t.Context(), "a") }()
	for i := range lateMost {
		<-h.stopped
		content[0] = byte(i)
		if err := write(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.goOn <- struct{}{}
	}
	<-h.stopped
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() { waiting <- write(ctx) }()
	r.write(s, "b", "another file")
	if _, err := f.WriteAt(t.Context(), []byte("appended"), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a write to what is being sent for the last time: got %v, want it to wait", err)
	}
	close(h.goOn)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got, ok := r.body("a"); !ok || got[:len(content)] != string(content) {
		t.Error("the bucket does not have what was synced")
	}
	if err := write(t.Context()); err != nil {
		t.Errorf("a write after it was sent: %v", err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", string(content)+"appended")
}
