package writeback

import (
	"context"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// What was made anew when the delete of its key was about to be sent is not deleted.
func TestMadeAnewBeforeItsDelete(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	v := r.put("a", "before")
	if err := s.Remove("a", Seen{Version: v}); err != nil {
		t.Fatal(err)
	}
	r.write(s, "a", "anew")
	if out := s.sendAbsent(t.Context(), []Key{"a", "b"}); out.err != nil {
		t.Error(out.err)
	}
	if st, ok := s.Lookup("a"); !ok || st.Kind != Content {
		t.Errorf("got %+v, %v, want its content", st, ok)
	}
	r.want("a", "before")
	r.flush(s)
	r.want("a", "anew")
}

// What is made anew while the delete of its key is on its way follows it.
func TestMadeAnewWhileDeleted(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	slow := patientDeletes{Bucket: r.bucket, begun: make(chan struct{}), goOn: make(chan struct{})}
	r.opt.Bucket = slow
	s := r.open()
	if err := s.Remove("a", Seen{Version: r.put("a", "before")}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Sync(t.Context(), "a") }()
	<-slow.begun
	r.write(s, "a", "anew")
	close(slow.goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.flush(s)
	r.want("a", "anew")
	if n := s.Status().Conflicts; n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

// patientDeletes is a Bucket that answers a delete when it may go on.
type patientDeletes struct {
	Bucket
	begun, goOn chan struct{}
}

func (b patientDeletes) DeleteMany(ctx context.Context, keys []Key) error {
	err := b.Bucket.DeleteMany(ctx, keys)
	close(b.begun)
	<-b.goOn
	return err
}

// What is made anew under its old key while a directory is moved is not taken for what was moved.
// SEMANTICS 6.2
func TestMadeAnewWhileItsDirectoryMoves(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	var s *Store
	v := r.put("d/a", "before")
	r.opt.Bucket = &slowCopies{r.bucket, func() error {
		f := must(s.Create("d/a", fileAttr(), v))(t)
		r.grow(f, "anew", 0)
		r.close(f)
		return nil
	}}
	s = r.open()
	if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); err != nil {
		t.Fatal(err)
	}
	r.wantSeen(s, map[string]string{"d/a": "anew", "e/a": "before"})
	r.flush(s)
	r.want("e/a", "before")
	r.want("d/a", "anew")
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 2 {
		t.Errorf("the bucket has %q", keys)
	}
}
