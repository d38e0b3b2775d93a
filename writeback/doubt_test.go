package writeback

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// badStages is a disk a sync of whose staged files fails once, after which later ones of what it was to write do nothing.
type badStages struct {
	*disktest.Mem
	fail  atomic.Bool
	full  atomic.Bool // the next file finds no room
	drops bool        // what was not written is not in memory either

	mu   sync.Mutex // guards the field below
	lost map[string]bool
}

func newBadStages(drops bool) *badStages {
	return &badStages{Mem: disktest.New(), drops: drops, lost: make(map[string]bool)}
}

func (d *badStages) Create(name string) (disk.File, error) {
	if d.full.Swap(false) {
		return nil, syscall.ENOSPC
	}
	f, err := d.Mem.Create(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost[name] = false
	return &badStage{f, d, name}, err
}

func (d *badStages) Open(name string) (disk.File, error) {
	f, err := d.Mem.Open(name)
	return &badStage{f, d, name}, err
}

// Rename makes a name that of another inode.
func (d *badStages) Rename(from, to string) error {
	d.mu.Lock()
	d.lost[to] = false
	d.mu.Unlock()
	return d.Mem.Rename(from, to)
}

// failing fails once: for one file, or all.
func (d *badStages) failing(name string) error {
	if !d.fail.Swap(false) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for other := range d.lost {
		if !strings.HasPrefix(other, "staged/") || name != "" && name != other {
			continue
		}
		if f, err := d.Mem.Open(other); err == nil {
			size, serr := f.Size()
			d.lost[other] = serr == nil && size > 0
		}
	}
	return fmt.Errorf("sync: %w", syscall.EIO)
}

func (d *badStages) isLost(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost[name]
}

// SyncAll writes what no sync has failed for.
func (d *badStages) SyncAll() error {
	if err := d.failing(""); err != nil {
		return err
	}
	d.mu.Lock()
	names := slices.Collect(maps.Keys(d.lost))
	d.mu.Unlock()
	var err error
	for _, name := range names {
		f, oerr := d.Open(name)
		if oerr == nil {
			err = errors.Join(err, f.Sync(), d.SyncDir(path.Dir(name)))
		}
	}
	return err
}

type badStage struct {
	disk.File
	fs   *badStages
	name string
}

func (f *badStage) Sync() error {
	if strings.HasPrefix(f.name, "staged/") {
		if err := f.fs.failing(f.name); err != nil {
			return err
		}
	}
	if f.fs.isLost(f.name) {
		return nil // says so, and does nothing
	}
	return f.File.Sync()
}

func (f *badStage) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if f.fs.drops && f.fs.isLost(f.name) {
		clear(p[:n])
	}
	return n, err
}

// A staged file whose sync failed is written anew: what is then said to be durable is. By a sync of its own, and of
// the whole filesystem; also when there was no room for it at first.
func TestStageSyncFails(t *testing.T) {
	for name, files := range map[string]int{"one": 1, "many": 3 * syncFiles, "full": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.smallMost = -1
			d := newBadStages(false)
			r.opt.Disk, r.opt.Delay, r.opt.LocalFsync = d, time.Hour, true
			s := r.open()
			if err := s.sync.flush(); err != nil {
				t.Fatal(err)
			}
			d.fail.Store(true)
			for i := range files {
				r.write(s, fmt.Sprint(i), noise(5000, uint64(i)))
			}
			for d.fail.Load() { // by this group or the one of each second
				if err := s.sync.flush(); err != nil && !errors.Is(err, syscall.EIO) {
					t.Errorf("sync: got %v, want EIO", err)
				}
			}
			d.full.Store(name == "full")
			for d.full.Load() {
				if err := s.sync.flush(); err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("sync: got %v, want ENOSPC", err)
				}
			}
			if err := s.Sync(t.Context(), "0"); err != nil {
				t.Fatalf("sync after it was written anew: %v", err)
			}
			if err := s.compact(); err != nil {
				t.Errorf("nothing is in doubt any more: %v", err)
			}
			r.refuse()
			for seed := range uint64(6) {
				r.opt.Disk = d.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				after := r.open()
				for i := range files {
					p := make([]byte, 5000)
					f, ok := after.OpenContent(Key(fmt.Sprint(i)))
					if !ok {
						t.Fatalf("seed %d: file %d is lost", seed, i)
					}
					if _, err := f.ReadAt(t.Context(), p, 0); err != nil || string(p) != noise(5000, uint64(i)) {
						t.Errorf("seed %d: file %d has other bytes (%v)", seed, i, err)
					}
					f.Release()
				}
			}
		})
	}
}

// Bytes that the disk has lost are never stored in the bucket; fsync and the status say so.
func TestStageIsDamaged(t *testing.T) {
	r := newRig(t)
	r.opt.smallMost = -1
	d := newBadStages(true)
	r.opt.Disk, r.opt.Delay = d, time.Hour
	s := r.open()
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	d.fail.Store(true)
	f := must(s.Create("a", fileAttr(), r.put("a", "before")))(t)
	if _, err := f.WriteAt(t.Context(), []byte(noise(5000, 1)), 0); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	for d.fail.Load() {
		_ = s.sync.flush() // it fails
	}
	if err := s.sync.flush(); err != nil {
		t.Errorf("the group after it was written anew: %v", err)
	}
	if err := s.Sync(t.Context(), "a"); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: got %v, want EIO", err)
	}
	f.Release()
	if st := s.Status(); st.Failed != 1 {
		t.Errorf("status: %+v, want one failed", st)
	}
	r.want("a", "before")
	if n := r.server.Counts()["PutObject"]; n > 0 {
		t.Errorf("%d PutObject of damaged bytes", n)
	}
	if len(r.server.Uploads(ossservertest.Bucket)) > 0 {
		t.Error("an upload is left")
	}
}
