package writeback

import (
	"testing"
	"time"
)

// isHeld says whether what is pending of a key waits for a Hold.
func (r *rig) isHeld(s *Store, key Key) bool {
	held := false
	if err := s.loop.ask(func() { _, held = s.loop.held[key] }); err != nil {
		r.t.Fatal(err)
	}
	return held
}

// What was opened can be read as long as it is held, by each who holds it: what replaces or removes the object waits, but for
// somebody who syncs it, and is sent then. Renames do not wait for it.
// SEMANTICS 6.4
func TestHold(t *testing.T) {
	r := newRig(t)
	v := r.put("a", "old")
	s := r.open()
	first, second := s.Hold("a"), s.Hold("a")
	f := must(s.Create("a", fileAttr(), v))(t)
	if _, err := f.WriteAt(t.Context(), []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.write(s, "b", "another")
	r.until("it waits", func() bool { return r.isHeld(s, "a") })
	first()
	if !r.isHeld(s, "a") {
		t.Error("it is not held any more, when one of two is done")
	}
	r.want("a", "old")
	r.until("nothing else is to be done", func() bool { _, pending := s.Lookup("b"); return !pending })
	second()
	r.until("it is sent", func() bool { _, pending := s.Lookup("a"); return !pending })
	r.want("a", "new")

	done := s.Hold("a")
	if err := s.SetAttr("a", Seen{Version: r.version("a")}, Rest{}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	r.until("it waits", func() bool { return r.isHeld(s, "a") })
	if err := s.Sync(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(t.Context(), "a", "c", RenameSource{Version: r.version("a"), Attr: fileAttr()}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.want("a", "new")
	r.want("c", "new")
	done()
	r.until("it is removed", func() bool { _, pending := s.Lookup("a"); return !pending })
	if _, there := r.body("a"); there {
		t.Error("the old name is still there")
	}
	if err := s.loop.ask(func() {
		if len(s.loop.holds) > 0 || len(s.loop.held) > 0 {
			t.Errorf("left over: holds %v, held %v", s.loop.holds, s.loop.held)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// What the bucket does not have is sent though its key is held: nobody reads an object there.
func TestHoldOfNothing(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Millisecond
	s := r.open()
	defer s.Hold("a")()
	r.write(s, "a", "new")
	r.until("it is sent", func() bool { _, pending := s.Lookup("a"); return !pending })
	r.want("a", "new")
}
