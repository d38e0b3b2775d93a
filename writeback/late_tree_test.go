package writeback

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// The rename of a directory that a crash has interrupted, and OSS has refused to complete, takes along what was sent to its old name meanwhile, whole, and replaces
// nothing with it; what waits at the old name stays there, and so does what takes the place of something that is moved.
// SEMANTICS 6.2
func TestMadeBelowTheOldNameOfALateRename(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	b := &copyHook{Bucket: r.bucket}
	r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, b
	s := r.open()
	r.put("from/a", "a")
	r.put("from/b", "b")
	var left *disktest.Mem
	var once sync.Once // several are copied at the same time
	b.tell = func(ossclient.CopyRequest, bool) { once.Do(func() { left = mem.Killed() }) }
	r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if err := s.RenameTree(t.Context(), "from/", "to/", Seen{}); !errors.Is(err, ossclient.ErrPermission) {
		t.Fatal(err)
	}
	r.opt.Disk, b.tell = left, func(ossclient.CopyRequest, bool) {}
	next := r.open() // and it is refused once more
	r.write(next, "from/sent", "sent")
	r.write(next, "to/sent", "newer")
	r.write(next, "from/alone", "alone")
	r.flush(next)
	r.write(next, "from/waits", "waits")
	f := must(next.Edit("from/b", Seen{r.version("from/b"), next.Now()}, fileAttr(), nil))(t)
	if err := f.Truncate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(t.Context(), []byte("anew"), 0); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.later(next)
	want := map[string]string{"to/a": "a", "to/b": "b", "from/b": "anew", "to/alone": "alone", "to/sent": "newer", "to/sent beside": "sent", "from/waits": "waits"}
	if got := r.all(); !maps.Equal(got, want) {
		t.Errorf("the bucket has %q, want %q", got, want)
	}
}
