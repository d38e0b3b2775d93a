package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	packSize = 64 << 20 // where a pack is full, in bytes
	dirBits  = 12       // 4,096 blobs share a directory
)

// disk is the directory of a store: blobs and packs, and every change of a file goes through it.
type disk struct {
	dir  string
	lock *os.File
	// change, when set, is asked before each change of the disk: it may refuse it, or say how many of the
	// bytes still reach it. For tests of crashes.
	change func(what string, n int) (int, error)

	nextID  atomic.Uint64
	loading bool // while the log is replayed nothing is removed: a later frame may use it again

	mu      sync.Mutex // guards the fields below; a leaf
	current *pack
	packs   map[uint64]*pack
}

// pack is a file of many small blobs.
type pack struct {
	id     uint64
	f      *os.File
	size   int64 // bytes given out; guarded by disk.mu
	live   int64 // bytes of blobs in use; guarded by disk.mu
	sealed bool  // guarded by disk.mu
}

// openDisk makes or opens dir and locks it.
func openDisk(dir string, change func(string, int) (int, error)) (*disk, error) {
	d := &disk{dir: dir, change: change, packs: map[uint64]*pack{}}
	for _, sub := range []string{"blobs", "packs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close() // the other error says more
		return nil, fmt.Errorf("directory %s is in use by another OSS server: %w", dir, err)
	}
	d.lock = lock
	return d, nil
}

func (d *disk) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, p := range d.packs {
		errs = append(errs, p.f.Close())
	}
	d.packs = nil
	errs = append(errs, d.lock.Close())
	return errors.Join(errs...)
}

func (d *disk) blobName(id uint64) string {
	return filepath.Join(d.dir, "blobs", strconv.FormatUint(id>>dirBits, 16), strconv.FormatUint(id, 16))
}

func (d *disk) packName(id uint64) string {
	return filepath.Join(d.dir, "packs", strconv.FormatUint(id, 16))
}

func (d *disk) indexName() string { return filepath.Join(d.dir, "index") }

// allowed asks the test whether a change may happen.
func (d *disk) allowed(what string, n int) (int, error) {
	if d.change == nil {
		return n, nil
	}
	return d.change(what, n)
}

func (d *disk) createBlob() (*os.File, uint64, error) {
	if _, err := d.allowed("create", 0); err != nil {
		return nil, 0, err
	}
	id := d.nextID.Add(1)
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(d.blobName(id), flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(filepath.Dir(d.blobName(id)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, 0, err
		}
		f, err = os.OpenFile(d.blobName(id), flags, 0o600)
	}
	return f, id, err
}

func (d *disk) writeAt(f *os.File, p []byte, off int64) error {
	n, refused := d.allowed("write", len(p))
	if n > 0 {
		if _, err := f.WriteAt(p[:n], off); err != nil {
			return err
		}
	}
	return refused
}

func (d *disk) remove(name string) error {
	if _, err := d.allowed("remove", 0); err != nil {
		return err
	}
	return os.Remove(name)
}

// pack puts p, which becomes b, into the current pack.
func (d *disk) pack(b *blob, p []byte) error {
	k, at, err := d.reserve(int64(len(p)))
	if err != nil {
		return err
	}
	b.place, b.pack, b.at, b.size = inPack, k, at, int64(len(p))
	if err := d.writeAt(k.f, p, at); err != nil {
		d.unpack(b)
		return err
	}
	return nil
}

// reserve gives out n bytes of a pack, counted as live.
func (d *disk) reserve(n int64) (*pack, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.packs == nil {
		return nil, 0, ErrClosed
	}
	if d.current != nil && d.current.size+n > packSize {
		d.current.sealed = true
		d.dropIfDeadLocked(d.current)
		d.current = nil
	}
	if d.current == nil {
		if _, err := d.allowed("create", 0); err != nil {
			return nil, 0, err
		}
		id := d.nextID.Add(1)
		f, err := os.OpenFile(d.packName(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, 0, err
		}
		d.current = &pack{id: id, f: f}
		d.packs[id] = d.current
	}
	k, at := d.current, d.current.size
	k.size += n
	k.live += n
	return k, at, nil
}

// unpack says that b is not used any more.
func (d *disk) unpack(b *blob) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b.pack.live -= b.size
	if b.pack.sealed {
		d.dropIfDeadLocked(b.pack)
	}
}

func (d *disk) dropIfDeadLocked(k *pack) {
	if k.live > 0 || d.packs == nil {
		return
	}
	delete(d.packs, k.id)
	_ = k.f.Close()                // nothing in it is wanted
	_ = d.remove(d.packName(k.id)) // else the next start removes it
}

// openPack opens a pack that the log speaks of. It takes no new blobs.
func (d *disk) openPack(id uint64) (*pack, error) {
	if k := d.packs[id]; k != nil {
		return k, nil
	}
	f, err := os.OpenFile(d.packName(id), os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	k := &pack{id: id, f: f, sealed: true}
	d.packs[id] = k
	return k, nil
}

// sweep removes the files that no blob of used and no open pack has.
func (d *disk) sweep(used map[uint64]*blob) error {
	dirs, err := filepath.Glob(filepath.Join(d.dir, "blobs", "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := d.sweepDir(dir, func(id uint64) bool { return used[id] != nil }); err != nil {
			return err
		}
	}
	return d.sweepDir(filepath.Join(d.dir, "packs"), func(id uint64) bool { return d.packs[id] != nil })
}

func (d *disk) sweepDir(dir string, used func(uint64) bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := strconv.ParseUint(name, 16, 64)
		if err != nil || used(id) {
			continue // not ours, or in use
		}
		if err := d.remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
