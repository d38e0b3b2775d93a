package writeback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// A file is closed with an end that is within a part, and goes on, until that part was sent whole and the stage is full. When the power
// fails it is as it was closed: what that state has of the part may be in no other place than the stage, as the upload has it with more.
// SEMANTICS 1.2
func TestPartAcrossTheEndOfWhatWasClosed(t *testing.T) {
	content := noise(2<<20, 4)
	const end = 5*youngPart + 1000
	for name, tt := range map[string]struct {
		then  func(s *Store, f *File) error // before the stage is full
		to    int                           // as long is what was closed last
		stays bool                          // all of it, as long as what was closed last is not durable
	}{
		"written to":            {func(*Store, *File) error { return nil }, end, false},
		"closed again":          {func(_ *Store, f *File) error { return f.Commit() }, len(content), true},
		"closed again, durably": {func(s *Store, f *File) error { return errors.Join(f.Commit(), s.sync.flushLocked()) }, len(content), false},
		"closed again, and written to": {func(_ *Store, f *File) error {
			cerr := f.Commit()
			_, err := f.WriteAt(t.Context(), []byte("more"), int64(len(content)))
			return errors.Join(cerr, err)
		}, len(content), true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				r, mem := newRig(t), disktest.New()
				r.opt.Disk = mem
				s := young(r)
				s.opt.Young = 1
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, content[:end], 0)
				if err := errors.Join(f.Commit(), s.sync.flush()); err != nil {
					t.Fatal(err)
				}
				s.sync.group.Lock() // no group in the background
				r.grow(f, content, end)
				r.landed(f)
				if err := errors.Join(tt.then(s, f), f.relieve()); err != nil {
					t.Fatal(err)
				}
				if s.holed(f.stage) == tt.stays {
					t.Errorf("seed %d: given up: %v", seed, !tt.stays)
				}
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				s.sync.group.Unlock()
				r.flush(r.open())
				got, _ := r.body("a")
				if got != content[:end] && got != content[:tt.to] {
					t.Errorf("seed %d: %d bytes, which it never was when it was closed", seed, len(got))
				}
				f.Release()
			}
		})
	}
}

// A closed file is cut in the middle and written to beyond its old end, the parts of which leave the stage, and the power fails: what is
// found is what was closed, or nothing. The checksum of what was closed tells, not that of the parts, which have what came later.
// SEMANTICS 1.2
func TestOverwrittenAndGivenUpInAPowerCut(t *testing.T) {
	const end, cut = 4 * youngPart, 2*youngPart + 1000
	content := noise(end, 4)
	for seed := range uint64(8) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk = mem
		s := young(r)
		s.opt.Young = 1
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		if err := errors.Join(f.Commit(), s.sync.flush(), f.Truncate(t.Context(), cut)); err != nil {
			t.Fatal(err)
		}
		r.grow(f, content[:cut]+noise(2<<20, 5), cut)
		r.landed(f)
		f.mu.Lock()
		for _, p := range s.overlapping(f.stage, 3*youngPart, end) {
			if err := f.punchPartLocked(p); err != nil {
				t.Error(err)
			}
		}
		f.mu.Unlock()
		if !s.holed(f.stage) {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		if err := errors.Join(s.journal.Ahead(), mem.SyncAll()); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		r.flush(r.open())
		if got, there := r.body("a"); there && got != content {
			t.Errorf("seed %d: %d bytes, which it never was when it was closed", seed, len(got))
		}
		f.Release()
	}
}

// Another client makes an object of the name of a file of which parts are in its upload alone. They can be stored under that name and
// no other: it is theirs that is kept beside it, and both are whole.
// SEMANTICS 5.2
func TestConflictWithPartsGivenUp(t *testing.T) {
	const theirs = "another client's"
	content := noise(3<<20, 4)
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open %v", open), func(t *testing.T) {
			r := newRig(t)
			s := young(r)
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			r.grow(f, content, 0)
			r.landed(f)
			if !s.holed(f.stage) {
				t.Fatal("nothing was given up, and this test tests nothing")
			}
			r.put("a", theirs)
			if open {
				defer f.Release()
				got := make([]byte, len(content))
				if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
					t.Errorf("read: %v, as it was written: %v", err, string(got) == content)
				}
			} else {
				r.close(f)
				r.flush(s)
			}
			r.want("a", content)
			keys := r.server.Keys(ossservertest.Bucket)
			if len(keys) != 2 {
				t.Fatalf("the bucket has %q", keys)
			}
			r.want(keys[1], theirs)
			r.noUploads()
			if n := s.Status().Conflicts; n != 1 {
				t.Errorf("%d conflicts, want 1", n)
			}
		})
	}
}

// A closed file is moved with its directory, in which another one was closed just now, and written to until parts of it leave a full stage. A
// loss of power takes the other one, and so the move: the file is whole where it was. What was closed may not be given up for an upload
// of the new name before the move is durable.
// SEMANTICS 1.2
func TestMovedAndGivenUpInAPowerCut(t *testing.T) {
	const end = youngPart + 1000
	content, other := noise(2<<20, 4), noise(50000, 5)
	back := 0
	for seed := range uint64(20) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk, r.opt.smallMost = mem, -1
		s := young(r)
		s.opt.Young = 1
		f := must(s.Create("d/a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content[:end], 0)
		if err := errors.Join(f.Commit(), s.sync.flush()); err != nil {
			t.Fatal(err)
		}
		s.sync.group.Lock() // no group in the background
		r.write(s, "d/b", other)
		if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); err != nil {
			t.Fatal(err)
		}
		r.grow(f, content, end)
		r.landed(f)
		if err := errors.Join(f.relieve(), s.journal.Ahead()); err != nil {
			t.Fatal(err)
		}
		if !s.holed(f.stage) {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		s.sync.group.Unlock()
		r.flush(r.open())
		before, there := r.body("d/a")
		after, _ := r.body("e/a")
		if before+after != content[:end] {
			t.Errorf("seed %d: before the move it has %d bytes, after it %d", seed, len(before), len(after))
		}
		if there {
			back++
		}
		f.Release()
	}
	if back == 0 {
		t.Error("the move was never taken back, and this test tests nothing")
	}
}
