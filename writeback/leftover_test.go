package writeback

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// slowUploads is a Bucket whose answers to InitiateMultipartUpload wait, and that can refuse to abort.
type slowUploads struct {
	Bucket
	made    chan struct{}
	answer  chan struct{}
	refuse  bool
	aborted chan error
}

func newSlowUploads(r *rig) *slowUploads {
	u := &slowUploads{Bucket: r.bucket, made: make(chan struct{}, 8), answer: make(chan struct{}), aborted: make(chan error, 8)}
	r.opt.Bucket = u
	return u
}

func (u *slowUploads) CreateUpload(ctx context.Context, q ossclient.UploadRequest) (ossclient.UploadID, error) {
	id, err := u.Bucket.CreateUpload(context.WithoutCancel(ctx), q)
	u.made <- struct{}{}
	<-u.answer
	return id, err
}

func (u *slowUploads) AbortUpload(ctx context.Context, key Key, id ossclient.UploadID) error {
	if u.refuse {
		return errors.New("refused")
	}
	err := u.Bucket.AbortUpload(ctx, key, id)
	u.aborted <- err
	return err
}

func (r *rig) noUploads() {
	r.t.Helper()
	if n := len(r.server.Uploads(ossservertest.Bucket)); n > 0 {
		r.t.Errorf("%d uploads left over", n)
	}
}

// An upload whose file was removed before it had an id is given up as soon as it has one.
func TestUploadOfRemovedFile(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	u := newSlowUploads(r)
	s := r.open()
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte(noise(3<<20, 1)), 0); err != nil {
		t.Fatal(err)
	}
	<-u.made
	if err := s.Remove("big", Seen{}); err != nil {
		t.Fatal(err)
	}
	close(u.answer) // the removed file is still open: nothing else looks after its upload
	select {
	case err := <-u.aborted:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(enough):
		t.Error("not aborted")
	}
	r.noUploads()
	f.Release()
}

// Uploads of what is not wanted any more are given up by Close; those it could not give up, by Open.
func TestForgottenUploads(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay = time.Hour
		u := newSlowUploads(r)
		u.refuse = refuse
		close(u.answer)
		s := r.open()
		var files []*File
		for _, key := range []Key{"removed", "emptied"} {
			f := must(s.Create(key, fileAttr(), ossclient.Version{}))(t)
			files = append(files, f)
			if _, err := f.WriteAt(t.Context(), []byte(noise(3<<20, 1)), 0); err != nil {
				t.Fatal(err)
			}
			for len(s.overlapping(f.stage, 0, 1<<40)) == 0 {
				if t.Context().Err() != nil {
					return
				}
			}
		}
		if err := s.Remove("removed", Seen{}); err != nil {
			t.Fatal(err)
		}
		if err := files[1].Truncate(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if refuse {
			if n := len(r.server.Uploads(ossservertest.Bucket)); n != 2 {
				t.Errorf("%d uploads after the aborts were refused, want 2", n)
			}
			r.opt.Bucket = r.bucket
			if err := r.open().Close(t.Context()); err != nil { // waits for what Open began
				t.Fatal(err)
			}
		}
		r.noUploads()
	}
}

// faulty is a Bucket that fails to abort as often as it is told to, and to send parts but for so many.
type faulty struct {
	Bucket
	aborts atomic.Int32 // still to fail
	parts  atomic.Int32 // still to be sent
}

var errDown = errors.New("the network is down")

func (f *faulty) AbortUpload(ctx context.Context, key Key, id ossclient.UploadID) error {
	if f.aborts.Add(-1) >= 0 {
		return errDown
	}
	return f.Bucket.AbortUpload(ctx, key, id)
}

func (f *faulty) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	if f.parts.Add(-1) < 0 {
		return ossclient.Part{}, errDown
	}
	return f.Bucket.UploadPart(ctx, p)
}

// A file of which little was sent is renamed. Its upload is given up while the mount lives, though that fails at first, and
// another was begun for the same file.
func TestUploadOfRenamedFile(t *testing.T) {
	r := newRig(t)
	b := &faulty{Bucket: r.bucket}
	b.aborts.Store(1)
	b.parts.Store(1)
	r.opt.Bucket, r.opt.Delay, r.opt.Young = b, time.Hour, 1 // what was sent stays in the stage
	s := r.open()
	content := noise(3<<20, 1)
	r.write(s, "a", content)
	r.until("parts could not be sent", func() bool { return b.parts.Load() < 0 })
	if err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
		t.Fatal(err)
	}
	b.parts.Store(1 << 20)
	r.flush(s)
	r.want("b", content)
	r.until("the first upload is given up", func() bool { return len(r.server.Uploads(ossservertest.Bucket)) == 0 })
	if n := b.aborts.Load(); n >= 0 {
		t.Errorf("nothing was given up a second time: %d aborts are still to fail", n)
	}
}
