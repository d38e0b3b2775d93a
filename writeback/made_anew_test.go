package writeback

import (
	"context"
	"testing"
	"time"
)

// What was made anew when the delete of its key was about to be sent is not deleted.
func TestMadeAnewBeforeItsDelete(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	v := r.put("a", "before")
	if err := s.Remove("a", v); err != nil {
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
	if err := s.Remove("a", r.put("a", "before")); err != nil {
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
