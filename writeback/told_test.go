package writeback

import (
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// What a process that was killed had been told of confirmed states may be lost with it: the next one knows which keys
// these are. After a Close there are none.
func TestTold(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	s := r.open()
	r.write(s, "new", "content")
	mode := fileAttr()
	mode.SetMode(attr.TypeFile | 0o600)
	if err := s.SetAttr("changed", Seen{Version: r.put("changed", "content")}, Rest{}, mode); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("removed", Seen{Version: r.put("removed", "content")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(t.Context(), "moved", "target", RenameSource{Version: r.put("moved", "content"), Attr: mode}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.write(s, "pending", "content")
	r.opt.Disk = mem.Killed()
	next := r.open()
	got := slices.Sorted(slices.Values(next.Told()))
	if want := []Key{"changed", "new", "target"}; !slices.Equal(got, want) {
		t.Errorf("after a kill: got %q, want %q", got, want)
	}
	if err := next.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.open().Told(); len(got) != 0 {
		t.Errorf("after a Close: got %q, want none", got)
	}
}

// The journal does not forget what was confirmed before its user has written that down.
func TestForget(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	forgotten := 0
	r.opt.Disk, r.opt.Delay, r.opt.Forget = mem, time.Hour, func() { forgotten++ }
	s := r.open()
	r.write(s, "a", "content")
	r.flush(s)
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	if forgotten != 1 {
		t.Errorf("asked %d times, want once", forgotten)
	}
	r.opt.Disk = mem.Killed()
	if got := r.open().Told(); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
}
