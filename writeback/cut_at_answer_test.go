package writeback

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// stored is a Bucket that tells when it is sent a part, and when it has an object.
type stored struct {
	Bucket
	part, has func()
	unheard   bool // set by has: the answer to this Put is lost
}

func (b *stored) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	if b.part != nil {
		b.part()
	}
	return b.Bucket.UploadPart(ctx, p)
}

func (b *stored) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	r, err := b.Bucket.Put(ctx, q)
	if err == nil {
		b.has()
	}
	if b.unheard {
		b.unheard, err = false, ossclient.ErrUnavailable
	}
	return r, err
}

func (b *stored) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error) {
	r, err := b.Bucket.CompleteUpload(ctx, c)
	if err == nil {
		b.has()
	}
	return r, err
}

// The power fails when the bucket has just got a file, of which the disk has at least what was durable: the next mount knows
// it, and neither keeps it beside itself nor misses parts of it.
func TestPowerFailsWhenTheBucketHasIt(t *testing.T) {
	small, large := noise(100<<10, 1), noise(3<<20, 2)
	for name, test := range map[string]struct{ base, want string }{
		"edit, by one request": {small, small[:1000] + "CHANGED" + small[1007:]},
		"edit, in parts":       {large, large[:1<<20] + "CHANGED" + large[1<<20+7:]},
		"added to, in parts":   {large, large + "added"},
		"cut short, in parts":  {large, large[:2<<20]},
		"new, in parts":        {"", large},
		"new, and added to":    {"", large},
		"too much for a sum":   {small, small + noise(5<<20, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk = mem
				b := &stored{Bucket: r.bucket}
				r.opt.Bucket = b
				s := young(r)
				f := r.changed(s, "a", test.base, test.want)
				if test.base == "" && !s.holed(f.stage) {
					t.Fatal("nothing was given up, and this test tests nothing")
				}
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				if name == "new, and added to" {
					b.part = sync.OnceFunc(func() { // the end is on its way
						if _, err := f.WriteAt(t.Context(), []byte("added"), int64(len(test.want))); err != nil {
							t.Error(err)
						}
					})
				}
				b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
				if err := s.Sync(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				f.Release()
				r.opt.Bucket, r.opt.Delay = r.bucket, time.Hour
				next := r.open()
				r.flush(next)
				r.want("a", test.want)
				if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
					t.Errorf("seed %d: the bucket has %q", seed, keys)
				}
				r.noUploads()
			}
		})
	}
}

// changed is a File of a key that the bucket has a base of, and whose content is committed.
func (r *rig) changed(s *Store, key Key, base, content string) *File {
	r.t.Helper()
	if base == "" {
		f := must(s.Create(key, fileAttr(), ossclient.Version{}))(r.t)
		r.grow(f, content, 0)
		r.landed(f)
		if err := f.Commit(); err != nil {
			r.t.Fatal(err)
		}
		return f
	}
	f := must(s.Edit(key, Seen{Version: r.put(string(key), base)}, fileAttr(), nil))(r.t)
	at := 0
	for at < min(len(base), len(content)) && base[at] == content[at] {
		at++
	}
	end := len(content)
	for len(base) == len(content) && end > at && base[end-1] == content[end-1] {
		end--
	}
	if at < end {
		if _, err := f.WriteAt(r.t.Context(), []byte(content[at:end]), int64(at)); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := f.Truncate(r.t.Context(), int64(len(content))); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// What fsync has confirmed is in the bucket, and stays there when the power fails right after it, whatever was pending of the
// key before and is durable, and whatever was begun since.
// SEMANTICS 1.3
func TestPowerFailsAfterFsync(t *testing.T) {
	for name, test := range map[string]struct {
		before func(r *rig, s *Store, v ossclient.Version)
		mode   Conflict
		more   string
	}{
		"removed before":                          {before: removed},
		"removed before, and written to":          {before: removed, more: "more"},
		"an older one, overwrite":                 {before: older, mode: Overwrite},
		"an older one, overwrite, and written to": {before: older, mode: Overwrite, more: "more"},
		"attributes before":                       {before: changedMode, more: "more"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				for _, size := range []int{100, 100 << 10} { // in the journal, in a staged file
					r := newRig(t)
					mem := disktest.New()
					r.opt.Disk, r.opt.Delay, r.opt.OnConflict, r.opt.smallMost = mem, time.Hour, test.mode, 1000
					b := &stored{Bucket: r.bucket, has: func() {}}
					r.opt.Bucket = b
					s := r.open()
					test.before(r, s, r.put("a", "what was there"))
					if err := s.sync.flush(); err != nil {
						t.Fatal(err)
					}
					content := noise(size, 1)
					f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
					r.grow(f, content, 0)
					b.has = func() {
						if _, err := f.WriteAt(t.Context(), []byte(test.more), int64(size)); err != nil {
							t.Error(err)
						}
					}
					if err := f.Commit(); err != nil {
						t.Fatal(err)
					}
					if err := s.Sync(t.Context(), "a"); err != nil {
						t.Fatal(err)
					}
					r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
					f.Release()
					if err := s.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					r.want("a", content)
					r.opt.Bucket = r.bucket
					r.server.SetFaults()
					r.flush(r.open())
					r.want("a", content)
				}
			}
		})
	}
}

func removed(r *rig, s *Store, v ossclient.Version) {
	r.t.Helper()
	r.server.SetFaults(ossserver.Fault{Op: "DeleteMultipleObjects", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if err := s.Remove("a", Seen{Version: v}); err != nil {
		r.t.Fatal(err)
	}
}

func older(r *rig, s *Store, _ ossclient.Version) { r.write(s, "a", "older") }

func changedMode(r *rig, s *Store, v ossclient.Version) {
	r.t.Helper()
	a := fileAttr()
	a.SetMode(attr.TypeFile | 0o600)
	if err := s.SetAttr("a", Seen{Version: v}, Rest{}, a); err != nil {
		r.t.Fatal(err)
	}
}

// What the bucket has got is not sent again after a loss of power that took what was written to it since.
func TestStoredBeforeThePowerFailed(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t)
		mem := disktest.New()
		b := &stored{Bucket: r.bucket}
		r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, b
		s := r.open()
		content := noise(100<<10, 1)
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		b.has = func() {
			if _, err := f.WriteAt(t.Context(), []byte("more"), int64(len(content))); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(f.Commit(), s.sync.flush(), s.Sync(t.Context(), "a")); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		f.Release()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.server.ResetCounts()
		r.flush(r.open())
		r.counts(nil)
		r.want("a", content)
	}
}

// The power fails when the bucket has just got a state of a key that has changed a short time ago: what was before it does not
// come back, to be kept beside it or to delete it.
func TestPowerFailsWhenTheBucketHasTheNext(t *testing.T) {
	content := noise(150<<10, 1)
	waits := func(r *rig, s *Store) {
		r.write(s, "a", content[:50<<10])
		if err := s.sync.flush(); err != nil {
			r.t.Fatal(err)
		}
	}
	create := func(r *rig, s *Store) *File { return must(s.Create("a", fileAttr(), ossclient.Version{Key: "a"}))(r.t) }
	for name, next := range map[string]func(r *rig, s *Store) *File{
		"an older one waits": func(r *rig, s *Store) *File {
			waits(r, s)
			return create(r, s)
		},
		"an older one waits, and is added to": func(r *rig, s *Store) *File {
			waits(r, s)
			f, _ := s.OpenContent("a")
			return f
		},
		"an older one was just sent": func(r *rig, s *Store) *File {
			waits(r, s)
			s.send(r.t.Context(), "a", true)
			return create(r, s)
		},
		"it was just removed": func(r *rig, s *Store) *File {
			if err := s.Remove("a", Seen{Version: r.put("a", "older")}); err != nil {
				r.t.Fatal(err)
			}
			s.sendAbsent(r.t.Context(), []Key{"a"})
			return create(r, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				r := newRig(t)
				mem := disktest.New()
				b := &stored{Bucket: r.bucket, has: func() {}}
				r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, b
				s := r.open()
				f := next(r, s)
				r.grow(f, content, int(f.Size()))
				b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
				if err := errors.Join(f.Commit(), s.Sync(t.Context(), "a")); err != nil {
					t.Fatal(err)
				}
				f.Release()
				r.opt.Bucket = r.bucket
				r.flush(r.open())
				r.want("a", content)
				if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
					t.Errorf("seed %d: the bucket has %q", seed, keys)
				}
			}
		})
	}
}

// What was removed stays removed when the power fails while a file is made anew in its place.
func TestPowerFailsWhileItIsMadeAnew(t *testing.T) {
	for name, change := range map[string]func(r *rig, s *Store, f *File) (want string){
		"not closed": func(*rig, *Store, *File) string { return "" },
		"closed": func(r *rig, s *Store, f *File) string {
			if err := errors.Join(f.Commit(), s.sync.flush()); err != nil {
				r.t.Fatal(err)
			}
			return noise(50<<10, 1)
		},
		"renamed over another": func(r *rig, s *Store, f *File) string {
			r.put("b", "another")
			if err := errors.Join(s.Rename(r.t.Context(), "a", "b", RenameSource{}, Seen{Version: r.version("b")}), s.sync.flush()); err != nil {
				r.t.Fatal(err)
			}
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay = mem, time.Hour
				s := r.open()
				if err := errors.Join(s.Remove("a", Seen{Version: r.put("a", "removed")}), s.sync.flush()); err != nil {
					t.Fatal(err)
				}
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, noise(50<<10, 1), 0)
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				want := change(r, s, f)
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				next := r.open()
				r.flush(next)
				if got, there := r.body("a"); got != want || there != (want != "") {
					t.Errorf("seed %d: the bucket has %.20q (%v)", seed, got, there)
				}
				if _, there := r.body("b"); there != (name == "renamed over another") {
					t.Errorf("seed %d: b is there: %v", seed, there)
				}
				f.Release()
			}
		})
	}
}

// What was sent before of a key is known after a loss of power when it was noted with a state that was durable already, and with
// one that is passed over.
func TestTrialsOfWhatIsPassedOver(t *testing.T) {
	for name, more := range map[string]string{"noted with the state": "", "noted with one that follows": "more"} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				r, mem := newRig(t), disktest.New()
				r.opt.Disk, r.opt.Bucket = mem, &unfinished{r.bucket, false}
				s := young(r)
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				content := noise(3<<20, 1)
				r.grow(f, content, 0)
				r.landed(f)
				if err := errors.Join(f.Commit(), s.sync.flush()); err != nil {
					t.Fatal(err)
				}
				e := s.get("a").clone()
				if more != "" {
					if _, err := f.WriteAt(t.Context(), []byte(more), int64(len(content))); err != nil {
						t.Fatal(err)
					}
				}
				e.seq--
				if err := s.noteTrial(e, &trial{seq: e.seq, size: 5, sum: 7}, op{code: opTried, stage: f.stage, tried: &trial{seq: e.seq, size: e.size, sum: 8}}); err != nil {
					t.Fatal(err)
				}
				made := s.get("a").clone() // of what the bucket has, by our doing
				made.base = &ossclient.Version{Key: "a", ETag: "OURS", Size: 5}
				if err := errors.Join(s.commitOps(op{code: opSet, entry: made}), s.sync.ahead()); err != nil {
					t.Fatal(err)
				}
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				f.Release()
				next := r.open()
				object := func(size int64, sum uint64) *ossclient.Object {
					return &ossclient.Object{Version: ossclient.Version{Key: "a", Size: size}, CRC64: sum, HasCRC64: true}
				}
				if e := next.get("a"); e == nil || more == "" && (e.base == nil || e.base.ETag != "OURS") || !e.trial.any(object(5, 7)) || next.completedAs(e, object(e.size, 8)) == nil {
					t.Errorf("seed %d: not known after the cut (entry: %v)", seed, e != nil)
				}
			}
		})
	}
}
