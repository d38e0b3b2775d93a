package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// An edit that is truncated and killed, at any change of the disk, shows what it was before or what is left of it: never
// the object below where it was cut, nor zeros where bytes were committed.
func TestKilledWhileTruncated(t *testing.T) {
	before := []byte(noise(5000, 1))
	copy(before[4000:], "EDIT")
	for k := range 4 {
		r := newRig(t)
		mem := disktest.New()
		r.opt.Disk, r.opt.Delay = mem, time.Hour
		s := must(Open(t.Context(), r.opt))(t)
		f := must(s.Edit("a", Seen{Version: r.put("a", noise(5000, 1))}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("EDIT"), 4000); err != nil {
			t.Fatal(err)
		}
		r.closed(f)
		mem.StopAt(k, nil)
		err := f.Truncate(t.Context(), 0)
		r.opt.Disk = mem.Killed()
		_ = s.Close(t.Context()) // its disk has stopped
		next := r.open()
		r.flush(next)
		got, _ := r.body("a")
		if got != string(before) && got != "" {
			t.Errorf("stopped at change %d (%v): %d bytes, want all or none", k, err, len(got))
		}
	}
}
