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
