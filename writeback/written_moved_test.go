package writeback

import (
	"context"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// copyHook tells of each CopyObject before it is sent, and after it is answered.
type copyHook struct {
	*ossclient.Bucket
	tell func(q ossclient.CopyRequest, after bool)
}

func (b *copyHook) Copy(ctx context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	b.tell(q, false)
	defer b.tell(q, true)
	return b.Bucket.Copy(ctx, q)
}

// What is written through an open file while it, or a directory above it, is being renamed is in the file of the new name, and
// nothing is left at the old one: whether before the copy or after it, committed then or later, or committed and then killed.
// SEMANTICS 1.1, 6.2
func TestWrittenWhileRenamed(t *testing.T) {
	for _, what := range []string{"object", "directory"} {
		for _, when := range []string{"before the copy", "after the copy"} {
			for _, then := range []string{"committed at the end", "committed at once", "committed and killed"} {
				t.Run(what+", "+when+", "+then, func(t *testing.T) { writtenWhileRenamed(t, what, when, then) })
			}
		}
	}
}

func writtenWhileRenamed(t *testing.T, what, when, then string) {
	r := newRig(t)
	r.put("a/x", "content of x")
	r.put("a/y", "content of y")
	v := r.version("a/x")
	mem := disktest.New()
	var f *File
	write := func() {
		if _, err := f.WriteAt(t.Context(), []byte("WRITTEN"), 0); err != nil {
			t.Error(err)
		}
		if then == "committed at the end" {
			return
		}
		if err := f.Commit(); err != nil {
			t.Error(err)
		}
		if then == "committed and killed" {
			mem.StopAt(0, nil)
		}
	}
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	r.opt.Bucket = &copyHook{r.bucket, func(q ossclient.CopyRequest, after bool) {
		if q.Source.Key == "a/x" && after == (when == "after the copy") {
			write()
		}
	}}
	s := must(Open(t.Context(), r.opt))(t)
	f = must(s.Edit("a/x", Seen{Version: v}, fileAttr(), nil))(t)
	want := map[string]string{"b/x": "WRITTEN of x", "a/y": "content of y"}
	var err error
	if what == "directory" {
		want = map[string]string{"b/x": "WRITTEN of x", "b/y": "content of y"}
		err = s.RenameTree(t.Context(), "a/", "b/", Seen{})
	} else {
		err = s.Rename(t.Context(), "a/x", "b/x", RenameSource{Version: v, Attr: fileAttr()}, Seen{})
	}
	if then == "committed and killed" {
		s.cancel()
		s.wg.Wait()
		r.opt.Disk, r.opt.Bucket = mem.Killed(), r.bucket
		s = r.open()
	} else {
		if got := f.Key(); got != "b/x" || err != nil {
			t.Errorf("the file is %s (%v)", got, err)
		}
		r.close(f)
		defer s.Close(context.Background())
	}
	r.flush(s)
	r.wantSeen(s, want)
}
