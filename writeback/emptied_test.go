package writeback

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// A closed file of which parts are in its upload alone is truncated to nothing, and the process is killed, or the power fails, at any
// change of the disk, or when the upload was given up: it is what it was, or empty, or, after a loss of power, not stored. It is
// never a file of zeros, and never one whose bytes are looked for in an upload that is no more.
// SEMANTICS 1.1, 1.2
func TestEmptiedWithPartsGivenUp(t *testing.T) {
	content := noise(3<<20, 1)
	for name, crash := range map[string]func(mem *disktest.Mem, seed uint64) *disktest.Mem{
		"killed": func(mem *disktest.Mem, _ uint64) *disktest.Mem { return mem.Killed() },
		"power": func(mem *disktest.Mem, seed uint64) *disktest.Mem {
			return mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(map[string]int)
			for k, stopped := 0, true; stopped; k++ {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.SinglePut, r.opt.partFirst, r.opt.Young = mem, time.Hour, youngPart, youngPart, time.Hour
				s := must(Open(t.Context(), r.opt))(t)
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, content, 0)
				r.landed(f)
				if err := f.Commit(); err != nil {
					t.Fatal(err)
				}
				if err := s.sync.flush(); err != nil || !s.holed(f.stage) {
					t.Fatalf("%v; or nothing was given up, and this test tests nothing", err)
				}
				mem.StopAt(k, func() {})
				err := f.Truncate(t.Context(), 0)
				if stopped = mem.Stopped(); !stopped {
					if mem.StopAt(1<<30, nil); err != nil {
						t.Fatal(err)
					}
					r.until("the upload is given up", func() bool { return len(r.server.Uploads(ossservertest.Bucket)) == 0 })
				}
				seeds := uint64(8)
				if !stopped {
					seeds = 80
				}
				for seed := range seeds {
					seen[r.afterCrash(crash(mem, seed), content)]++
				}
				f.Release()
				_ = s.Close(t.Context()) // its disk may have stopped
			}
			t.Log(seen)
			if want := map[string]string{"killed": "empty", "power": "gone"}[name]; seen["whole"] == 0 || seen[want] == 0 {
				t.Errorf("seen: %v", seen)
			}
		})
	}
}

// afterCrash says what became of a file that was whole before it was emptied. The bucket takes nothing of it, and is as before
// afterwards: what is pending is sent as soon as the Store is open.
func (r *rig) afterCrash(left *disktest.Mem, content string) (what string) {
	r.t.Helper()
	o := r.opt
	o.Disk, o.Delay, o.Bucket = left, time.Hour, &unfinished{r.bucket, true}
	s := must(Open(r.t.Context(), o))(r.t)
	defer func() {
		if err := s.Close(r.t.Context()); err != nil {
			r.t.Error(err)
		}
	}()
	st, ok := s.Lookup("a")
	switch {
	case !ok:
		return "gone"
	case st.Size == 0:
		if s.holed(s.get("a").stage) {
			r.t.Error("an empty file has bytes in an upload")
		}
		return "empty"
	}
	f, _ := s.OpenContent("a")
	defer f.Release()
	for _, at := range staged(f) {
		got := make([]byte, at.Len())
		if _, err := f.ReadAt(r.t.Context(), got, at.Off); err != nil || string(got) != content[at.Off:at.End] {
			r.t.Errorf("what counts as staged of %v is something else (%v)", at, err)
		}
	}
	if !f.Local() && len(r.server.Uploads(ossservertest.Bucket)) == 0 {
		r.t.Error("what is not staged is in an upload that was given up")
	}
	return "whole"
}

// An edit that is truncated to nothing, and whose upload was begun by a process that died, is what it was, or empty, when the process
// is killed at any change of the disk: the bytes that it changed are never zeros.
func TestEmptiedEdit(t *testing.T) {
	before := noise(3<<20, 1)
	want := before[:1<<20] + "CHANGED" + before[1<<20+7:]
	seen := make(map[string]int)
	for k, stopped := 0, true; stopped; k++ {
		r := newRig(t)
		mem := disktest.New()
		b := &unfinished{Bucket: r.bucket}
		r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, b
		s := must(Open(t.Context(), r.opt))(t)
		f := r.changed(s, "a", before, want)
		if _, err := s.createUpload(t.Context(), s.get("a")); err != nil { // as a process leaves it that died then
			t.Fatal(err)
		}
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		mem.StopAt(k, func() {})
		err := f.Truncate(t.Context(), 0)
		if stopped = mem.Stopped(); !stopped && err != nil {
			t.Fatal(err)
		}
		o := r.opt
		o.Disk, o.Bucket = mem.Killed(), &unfinished{r.bucket, true} // it stays to be looked at
		next := must(Open(t.Context(), o))(t)
		g, ok := next.OpenContent("a")
		if !ok {
			t.Fatalf("%d: it is gone", k)
		}
		got := make([]byte, g.Size())
		if n, err := g.ReadAt(t.Context(), got, 0); err != nil || n > 0 && string(got) != want {
			t.Errorf("%d: %d bytes that it never had (%v)", k, n, err)
		}
		seen[map[bool]string{true: "empty", false: "whole"}[len(got) == 0]]++
		g.Release()
		f.Release()
		_ = next.Close(t.Context())
		_ = s.Close(t.Context()) // its disk has stopped
	}
	if seen["empty"] == 0 || seen["whole"] == 0 {
		t.Errorf("seen: %v", seen)
	}
}
