package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/lockfile"
)

// OS returns the FS of a real directory, made with mode 0700 when it is not there.
func OS(root string) (FS, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(root) // for as long as the FS is used
	if err != nil {
		return nil, err
	}
	return osFS{root, dir}, nil
}

type osFS struct {
	root string
	dir  *os.File // root, opened once: what is put in its place later is not followed
}

var (
	_ FS   = osFS{}
	_ File = (*osFile)(nil)
)

func (d osFS) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

func (d osFS) MkdirAll(dir string) error { return os.MkdirAll(d.path(dir), 0o700) }

func (d osFS) open(name string, flags int) (File, error) {
	path := d.path(name)
	for {
		fd, err := d.openat(name, flags|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW)
		if err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: something was renamed on the way
			continue
		}
		if err == nil && flags&unix.O_EXCL == 0 {
			err = checkOwn(fd)
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return &osFile{os.NewFile(uintptr(fd), path)}, nil
	}
}

// openat opens a name without following a link anywhere on the way to it; before Linux 5.6, only at its end.
func (d osFS) openat(name string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = 0o600
	}
	fd, err := unix.Openat2(int(d.dir.Fd()), filepath.FromSlash(name), &how)
	if err == unix.ENOSYS || err == unix.EPERM { // EPERM: a sandbox that does not know it
		return unix.Open(d.path(name), flags, 0o600)
	}
	return fd, err
}

// errNotOurs says that a file is not one that was made here.
var errNotOurs = errors.New("it is not a plain file with one name: somebody else put it there")

// checkOwn refuses what was put in a file's place: a device, a pipe, a second name of some other file. It closes
// what it refuses.
func checkOwn(fd int) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1) {
		err = errNotOurs
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
	}
	return err
}

func (d osFS) Create(name string) (File, error) { return d.open(name, unix.O_CREAT|unix.O_EXCL) }
func (d osFS) Open(name string) (File, error)   { return d.open(name, 0) }
func (d osFS) Rename(from, to string) error     { return os.Rename(d.path(from), d.path(to)) }

func (d osFS) Remove(name string) error {
	path := d.path(name)
	if err := unix.Unlink(path); err != nil {
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

func (d osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d osFS) withDir(dir string, do func(fd int) error) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := do(int(f.Fd())); err != nil {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}

func (d osFS) SyncDir(dir string) error { return d.withDir(dir, unix.Fsync) }
func (d osFS) SyncAll() error           { return d.withDir("", unix.Syncfs) }

func (d osFS) Lock(name string) (io.Closer, error) { return lockfile.Take(d.path(name)) }

func (d osFS) Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // unknown: never equal to what a journal remembers
	}
	return strings.TrimSpace(string(id))
}

func (d osFS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.root, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: d.root, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *osFile) Sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Reserve(off, n int64) error {
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n); err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Punch(off, n int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if err != nil {
		return &os.PathError{Op: "punch", Path: f.Name(), Err: err}
	}
	return nil
}
