package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// punchDisk is a disk that tells when something is punched out of a file.
type punchDisk struct {
	disk.FS
	punched func()
}

func (d *punchDisk) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	return &punchFile{f, d}, err
}

type punchFile struct {
	disk.File
	d *punchDisk
}

func (f *punchFile) Punch(off, n int64) error {
	f.d.punched()
	return f.File.Punch(off, n)
}

// The last user of a file that is just giving space back lets it go: neither waits for the other for ever. The one
// who ends the last use has Store.change and wants File.mu, who punches the other way round, so the file must be in use
// as long as it is relieved.
func TestLastUseEndsWhileRelieved(t *testing.T) {
	r := newRig(t)
	d := &punchDisk{FS: disktest.New()}
	r.opt.Disk, r.opt.Delay, r.opt.StageBudget = d, time.Hour, 4<<20
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	content := noise(3<<20, 1)
	if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
		t.Fatal(err)
	}
	uses := func() int {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return f.uses
	}
	for len(s.overlapping(f.stage, 0, 1<<30)) < 3 || uses() > 1 {
		time.Sleep(time.Millisecond) // they are sent by real requests
	}
	r.closed(f)
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	punched := 0
	d.punched = func() {
		if punched++; punched > 1 {
			return
		}
		if n := uses(); n < 2 {
			t.Errorf("%d use while it is relieved: ours may be the last", n)
			return
		}
		f.unuse() // as Release does when all is committed
	}
	s.relieve()
	if punched < 2 {
		t.Errorf("punched %d times", punched)
	}
	s.mu.Lock()
	f.users--
	s.mu.Unlock()
	r.flush(s)
	r.want("a", content)
}
