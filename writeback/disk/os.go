package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OS returns the FS of a real directory, made with mode 0700 when it is not there.
func OS(root string) (FS, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	return osFS{root}, nil
}

type osFS struct{ root string }

var (
	_ FS   = osFS{}
	_ File = (*osFile)(nil)
)

func (d osFS) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

func (d osFS) MkdirAll(dir string) error { return os.MkdirAll(d.path(dir), 0o700) }

func (d osFS) open(name string, flags int) (File, error) {
	path := d.path(name)
	for {
		fd, err := unix.Open(path, flags|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return &osFile{os.NewFile(uintptr(fd), path)}, nil
	}
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

func (d osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0) // only for the message
		return nil, &LockedError{Name: f.Name(), PID: strings.TrimSpace(string(pid[:n]))}
	}
	if err := f.Truncate(0); err == nil { // the pid is only a hint to people: the lock is flock's
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

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
