package writeback

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// afterPowerCuts does something on a new disk, with a file "a" that is closed, durable, not sent and open, and looks at what the
// bucket gets after the power has failed, each time in another way.
func afterPowerCuts(t *testing.T, seeds uint64, prepare func(r *rig, s *Store) *File, do func(r *rig, s *Store, f *File) error, look func(r *rig, seed uint64)) {
	t.Helper()
	for seed := range seeds {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk, r.opt.smallMost = mem, -1
		s := young(r)
		f := prepare(r, s)
		if err := errors.Join(f.Commit(), s.sync.flush(), do(r, s, f)); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 3)))
		r.flush(r.open())
		look(r, seed)
		f.Release()
	}
}

// quiet ends what is made durable by the group of each second, which may come at any moment of a busy machine, and by who asks for one.
func (r *rig) quiet(s *Store) {
	s.sync.group.Lock()
	r.t.Cleanup(s.sync.group.Unlock) // before the Store is closed, which asks for one
}

// The bytes of a file whose key was taken away are overwritten, and the power fails: it may be there again only as it was.
// SEMANTICS 1.2
func TestOverwrittenWithoutAKeyInAPowerCut(t *testing.T) {
	content := noise(60000, 1)
	for name, take := range map[string]func(s *Store) error{
		"removed": func(s *Store) error { return s.Remove("a", Seen{}) },
		"made anew": func(s *Store) error {
			_, err := s.Create("a", fileAttr(), ossclient.Version{})
			return err
		},
		"renamed and removed": func(s *Store) error {
			err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})
			return errors.Join(err, s.Remove("b", Seen{}))
		},
		"renamed and made anew": func(s *Store) error {
			err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})
			_, cerr := s.Create("b", fileAttr(), ossclient.Version{})
			return errors.Join(err, cerr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			afterPowerCuts(t, 40, func(r *rig, s *Store) *File {
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, content, 0)
				return f
			}, func(_ *rig, s *Store, f *File) error {
				if err := take(s); err != nil {
					return err
				}
				_, err := f.WriteAt(t.Context(), []byte(noise(50000, 2)), 2000)
				return err
			}, func(r *rig, seed uint64) {
				for _, key := range r.server.Keys(ossservertest.Bucket) {
					if got, _ := r.body(key); got != content {
						t.Errorf("seed %d: %s is stored as it never was, with %d bytes", seed, key, len(got))
					}
				}
			})
		})
	}
}

// An edit that is made longer, and cut again where it was not committed, is as it was last closed when the power fails.
// SEMANTICS 1.2
func TestEditMadeLongerInAPowerCut(t *testing.T) {
	content := noise(60000, 1)
	want := "changed" + content[7:]
	afterPowerCuts(t, 20, func(r *rig, s *Store) *File {
		f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("changed"), 0); err != nil {
			t.Fatal(err)
		}
		return f
	}, func(_ *rig, s *Store, f *File) error {
		return errors.Join(f.Truncate(t.Context(), 90000), f.Truncate(t.Context(), 70000), s.sync.flush())
	}, func(r *rig, _ uint64) { r.want("a", want) })
}

// A file is closed empty, and written to again until parts of it are in its upload alone: when the power fails it is empty.
// SEMANTICS 1.2
func TestEmptyWithAnUploadInAPowerCut(t *testing.T) {
	afterPowerCuts(t, 20, func(_ *rig, s *Store) *File {
		return must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	}, func(r *rig, s *Store, f *File) error {
		r.grow(f, noise(3<<20, 1), 0)
		r.landed(f)
		if !s.holed(f.stage) {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		return s.sync.flush()
	}, func(r *rig, _ uint64) {
		r.want("a", "")
		r.until("the upload is given up", func() bool { return len(r.server.Uploads(ossservertest.Bucket)) == 0 })
	})
}

// Two files were exchanged by three renames, the first of what was pending, when its bytes are overwritten and the power fails.
// The other one is where it is by then, with what was written to it.
// SEMANTICS 1.2, 6.3
func TestExchangedAndOverwrittenInAPowerCut(t *testing.T) {
	second := strings.Repeat("second", 10000)
	lost := 0
	afterPowerCuts(t, 40, func(r *rig, s *Store) *File {
		r.put("b", second)
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, noise(60000, 1), 0)
		return f
	}, func(r *rig, s *Store, f *File) error {
		w := swap{a: "a", b: "b"}
		if err := w.do(t.Context(), r, s); err != nil {
			return err
		}
		_, err := f.WriteAt(t.Context(), []byte(noise(50000, 2)), 2000)
		g := must(s.Edit("a", Seen{Version: r.version("a")}, fileAttr(), nil))(t)
		defer g.Release()
		_, gerr := g.WriteAt(t.Context(), []byte("added"), int64(len(second)))
		return errors.Join(err, gerr, g.Commit())
	}, func(r *rig, seed uint64) {
		if got, _ := r.body("a"); got != second && got != second+"added" {
			t.Errorf("seed %d: a has %d bytes, want %d", seed, len(got), len(second))
		}
		if _, there := r.body("b"); !there {
			lost++
		}
	})
	if lost == 0 {
		t.Error("the first was never lost, and this test tests nothing")
	}
}

// Something is added to an edit, and the process is killed before it is closed. What an edit that is made longer then has behind its content
// are zeros, not what was added.
// SEMANTICS 1.2
func TestEditMadeLongerAfterAKill(t *testing.T) {
	content := noise(60000, 1)
	for name, add := range map[string]func(f *File) error{
		"written": func(f *File) error {
			_, err := f.WriteAt(t.Context(), []byte(noise(5000, 2)), 60000)
			return err
		},
		"written, and cut": func(f *File) error {
			_, err := f.WriteAt(t.Context(), []byte(noise(5000, 2)), 60000)
			return errors.Join(err, f.Truncate(t.Context(), 63000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, mem := newRig(t), disktest.New()
			r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
			s := r.open()
			f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
			_, err := f.WriteAt(t.Context(), []byte("changed"), 0)
			if err := errors.Join(err, f.Commit(), add(f)); err != nil {
				t.Fatal(err)
			}
			_, s = r.killed(mem)
			g, ok := s.OpenContent("a")
			if !ok {
				t.Fatal("it is gone")
			}
			size := int(g.Size())
			if err := errors.Join(g.Truncate(t.Context(), 90000), g.Commit()); err != nil {
				t.Fatal(err)
			}
			g.Release()
			r.flush(s)
			want := "changed" + content[7:] + noise(5000, 2)[:max(size-60000, 0)] + strings.Repeat("\x00", 90000-max(size, 60000))
			r.want("a", want)
			f.Release()
		})
	}
}

// A file of no bytes needs nothing on the disk: one whose staged file did not get there is stored all the same.
// SEMANTICS 1.2
func TestEmptyWithoutItsStagedFile(t *testing.T) {
	r, mem := newRig(t), disktest.New()
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
	s := r.open()
	f := must(s.Edit("a", Seen{Version: r.put("a", "content")}, fileAttr(), nil))(t)
	if err := errors.Join(f.Truncate(t.Context(), 0), f.Commit()); err != nil {
		t.Fatal(err)
	}
	mem, s = r.killed(mem)
	if err := mem.Remove(stageName(s.get("a").stage)); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.want("a", "")
	f.Release()
}

// OSS refuses what is based on the very object that it has: somebody changed it and back. It is tried again, and not at once.
func TestRefusedThoughNothingChanged(t *testing.T) {
	r := newRig(t)
	v := r.put("a", "before")
	s := r.open()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Error500, Status: 412, Code: "PreconditionFailed", Count: 1})
	f := must(s.Create("a", fileAttr(), v))(t)
	if _, err := f.WriteAt(t.Context(), []byte("after"), 0); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "after")
	if n := r.server.Counts()["PutObject"]; n != 2 {
		t.Errorf("%d puts, want 2", n)
	}
	if n := r.server.Counts()["HeadObject"]; n > 4 {
		t.Errorf("%d requests for what the bucket has", n)
	}
}

// Two files are exchanged by three renames, the first of which, of content that was added to and is not durable, a loss of power takes back. Then so
// is the second: it would put the other file over what was stored of the first.
// SEMANTICS 1.2, 6.3
func TestLegWithoutTheOneBeforeInAPowerCut(t *testing.T) {
	first, second := noise(60000, 1), noise(50000, 2)
	back := 0
	for seed := range uint64(20) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
		r.put("b", second)
		s := r.open()
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, first, 0)
		if err := errors.Join(f.Commit(), s.Sync(t.Context(), "a")); err != nil {
			t.Fatal(err)
		}
		r.quiet(s)
		_, err := f.WriteAt(t.Context(), []byte("added"), int64(len(first)))
		if err := errors.Join(err, f.Commit()); err != nil {
			t.Fatal(err)
		}
		leg := s.legs(Side{RenameSource{Version: r.version("a"), Attr: fileAttr()}, "b"}, Side{RenameSource{Version: r.version("b"), Attr: fileAttr()}, "a"}, "aside")
		for _, pending := range []bool{true, false} {
			begun, release, err := s.beginMove(t.Context(), leg)
			if err != nil || (begun == nil) != pending {
				t.Fatalf("a leg: %v, %v", begun, err)
			}
			if begun != nil {
				defer release()
			}
			leg = leg.then
		}
		if err := s.sync.ahead(); err != nil { // as for another key
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 5)))
		r.flush(r.open())
		a, _ := r.body("a")
		b, _ := r.body("b")
		if a == first && b == second {
			back++
		} else if !strings.HasPrefix(b, first) || a != second {
			t.Errorf("seed %d: a has %d bytes, b %d", seed, len(a), len(b))
		}
		f.Release()
	}
	if back == 0 {
		t.Error("nothing was taken back, and this test tests nothing")
	}
}
