package writeback

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// idle are the numbers of the staged files that wait to be used again.
func idle(s *Store) []uint64 {
	s.sync.mu.Lock()
	defer s.sync.mu.Unlock()
	var list []uint64
	for stage := range s.sync.idle {
		list = append(list, stage)
	}
	return list
}

// stages are the staged files there are.
func (r *rig) stages() []string {
	r.t.Helper()
	var list []string
	dirs, err := r.opt.Disk.List("staged")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, dir := range dirs {
		names, err := r.opt.Disk.List("staged/" + dir)
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, names...)
	}
	return list
}

// settled waits until what was sent is durable, so that its staged files are taken back.
func (r *rig) settled(s *Store) {
	r.t.Helper()
	r.flush(s)
	s.sync.wake()
	if err := s.sync.flush(); err != nil {
		r.t.Fatal(err)
	}
}

// A staged file whose content was sent is emptied and used by the next, and nothing of the old content shows in its holes.
func TestStagedFileIsUsedAgain(t *testing.T) {
	r := newRig(t)
	r.opt.smallMost = -1
	r.opt.Disk = disktest.New()
	s := r.open()
	r.write(s, "a", "a long content of the first file")
	r.settled(s)
	free := idle(s)
	if len(free) != 1 {
		t.Fatalf("idle: got %v, want one", free)
	}
	f, err := s.Create("b", fileAttr(), ossclient.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if f.stage != free[0] || len(idle(s)) != 0 {
		t.Errorf("got staged file %d and idle %v, want %d and none", f.stage, idle(s), free[0])
	}
	if _, err := f.WriteAt(t.Context(), []byte("end"), 10); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.settled(s)
	r.want("a", "a long content of the first file")
	r.want("b", strings.Repeat("\x00", 10)+"end")
	if n := len(r.stages()); n != 1 {
		t.Errorf("staged files: got %d, want 1", n)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := r.stages(); len(left) != 0 {
		t.Errorf("after Close: %v", left)
	}
}

// The last user of a staged file may say that it is free when the file waits already, or has just been
// given to the next: it is given to one, and its content stays.
func TestStagedFileFreedLate(t *testing.T) {
	r := newRig(t)
	r.opt.smallMost = -1
	r.opt.Delay = 1 << 40
	s := r.open()
	r.write(s, "a", "first")
	r.settled(s)
	free := idle(s)
	if len(free) != 1 {
		t.Fatalf("idle: got %v, want one", free)
	}
	s.sync.free(free[0])
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	s.sync.free(free[0])
	r.write(s, "b", "second")
	r.write(s, "c", "third")
	for range 2 {
		s.sync.wake()
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if got := idle(s); len(got) != 0 {
		t.Errorf("idle: got %v, want none", got)
	}
	used := []uint64{s.get("b").stage, s.get("c").stage}
	if !slices.Contains(used, free[0]) || used[0] == used[1] {
		t.Errorf("staged files %v, want %d once", used, free[0])
	}
	r.settled(s)
	r.want("b", "second")
	r.want("c", "third")
}

// A staged file whose content was sent is taken back after its last use, though its key has another state by then.
func TestStagedFileOfAKeyWithOtherAttributes(t *testing.T) {
	r := newRig(t)
	r.opt.smallMost = -1
	r.opt.Delay = time.Hour
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	r.flush(s)
	if err := s.SetAttr("a", Seen{}, Rest{}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	f.Release()
	r.until("no bytes count as staged", s.unused)
	s.sync.wake()
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	if got := idle(s); len(got) != 1 || got[0] != f.stage {
		t.Errorf("idle: got %v, want %d", got, f.stage)
	}
}
