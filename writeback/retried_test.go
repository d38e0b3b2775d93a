package writeback

import (
	"context"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// fails has the first PutObject fail in a way that passes.
func fails(b *putHook) {
	b.set(func(Key) error {
		b.set(nil)
		return errUnfinished
	})
}

// hasFailed waits until a state of a key could not be sent.
func (r *rig) hasFailed(s *Store, key Key) {
	r.t.Helper()
	r.until("it has failed", func() (failed bool) {
		if err := s.loop.ask(func() { failed = s.loop.troubles[key] != nil }); err != nil {
			r.t.Fatal(err)
		}
		return failed
	})
}

// What could not be sent at once is tried again for whoever waits for it, though others have the object open that it replaces, or it was written
// to since.
// SEMANTICS 1.3, 1.8
func TestWhoWaitsIsNotForgottenAfterAFailure(t *testing.T) {
	for name, then := range map[string]func(r *rig, s *Store, f *File){
		"held": func(r *rig, s *Store, f *File) { r.t.Cleanup(s.Hold("a")) },
		"written to": func(r *rig, s *Store, f *File) {
			r.hasFailed(s, "a")
			if _, err := f.WriteAt(r.t.Context(), []byte("more"), f.Size()); err != nil {
				r.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s, b := hooked(r)
			f := must(s.Create("a", fileAttr(), r.put("a", "old")))(t)
			defer f.Release()
			r.grow(f, "new", 0)
			fails(b)
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- f.Sync(ctx) }()
			then(r, s, f)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got, _ := r.body("a"); got[:3] != "new" {
				t.Errorf("the bucket has %q", got)
			}
		})
	}
}

// Writers that wait for space are not kept waiting by what could not be sent once, and replaces an object that others have open since.
// SEMANTICS 1.9
func TestFullStageSendsWhatIsHeld(t *testing.T) {
	r := newRig(t)
	r.opt.StageBudget, r.opt.partFirst, r.opt.Disk = 1<<20, 128<<10, disktest.New()
	s, b := hooked(r)
	content := noise(900<<10, 1)
	f := must(s.Create("a", fileAttr(), r.put("a", "old")))(t)
	r.grow(f, content[:200<<10], 0)
	fails(b)
	r.close(f)
	if err := s.loop.ask(func() { s.loop.enqueue(s.get("a"), false) }); err != nil {
		t.Fatal(err)
	}
	r.hasFailed(s, "a")
	defer s.Hold("a")()
	r.until("it waits", func() bool { return r.isHeld(s, "a") })
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	other := must(s.Create("b", fileAttr(), ossclient.Version{}))(t)
	if _, err := other.WriteAt(ctx, []byte(content), 0); err != nil {
		t.Fatal(err)
	}
	r.close(other)
}
