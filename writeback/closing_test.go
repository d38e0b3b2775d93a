package writeback

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// abortHook is a Bucket that tells before an upload is given up.
type abortHook struct {
	Bucket
	before func()
}

func (h *abortHook) AbortUpload(ctx context.Context, key Key, id ossclient.UploadID) error {
	h.before()
	return h.Bucket.AbortUpload(ctx, key, id)
}

// The power fails while a Store is closed just after a file was removed of which bytes are nowhere but in its upload: whether the removal counts
// or not, the file is not half there.
// SEMANTICS 1.2
func TestPowerFailsWhileClosing(t *testing.T) {
	content := noise(3<<20, 4)
	for seed := range uint64(10) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk = mem
		var left *disktest.Mem
		cut := sync.OnceFunc(func() { left = mem.PowerCut(rand.New(rand.NewPCG(seed, 2))) })
		r.opt.Bucket = &abortHook{r.bucket, cut}
		s := young(r)
		s.opt.Young = 1
		f := r.givenUp(s, content)
		f.Release()
		if err := s.Remove("a", Seen{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left == nil {
			t.Fatal("no upload was given up, and this test tests nothing")
		}
		r.opt.Disk, r.opt.Bucket = left, r.bucket
		r.flush(r.open())
		if got, there := r.body("a"); there && got != content {
			t.Errorf("seed %d: the bucket has %d bytes of %d", seed, len(got), len(content))
		}
		r.noUploads()
	}
}
