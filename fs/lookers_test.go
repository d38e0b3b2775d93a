package fs

import "testing"

// A program is taken for one that looks at files when it has looked at two of one directory, and for ever then; programs are
// remembered as long as there are not too many.
func TestLookers(t *testing.T) {
	var l lookers
	look := func(pid uint32, dir uint64, want bool) {
		t.Helper()
		if l.looked(pid, dir); l.looks(pid) != want {
			t.Errorf("program %d, directory %d: it looks: %v, want %v", pid, dir, !want, want)
		}
	}
	if l.looks(1) {
		t.Error("who has not looked at anything looks")
	}
	look(1, 10, false)
	look(1, 11, false) // one file of each directory, as who walks by name does
	look(2, 11, false)
	look(1, 11, true)
	look(1, 12, true)
	for pid := uint32(3); pid <= lookersKept; pid++ {
		look(pid, 20, false)
	}
	if !l.looks(1) || len(l.seen) != lookersKept {
		t.Errorf("of %d programs %d are remembered", lookersKept, len(l.seen))
	}
	look(lookersKept+1, 20, false)
	if l.looks(1) || len(l.seen) > lookersKept {
		t.Errorf("%d programs are remembered", len(l.seen))
	}
}
