package writeback

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// noHoles is a disk without holes. It counts those that are asked for.
type noHoles struct {
	disk.FS
	asked atomic.Int64
}

type fileWithoutHoles struct {
	disk.File
	d *noHoles
}

func (d *noHoles) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	return fileWithoutHoles{f, d}, err
}

func (d *noHoles) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	return fileWithoutHoles{f, d}, err
}

func (f fileWithoutHoles) Punch(int64, int64) error {
	f.d.asked.Add(1)
	return &os.PathError{Op: "punch", Err: syscall.EOPNOTSUPP}
}

// Where the disk has no holes an edit is kept beside a shorter object of another client all the same, with zeros in between.
// SEMANTICS 5.2
func TestConflictWithoutHoles(t *testing.T) {
	const size, at = 3 << 20, 2<<20 + 1000
	r := newRig(t)
	r.opt.Delay, r.opt.Disk = time.Hour, &noHoles{FS: disktest.New()}
	s := r.open()
	f := must(s.Edit("a", Seen{Version: r.put("a", noise(size, 1))}, fileAttr(), nil))(t)
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
	d := &noHoles{FS: disktest.New()}
	r.opt.Disk = d
	s := young(r)
	s.opt.Young = 1
	content := noise(3<<20, 3)
	edit := must(s.Edit("b", Seen{Version: r.put("b", content)}, fileAttr(), nil))(t)
	if err := edit.complete(t.Context(), 0, edit.Size()); err != nil { // as parts that were sent leave it
		t.Fatal(err)
	}
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	var said bytes.Buffer
	before := s.journal.Seq()
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	for range 3 {
		s.relieve()
	}
	if n := strings.Count(said.String(), "\n"); n != 1 || !strings.Contains(said.String(), "no holes") {
		t.Errorf("said %q, want once that the disk has no holes", said.String())
	}
	if n, records := d.asked.Load(), s.journal.Seq()-before; n != 1 || records > 2 {
		t.Errorf("asked for %d holes, want one, and journaled %d times, want twice at most", n, records)
	}
	edit.Release()
	if s.holed(f.stage) {
		t.Error("parts are in the upload alone")
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
}
