package disktest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/ossfs/ossfs/internal/lockfile"
	"github.com/ossfs/ossfs/writeback/disk"
)

// ErrStopped is the error of every change after the disk was stopped.
var ErrStopped = errors.New("disktest: the disk was stopped")

// page is how much of a file is written back at once.
const page = 4096

// Mem is a disk in memory.
type Mem struct {
	mu       sync.Mutex // guards the fields below
	boot     int
	names    map[string]*inode
	durable  map[string]*inode
	dirs     map[string]bool
	changes  int
	stopAt   int // this change fails; -1: none
	stopped  bool
	full     int64 // bytes that may still be written; negative: no limit
	files    int   // files that may still be made; negative: no limit
	noFiles  error // what is said then
	locked   bool
	onStop   func()
	failSync int // the sync that fails, the next is 1; 0: none
}

type inode struct {
	data     []byte
	durable  []byte
	reserved int64 // bytes before it were taken off what is free, beyond data
	untold   bool  // a sync of all has failed: the next of this file says so
	lost     bool  // a sync has failed: what it had is not written any more
}

var (
	_ disk.FS   = (*Mem)(nil)
	_ disk.File = (*file)(nil)
)

// New is an empty disk.
func New() *Mem {
	return &Mem{names: make(map[string]*inode), durable: make(map[string]*inode), dirs: map[string]bool{"": true, ".": true}, stopAt: -1, full: -1, files: -1}
}

// StopAt makes the n-th change from now, and all after it, fail; the n-th, if it is a write, half done. Then
// onStop is called. A disk that has stopped goes on until then: a process was killed, and this is the next.
func (m *Mem) StopAt(n int, onStop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes, m.stopAt, m.onStop, m.stopped = 0, n, onStop, false
}

// StopNext makes the next change fail, as StopAt does, unless the disk has stopped.
func (m *Mem) StopNext() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopped {
		m.stopAt = m.changes
	}
}

// Stopped says whether the change has come.
func (m *Mem) Stopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}

// Fill leaves room for n bytes more; negative: no limit.
func (m *Mem) Fill(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = n
}

// FillFiles leaves room for n files more, and for as many as are removed, and says err when there is none; negative: no limit.
func (m *Mem) FillFiles(n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files, m.noFiles = n, err
}

// Killed is the disk as the next process finds it after this one was killed.
func (m *Mem) Killed() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cloneLocked(m.names, func(i *inode) []byte { return i.data })
}

// PowerCut is the disk as a loss of power may leave it.
func (m *Mem) PowerCut(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if rng.IntN(2) == 0 {
			names[name] = m.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.durable)) {
		if m.names[name] == nil && rng.IntN(2) == 0 {
			delete(names, name)
		}
	}
	c := m.cloneLocked(names, func(i *inode) []byte { return torn(i, rng) })
	c.boot++
	return c
}

// torn is what may be left of a file: durable bytes, all bytes, or those up to some page, then zeros or the
// durable ones.
func torn(i *inode, rng *rand.Rand) []byte {
	switch rng.IntN(4) {
	case 0:
		return i.durable
	case 1:
		return i.data
	case 2: // the length came through, some pages did not
		b := make([]byte, len(i.data))
		copy(b, i.durable)
		for off := 0; off < len(b); off += page {
			if rng.IntN(2) == 0 {
				copy(b[off:min(off+page, len(b))], i.data[off:])
			}
		}
		return b
	}
	cut := rng.IntN(len(i.data) + 1)
	if cut < len(i.durable) {
		return i.durable
	}
	return i.data[:cut]
}

func (m *Mem) cloneLocked(names map[string]*inode, content func(*inode) []byte) *Mem {
	c := New()
	c.boot = m.boot
	c.dirs = maps.Clone(m.dirs)
	for name, i := range names {
		b := content(i)
		c.names[name] = &inode{data: slices.Clone(b), durable: slices.Clone(b)}
	}
	c.durable = maps.Clone(c.names)
	return c
}

// changeLocked counts a change; it fails when the disk is stopped.
func (m *Mem) changeLocked() error {
	if m.stopped || m.changes == m.stopAt {
		if !m.stopped && m.onStop != nil {
			go m.onStop() // it may take locks that whoever changes the disk holds
		}
		m.stopped = true
		return ErrStopped
	}
	m.changes++
	return nil
}

// MkdirAll is durable at once: directories are made once and their loss would only hide files.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := dir; d != "." && d != ""; d = path.Dir(d) {
		m.dirs[d] = true
	}
	return nil
}

func (m *Mem) Create(name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[path.Dir(name)] {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if m.files == 0 {
		return nil, &fs.PathError{Op: "create", Path: name, Err: m.noFiles}
	}
	if err := m.changeLocked(); err != nil {
		return nil, err
	}
	m.files = max(m.files-1, -1)
	i := &inode{}
	m.names[name] = i
	return &file{m, i}, nil
}

func (m *Mem) Open(name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.names[name]
	if i == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{m, i}, nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.names[from]
	if i == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err := m.changeLocked(); err != nil {
		return err
	}
	delete(m.names, from)
	m.names[to] = i
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := m.changeLocked(); err != nil {
		return err
	}
	delete(m.names, name)
	if m.files >= 0 {
		m.files++
	}
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]bool)
	add := func(name string) {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			found[first] = true
		}
	}
	for name := range m.names {
		add(name)
	}
	for name := range m.dirs {
		add(name)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, &lockfile.HeldError{Name: name}
	}
	m.locked = true
	return unlocker{m}, nil
}

type unlocker struct{ m *Mem }

func (u unlocker) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	u.m.locked = false
	return nil
}

func (m *Mem) Boot() string         { return fmt.Sprint(m.boot) }
func (m *Mem) Free() (int64, error) { return 1 << 40, nil }

type file struct {
	m *Mem
	i *inode
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.i.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	first := !f.m.stopped
	if err := f.m.changeLocked(); err != nil {
		if first { // half of it
			f.writeLocked(p[:len(p)/2], off)
		}
		return 0, err
	}
	n := len(p)
	if fresh := off + int64(n) - max(off, f.i.reserved); f.m.full >= 0 && fresh > 0 {
		n -= int(max(fresh-f.m.full, 0))
		f.m.full -= min(fresh, f.m.full)
	}
	f.writeLocked(p[:n], off)
	if n < len(p) {
		return n, &fs.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	return n, nil
}

func (f *file) Reserve(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	more := off + n - max(off, f.i.reserved)
	if f.m.full < 0 || more <= 0 {
		return nil
	}
	if more > f.m.full {
		return &fs.PathError{Op: "fallocate", Err: syscall.ENOSPC}
	}
	f.m.full -= more
	f.i.reserved = off + n
	return nil
}

func (f *file) writeLocked(p []byte, off int64) {
	if grow := off + int64(len(p)) - int64(len(f.i.data)); grow > 0 {
		f.i.data = append(f.i.data, make([]byte, grow)...)
	}
	copy(f.i.data[off:], p)
}

func (f *file) Close() error { return nil }

func (f *file) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.i.data)), nil
}

func (f *file) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.changeLocked(); err != nil {
		return err
	}
	if over := f.i.reserved - size; over > 0 && f.m.full >= 0 {
		f.m.full += over
		f.i.reserved = size
	}
	if size < int64(len(f.i.data)) {
		f.i.data = f.i.data[:size:size]
		f.i.lost = f.i.lost && size > 0
	} else {
		f.writeLocked(nil, size)
	}
	return nil
}

func (f *file) Punch(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.changeLocked(); err != nil {
		return err
	}
	end := min(off+n, int64(len(f.i.data)))
	if off < end {
		clear(f.i.data[off:end])
	}
	return nil
}
