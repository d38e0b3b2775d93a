package writeback

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// punchDisk is a disk that tells when something is punched out of a file. When that is to fail, half of it is done.
type punchDisk struct {
	disk.FS
	punched func() error
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
	if err := f.d.punched(); err != nil {
		return errors.Join(err, f.File.Punch(off, n/2))
	}
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
	d.punched = func() error {
		if punched++; punched > 1 {
			return nil
		}
		if n := uses(); n < 2 {
			t.Errorf("%d use while it is relieved: ours may be the last", n)
			return nil
		}
		f.unuse() // as Release does when all is committed
		return nil
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

// Where the disk cannot give up a piece of a file it gives up the others, of an edit and of a file that is sent in parts. Of the piece
// nothing is taken for bytes of the file.
func TestRelieveGoesOn(t *testing.T) {
	content := noise(3<<20, 1)
	for name, begin := range map[string]func(r *rig, s *Store) *File{
		"an edit": func(r *rig, s *Store) *File {
			f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
			if _, err := f.WriteAt(t.Context(), []byte(content[1<<20:1<<20+5]), 1<<20); err != nil {
				t.Fatal(err)
			}
			if err := f.complete(t.Context(), 0, f.Size()); err != nil { // as parts that were sent leave it
				t.Fatal(err)
			}
			return f
		},
		"parts": func(r *rig, s *Store) *File {
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			f.stream.stay = true // until it is relieved
			r.grow(f, content, 0)
			r.landed(f)
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			n := 0
			r.opt.Disk = &punchDisk{FS: disktest.New(), punched: func() error {
				if n++; n == 1 {
					return syscall.EIO
				}
				return nil
			}}
			s := young(r)
			f := begin(r, s)
			if err := f.relieve(); !errors.Is(err, syscall.EIO) || n < 2 {
				t.Errorf("tried %d times: %v, want the error of the first, and others", n, err)
			}
			got := make([]byte, len(content))
			if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
				t.Errorf("reads as other bytes than were written (%v)", err)
			}
			r.close(f)
			r.flush(s)
			r.want("a", content)
		})
	}
}

// What was given up is not given up again: the journal grows once for each part.
func TestRelievedOnce(t *testing.T) {
	r := newRig(t)
	r.opt.Disk = disktest.New()
	s := young(r)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	content := noise(3<<20, 1)
	r.grow(f, content, 0)
	r.landed(f)
	if err := f.relieve(); err != nil || !s.holed(f.stage) {
		t.Fatalf("nothing was given up: %v", err)
	}
	before := s.journal.Seq()
	if err := f.relieve(); err != nil || s.journal.Seq() != before {
		t.Errorf("given up again: %d records, %v", s.journal.Seq()-before, err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
}
