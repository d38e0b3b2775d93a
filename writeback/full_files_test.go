package writeback

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// A disk that has room for bytes, but for no more files, is a full one: the staged files that wait to be used again make room for those that are
// needed, also for a mount after a kill.
// SEMANTICS 1.9
func TestNoRoomForMoreFiles(t *testing.T) {
	for _, none := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		t.Run(none.Error(), func(t *testing.T) { noRoomForMoreFiles(t, none) })
	}
}

func noRoomForMoreFiles(t *testing.T, none syscall.Errno) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, 1000
	s := r.open()
	mem.FillFiles(4, none)
	content := noise(9000, 1)
	write := func(s *Store, name string) error {
		f := must(s.Create(Key(name), fileAttr(), ossclient.Version{}))(t)
		defer f.Release()
		_, err := f.WriteAt(t.Context(), []byte(content), 0)
		return errors.Join(err, f.Commit())
	}
	for i := range 4 {
		if err := write(s, fmt.Sprintf("first%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(s, "too many"); !errors.Is(err, none) {
		t.Fatalf("one file more than there is room for: %v, want %v", err, none)
	}
	idle := func(s *Store) { // all is sent, and the staged files wait to be used again
		t.Helper()
		r.flush(s)
		for deadline := time.Now().Add(enough); ; {
			if err := s.sync.flush(); err != nil {
				t.Fatal(err)
			}
			s.sync.mu.Lock()
			n := len(s.sync.idle)
			s.sync.mu.Unlock()
			if n == 4 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d staged files wait to be used again, want 4", n)
			}
		}
	}
	idle(s)
	for i := range 4 {
		if err := write(s, fmt.Sprintf("second%d", i)); err != nil {
			t.Errorf("when all was sent: %v", err)
		}
	}
	idle(s)
	r.write(s, "unsent", "a few bytes")
	left := mem.Killed()
	left.FillFiles(0, none)
	r.opt.Disk = left
	next := r.open()
	if err := write(next, "third"); err != nil {
		t.Errorf("after a kill: %v", err)
	}
	r.flush(next)
	for _, name := range []string{"first3", "second3", "third"} {
		if got, ok := r.body(name); !ok || got != content {
			t.Errorf("the bucket has %d bytes of %s, want %d", len(got), name, len(content))
		}
	}
	if got, _ := r.body("unsent"); got != "a few bytes" {
		t.Errorf("the bucket has %q of what was journaled alone", got)
	}
}

// After a loss of power a state without content counts, whether its staged file is there or not: the next process may have removed it, for the room, when
// nothing spoke of it, and the loss have brought back what does.
func TestStateWithoutContentNeedsNoFile(t *testing.T) {
	s := newRig(t).open()
	for size, want := range map[int64]bool{0: true, 1: false} {
		e := &entry{key: "a", kind: Content, stage: 1 << 40, size: size, flags: flagSum}
		if got := s.intact(e, s.openStage); got != want {
			t.Errorf("%d bytes, and no staged file: counts %v, want %v", size, got, want)
		}
	}
}
