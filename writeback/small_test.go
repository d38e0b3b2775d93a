package writeback

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// killed opens what a kill leaves of the disk.
func (r *rig) killed(mem *disktest.Mem) (*disktest.Mem, *Store) {
	r.t.Helper()
	left := mem.Killed()
	r.opt.Disk = left
	return left, r.open()
}

// onMem is a rig whose contents up to 1,000 bytes are small, on a disk that can be killed, and does not send by itself.
func onMem(t *testing.T) (*rig, *disktest.Mem, *Store) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, 1000
	return r, mem, r.open()
}

// journaled is how long the journal is.
func journaled(t *testing.T, mem *disktest.Mem) (n int64) {
	t.Helper()
	names, err := mem.List("journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f := must(mem.Open("journal/" + name))(t)
		n += must(f.Size())(t)
	}
	return n
}

// Small content has no staged file, survives a kill, is sent under its last name, and is then forgotten.
// SEMANTICS 1.1
func TestSmall(t *testing.T) {
	r, mem, s := onMem(t)
	r.write(s, "a", "content of a")
	r.write(s, "empty", "")
	if err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
		t.Fatal(err)
	}
	if files := r.stages(); len(files) != 0 {
		t.Errorf("staged files: %v", files)
	}
	_, next := r.killed(mem)
	r.flush(next)
	r.want("b", "content of a")
	r.want("empty", "")
	if n := len(next.v.small); n != 0 || next.v.smallBytes != 0 {
		t.Errorf("%d contents of %d bytes are remembered", n, next.v.smallBytes)
	}
	if used := next.Status().StageUsed; used != 0 {
		t.Errorf("%d bytes staged", used)
	}
}

// Other attributes and another name do not have the bytes journaled again.
func TestSmallIsJournaledOnce(t *testing.T) {
	r, mem, s := onMem(t)
	content := noise(900, 1)
	r.write(s, "a", content)
	before := journaled(t, mem)
	for i := range 10 {
		if err := s.SetAttr(Key(fmt.Sprintf("a%.*s", i, "xxxxxxxxxx")), Seen{}, Rest{}, fileAttr()); err != nil {
			t.Fatal(err)
		}
		if err := s.Rename(t.Context(), Key(fmt.Sprintf("a%.*s", i, "xxxxxxxxxx")), Key(fmt.Sprintf("a%.*s", i+1, "xxxxxxxxxx")), RenameSource{}, Seen{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := journaled(t, mem) - before; n > 20*250 {
		t.Errorf("%d bytes were journaled", n)
	}
	_, next := r.killed(mem)
	r.flush(next)
	r.want("axxxxxxxxxx", content)
}

// Content that outgrows small has a staged file from then on: committed or not, a kill leaves what was written, and
// so does the next one, after changes that were journaled in between.
func TestSmallOutgrown(t *testing.T) {
	content := noise(3000, 2)
	for _, commit := range []bool{false, true} {
		t.Run(fmt.Sprintf("committed=%v", commit), func(t *testing.T) {
			r, mem, s := onMem(t)
			r.write(s, "a", content[:800])
			f, ok := s.OpenContent("a")
			if !ok {
				t.Fatal("a is not pending")
			}
			defer f.Release()
			if _, err := f.WriteAt(t.Context(), []byte(content[800:]), 800); err != nil {
				t.Fatal(err)
			}
			if commit {
				r.closed(f)
			}
			if n := len(r.stages()); n != 1 {
				t.Errorf("%d staged files, want 1", n)
			}
			mem, next := r.killed(mem)
			if err := next.SetAttr("a", Seen{}, Rest{}, fileAttr()); err != nil {
				t.Fatal(err)
			}
			_, last := r.killed(mem)
			r.flush(last)
			r.want("a", content)
		})
	}
}

// Small content that the bucket has, written to by who still has it open, is whole after a kill.
func TestSmallWrittenAfterItWasSent(t *testing.T) {
	r, mem, s := onMem(t)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	defer f.Release()
	write := func(p string, off int64) {
		if _, err := f.WriteAt(t.Context(), []byte(p), off); err != nil {
			t.Fatal(err)
		}
	}
	write("first content", 0)
	r.closed(f)
	r.flush(s)
	r.want("a", "first content")
	write("F", 0)
	_, next := r.killed(mem)
	r.flush(next)
	r.want("a", "first content") // what was closed
	r.closed(f)
	_, after := r.killed(mem)
	r.flush(after)
	r.want("a", "First content")
}

// A snapshot of the journal has small content, and what was cut off of it does not come back.
func TestSmallInASnapshot(t *testing.T) {
	r, mem, s := onMem(t)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte("abcdef"), 0); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{2, 8} {
		if err := f.Truncate(t.Context(), size); err != nil {
			t.Fatal(err)
		}
	}
	r.close(f)
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	_, next := r.killed(mem)
	r.flush(next)
	r.want("a", "ab\x00\x00\x00\x00\x00\x00")
}

// When much small content waits, new content is staged.
func TestSmallBudget(t *testing.T) {
	r, _, s := onMem(t)
	s.change.Lock()
	s.mu.Lock()
	s.v.smallBytes = smallBudget
	s.mu.Unlock()
	s.change.Unlock()
	r.write(s, "a", "content of a")
	if n := len(r.stages()); n != 1 {
		t.Errorf("%d staged files, want 1", n)
	}
	r.flush(s)
	r.want("a", "content of a")
}

// A power cut while small content is rewritten leaves what was closed before.
// SEMANTICS 1.2
func TestSmallRewrittenInAPowerCut(t *testing.T) {
	for seed := range uint64(6) {
		r, mem, s := onMem(t)
		r.write(s, "a", "what was closed")
		f, ok := s.OpenContent("a")
		if !ok {
			t.Fatal("a is not pending")
		}
		if _, err := f.WriteAt(t.Context(), []byte(noise(500, seed)), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 3)))
		next := r.open()
		r.flush(next)
		r.want("a", "what was closed")
		f.Release()
	}
}

// The record that gave small content another name is lost in a power cut, and the one after it, which took that name away,
// is not: the content is still there, under the name it had.
// SEMANTICS 1.2
func TestSmallWhenARecordIsPassedOver(t *testing.T) {
	_, _, s := onMem(t)
	a := fileAttr()
	e := &entry{key: "a", kind: Content, seq: 1, since: 1, stage: 7, size: 3, attr: packAttr(&a)}
	s.fallBack([][]op{
		{{code: opBytes, stage: 7, bytes: "abc"}, {code: opSet, entry: e}},
		{{code: opDel, key: "b"}, {code: opNoBytes, stage: 7}},
	})
	if got, ok := s.small(7); !ok || got != "abc" {
		t.Errorf("got %q, %v", got, ok)
	}
}

// A small file was closed, and is added to until parts of it are sent, and given up in the stage. Then the power fails, and it is as it was closed:
// its bytes are in the journal, not in the parts.
// SEMANTICS 1.2
func TestSmallFileThatWasPassingInAPowerCut(t *testing.T) {
	small, content := noise(500, 1), noise(3<<20, 2)
	for seed := range uint64(10) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk, r.opt.smallMost = mem, 1000
		s := young(r)
		r.write(s, "a", small)
		f, _ := s.OpenContent("a")
		r.grow(f, small+content, len(small))
		r.landed(f)
		if err := f.relieve(); err != nil { // as in a full stage
			t.Fatal(err)
		}
		if !s.holed(f.stage) || staged(f)[0].Off == 0 {
			t.Fatalf("staged is %v, and this test tests nothing", staged(f))
		}
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		next := r.open()
		f.Release()
		r.flush(next)
		r.want("a", small)
	}
}
