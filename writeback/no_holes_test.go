package writeback

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// noHoles is a disk without holes.
type noHoles struct{ disk.FS }

type fileWithoutHoles struct{ disk.File }

func (d noHoles) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	return fileWithoutHoles{f}, err
}

func (d noHoles) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	return fileWithoutHoles{f}, err
}

func (fileWithoutHoles) Punch(int64, int64) error {
	return &os.PathError{Op: "punch", Err: syscall.EOPNOTSUPP}
}

// Where the disk has no holes an edit is kept beside a shorter object of another client all the same, with zeros in between.
// SEMANTICS 5.2
func TestConflictWithoutHoles(t *testing.T) {
	const size, at = 3 << 20, 2<<20 + 1000
	r := newRig(t)
	r.opt.Delay, r.opt.Disk = time.Hour, noHoles{disktest.New()}
	s := r.open()
	f := must(s.Edit("a", r.put("a", noise(size, 1)), fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte("EDIT"), at); err != nil {
		t.Fatal(err)
	}
	if err := f.complete(t.Context(), 0, size); err != nil { // as an attempt that failed leaves it
		t.Fatal(err)
	}
	r.close(f)
	theirs := noise(1<<20, 2)
	r.put("a", theirs)
	r.flush(s)
	r.want("a", theirs)
	keys := r.server.Keys(ossservertest.Bucket)
	if len(keys) != 2 {
		t.Fatalf("the bucket has %q", keys)
	}
	whole := theirs + strings.Repeat("\x00", size-len(theirs))
	r.want(keys[1], whole[:at]+"EDIT"+whole[at+4:])
}

// What could not be given up in the stage is in the stage, for the journal too: it does not depend on the upload.
// SEMANTICS 1.13
func TestGivenUpWithoutHoles(t *testing.T) {
	r := newRig(t)
	r.opt.Disk = noHoles{disktest.New()}
	s := young(r)
	s.opt.youngFor = 1
	content := noise(3<<20, 3)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	if err := f.relieve(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("relieved: %v", err)
	}
	if s.holed(f.stage) {
		t.Error("parts are in the upload alone")
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
}
