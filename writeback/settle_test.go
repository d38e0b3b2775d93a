package writeback

import (
	"errors"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// A file that is about to lose its name has afterwards nothing that is in an upload alone: it can be read to the end. One that
// has lost it already cannot be completed.
// SEMANTICS 6.4
func TestSettle(t *testing.T) {
	for _, removed := range []bool{false, true} {
		r := newRig(t)
		s := young(r)
		content := noise(3<<20, 3)
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		r.landed(f)
		if !s.holed(f.stage) {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		if removed {
			if err := s.Remove("a", Seen{}); err != nil {
				t.Fatal(err)
			}
		}
		err := f.Settle(t.Context())
		if removed {
			if !errors.Is(err, syscall.ESTALE) {
				t.Errorf("removed: got %v, want ESTALE", err)
			}
			f.Release()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r.want("a", content)
		defer s.Hold("a")()
		if err := s.Remove("a", Seen{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Settle(t.Context()); err != nil {
			t.Errorf("again, without its name: %v", err)
		}
		got := make([]byte, len(content))
		if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
			t.Errorf("read without its name: %v, as it was: %v", err, string(got) == content)
		}
		f.Release()
	}
}

// A file that is renamed while it is sent is not taken for a change of what was so stored at its old key.
func TestConfirmedAfterARename(t *testing.T) {
	r := newRig(t)
	s, b := hooked(r)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	b.set(func(Key) error {
		b.set(nil)
		return s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})
	})
	if out := s.send(t.Context(), "a", true); out.err != nil {
		t.Fatal(out.err)
	}
	r.want("a", "content")
	if f.base != nil || f.confirmed != nil {
		t.Errorf("based on %v, the bucket has %v; want nothing", f.base, f.confirmed)
	}
	r.close(f)
	r.flush(s)
	r.want("b", "content")
	if _, there := r.body("a"); there {
		t.Error("the old name is still there")
	}
}
