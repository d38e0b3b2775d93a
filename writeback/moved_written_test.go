package writeback

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// Two files are exchanged while one of them is open and written to, and the power fails after it was closed: both contents are
// there, at the one key or the other. So is everything in a directory that was renamed, and nothing of it twice.
// SEMANTICS 1.2, 6.3
func TestMovedWhileWrittenToInAPowerCut(t *testing.T) {
	for name, move := range map[string]func(s *Store) error{
		"exchange": func(s *Store) error {
			side := func(from, to Key) Side { return Side{RenameSource{Version: ossclient.Version{Key: from}}, to} }
			return s.Exchange(t.Context(), side("d/a", "d/b"), side("d/b", "d/a"), "aside", func(error) {})
		},
		"rename": func(s *Store) error {
			return s.Rename(t.Context(), "d/a", "d/c", RenameSource{}, Seen{})
		},
		"rename of the directory": func(s *Store) error { return s.RenameTree(t.Context(), "d/", "e/", Seen{}) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(30) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
				s := r.open()
				first, second, added := noise(50000, 1), noise(60000, 2), "added"
				r.write(s, "d/a", first)
				r.write(s, "d/b", second)
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				f, ok := s.OpenContent("d/a")
				if !ok {
					t.Fatal("d/a is not pending")
				}
				defer f.Release()
				_, err := f.WriteAt(t.Context(), []byte(added), int64(len(first)))
				if err = errors.Join(err, move(s), f.Commit()); err != nil {
					t.Fatal(err)
				}
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 2)))
				next := r.open()
				r.flush(next)
				got := make(map[string]int)
				for _, key := range r.server.Keys(ossservertest.Bucket) {
					content, _ := r.body(key)
					got[content]++
				}
				if got[first]+got[first+added] != 1 || got[second] != 1 || len(got) != 2 {
					t.Errorf("seed %d: %d and %d of the first, %d of the second, in %q", seed, got[first], got[first+added], got[second], r.server.Keys(ossservertest.Bucket))
				}
			}
		})
	}
}

// What is being written is not moved by a record of the journal before it is committed, and not written to meanwhile.
func TestStillWhileItIsMoved(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "d/b", "second")
	f := must(s.Create("d/a", fileAttr(), ossclient.Version{}))(t)
	defer f.Release()
	moves := map[string]func() error{
		"rename": func() error {
			_, err := s.renamePending(&move{from: "d/a", to: "c"}, Seen{})
			return err
		},
		"rename of the directory": func() error {
			_, err := s.journalTree(&move{from: "d/", to: "e/", tree: true}, nil)
			return err
		},
		"exchange": func() error {
			_, err := s.exchangePending("d/b", "d/a")
			return err
		},
	}
	for name, move := range moves {
		if err := move(); !errors.Is(err, errAgain) {
			t.Errorf("%s of what is written to: %v, want %v", name, err, errAgain)
		}
	}
	err := s.still(func(key Key) bool { return key == "d/a" }, func() error {
		if s.get("d/a").has(flagDirty) {
			t.Error("it was not committed")
		}
		if f.mu.TryLock() {
			t.Error("it may be written to")
			f.mu.Unlock()
		}
		return errDamaged
	})
	if !errors.Is(err, errDamaged) || !f.mu.TryLock() {
		t.Fatalf("got %v, want %v, and a file that may be written to", err, errDamaged)
	}
	f.mu.Unlock()
}

// A file that is durable is added to and renamed, and something else is made at its old name, or the uploader notes something there; then the power fails, and
// what was added is lost, so that the rename is passed over. What was durable is there: at the old name, which is not given to what was made since.
// SEMANTICS 1.2
func TestMadeWhereSomethingWasRenamedBeforeAPowerCut(t *testing.T) {
	first, added := noise(50000, 1), "added"
	for name, then := range map[string]func(r *rig, s *Store){
		"made anew":           func(r *rig, s *Store) { r.write(s, "a", "anew") },
		"made anew, and sent": func(r *rig, s *Store) { r.write(s, "a", "anew"); s.send(t.Context(), "a", true) },
		"another renamed to it": func(r *rig, s *Store) {
			r.write(s, "c", "another")
			if err := s.Rename(t.Context(), "c", "a", RenameSource{}, Seen{}); err != nil {
				t.Fatal(err)
			}
		},
		"noted what was sent": func(r *rig, s *Store) {
			if err := s.noteTrial(&entry{key: "a", kind: Content}, &trial{seq: 2, size: 50000, sum: sumOfString(first)}); err != nil {
				t.Fatal(err)
			}
			r.put("a", first)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(40) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, 1000
				s := r.open()
				r.write(s, "a", first)
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				if name == "noted what was sent" { // it is on its way
					s.mu.Lock()
					s.inflight["a"] = flight{seq: s.v.seq, done: make(chan struct{})}
					s.mu.Unlock()
				}
				f, _ := s.OpenContent("a")
				defer f.Release()
				_, err := f.WriteAt(t.Context(), []byte(added), int64(len(first)))
				if err = errors.Join(err, f.Commit(), s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})); err != nil {
					t.Fatal(err)
				}
				then(r, s)
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 2)))
				r.flush(r.open())
				n := 0
				for _, content := range r.all() {
					if content == first || content == first+added {
						n++
					}
				}
				if n != 1 {
					t.Errorf("seed %d: it is there %d times, in %q", seed, n, r.server.Keys(ossservertest.Bucket))
				}
			}
		})
	}
}
