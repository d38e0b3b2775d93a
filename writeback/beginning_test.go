package writeback

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// around is a Bucket in which something happens before a PutObject, and after it, which may lose the answer.
type around struct {
	*ossclient.Bucket
	before, after func() error
}

func (b *around) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	if err := b.before(); err != nil {
		return ossclient.PutResult{}, err
	}
	r, err := b.Bucket.Put(ctx, q)
	if err == nil {
		err = b.after()
	}
	return r, err
}

// A closed file is added to, and sent while it is open. What was added is overwritten then, and the power fails: at least what was closed
// is stored, beside nothing else; what was confirmed stays; what is staged is kept apart.
// SEMANTICS 1.2
func TestPowerFailsWhileWhatWasAddedIsOverwritten(t *testing.T) {
	closed, added := noise(100<<10, 1), noise(100<<10, 2)
	for name, test := range map[string]struct {
		small int64
		at    int64  // what is overwritten
		sent  string // what is lost of the sending: "request", "answer", "": nothing; "meanwhile": it is overwritten before the answer
		want  []string
	}{
		"not sent":                       {-1, 150 << 10, "request", []string{closed, closed + added}},
		"not sent, small before":         {120 << 10, 150 << 10, "request", []string{closed, closed + added}},
		"not sent, what was closed, too": {-1, 50 << 10, "request", []string{"", closed + added}},
		"the answer lost":                {-1, 150 << 10, "answer", []string{closed, closed + added}},
		"sent":                           {-1, 150 << 10, "", []string{closed + added}},
		"sent meanwhile":                 {-1, 150 << 10, "meanwhile", []string{closed + added}},
	} {
		t.Run(name, func(t *testing.T) {
			found := make(map[int]int)
			for seed := range uint64(16) {
				r := newRig(t)
				mem := disktest.New()
				b := &around{Bucket: r.bucket}
				r.opt.Disk, r.opt.Delay, r.opt.smallMost, r.opt.Bucket = mem, time.Hour, test.small, b
				s := r.open()
				r.write(s, "a", closed)
				f, _ := s.OpenContent("a")
				r.grow(f, closed+added, len(closed))
				overwrite := func(err error) func() error {
					return func() error {
						durable := s.sync.flush()
						if _, err := f.WriteAt(t.Context(), []byte("over"), test.at); err != nil || durable != nil {
							t.Error(err, durable)
						}
						return err
					}
				}
				nothing := func() error { return nil }
				switch b.before, b.after = nothing, nothing; test.sent {
				case "request":
					b.before = overwrite(errUnfinished)
				case "answer":
					b.after = overwrite(errUnfinished)
				case "meanwhile":
					b.after = overwrite(nil)
				}
				if out := s.send(t.Context(), "a", true); (out.err != nil) != (test.sent == "request" || test.sent == "answer") {
					t.Fatal(out.err)
				}
				if test.sent == "" {
					_ = overwrite(nil)()
				}
				later := s.sync.ahead // as before a fsync returns
				if seed%2 == 0 {
					later = s.sync.flush
				}
				if err := later(); err != nil {
					t.Fatal(err)
				}
				left := mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				r.opt.Disk, r.opt.Bucket = left, r.bucket
				f.Release()
				r.flush(r.open())
				got, _ := r.body("a")
				ok := false
				for _, want := range test.want {
					ok = ok || got == want
				}
				if !ok {
					t.Errorf("seed %d: the bucket has %d bytes", seed, len(got))
				}
				found[len(got)]++
				if keys := r.server.Keys(ossservertest.Bucket); len(keys) > 1 {
					t.Errorf("seed %d: the bucket has %q", seed, keys)
				}
				if names, _ := left.List("salvaged"); test.sent == "request" && got != closed+added && len(names) == 0 {
					t.Errorf("seed %d: nothing is kept apart", seed)
				}
			}
			if t.Log(found); test.sent == "request" && len(found) < 2 {
				t.Errorf("found %v, and this test tests only one of them", found)
			}
		})
	}
}

// A file is made step by step, each of them committed, and moved to its place when it is finished. What it was before is not seen there, whatever
// happens to it afterwards.
// SEMANTICS 1.2
func TestWhatHadAnotherNameIsNotBroughtBack(t *testing.T) {
	half, rest := noise(100<<10, 1), noise(100<<10, 2)
	for name, test := range map[string]struct {
		move func(t *testing.T, s *Store) error
		to   string
	}{
		"renamed": {func(t *testing.T, s *Store) error {
			return s.Rename(t.Context(), "d/a", "b", RenameSource{}, Seen{})
		}, "b"},
		"exchanged": {func(t *testing.T, s *Store) error {
			side := func(at, to Key) Side {
				return Side{RenameSource: RenameSource{Version: ossclient.Version{Key: at}}, To: to}
			}
			return s.Exchange(t.Context(), side("d/a", "b"), side("b", "d/a"), aside, func(error) {})
		}, "b"},
		"with its directory": {func(t *testing.T, s *Store) error {
			return s.RenameTree(t.Context(), "d/", "e/", Seen{})
		}, "e/a"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(16) {
				r, mem := newRig(t), disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
				s := r.open()
				r.write(s, "b", "beside it")
				r.write(s, "d/a", half)
				f, _ := s.OpenContent("d/a")
				r.grow(f, half+rest, len(half))
				r.closed(f)
				if err := test.move(t, s); err != nil {
					t.Fatal(err)
				}
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteAt(t.Context(), []byte("over"), 150<<10); err != nil {
					t.Fatal(err)
				}
				left := mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				r.opt.Disk = left
				f.Release()
				r.flush(r.open())
				if got, there := r.body(test.to); there && got != half+rest && got != "beside it" {
					t.Errorf("seed %d: %s has %d bytes", seed, test.to, len(got))
				}
			}
		})
	}
}

// A new file is committed before anything is written to it, as by a fsync of its directory: that is not what it was meant to be.
// SEMANTICS 1.2
func TestEmptyBeginningIsNotBroughtBack(t *testing.T) {
	content := noise(100<<10, 3)
	for seed := range uint64(16) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, -1
		base := r.put("a", "old")
		s := r.open()
		f := must(s.Create("a", fileAttr(), base))(t)
		r.closed(f)
		r.grow(f, content, 0)
		r.closed(f)
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(t.Context(), []byte("over"), 50<<10); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		f.Release()
		r.flush(r.open())
		if got, _ := r.body("a"); got != content && got != "old" {
			t.Errorf("seed %d: the bucket has %d bytes", seed, len(got))
		}
	}
}
