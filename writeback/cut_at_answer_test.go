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

// stored is a Bucket that tells when it has an object.
type stored struct {
	Bucket
	has func()
}

func (b *stored) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	r, err := b.Bucket.Put(ctx, q)
	if err == nil {
		b.has()
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
	f := must(s.Edit(key, r.put(string(key), base), fileAttr(), nil))(r.t)
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
