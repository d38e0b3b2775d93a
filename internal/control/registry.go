package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	entrySuffix  = ".json"
	maxEntrySize = 64 << 10 // bytes
)

// Registry is where the mounts of one user, or for root of all users, are found.
type Registry struct {
	own    string   // where this process's mounts are written
	others []string // where those of other users are read
}

// OpenRegistry finds the registry of the user that runs the process. OSSFS_RUN_DIR puts it elsewhere.
func OpenRegistry() *Registry {
	if dir := os.Getenv("OSSFS_RUN_DIR"); dir != "" {
		return &Registry{own: dir}
	}
	uid := os.Getuid()
	if uid == 0 {
		var others []string
		for _, pattern := range []string{"/run/user/*/ossfs", "/tmp/ossfs-run-*"} {
			found, _ := filepath.Glob(pattern) // the patterns are well formed
			others = append(others, found...)
		}
		return &Registry{own: "/run/ossfs", others: others}
	}
	own := "/tmp/ossfs-run-" + strconv.Itoa(uid)
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		own = filepath.Join(dir, "ossfs")
	}
	return &Registry{own: own, others: []string{"/run/ossfs"}}
}

// Add registers a mount; remove takes it away again.
func (r *Registry) Add(e Entry) (remove func(), err error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(r.own, entryName(e.Mountpoint))
	temp, err := os.CreateTemp(r.own, "new-*")
	if err != nil {
		return nil, err
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(temp.Name()))
	}
	return func() { removeIfOurs(path, e.PID) }, nil
}

// prepare makes the runtime directory, and refuses one that is not this user's: in /tmp anybody could
// have made it.
func (r *Registry) prepare() error {
	mode := os.FileMode(0o700)
	if os.Getuid() == 0 {
		mode = 0o755 // anybody may see that a mount is there
	}
	if err := os.MkdirAll(r.own, mode); err != nil {
		return err
	}
	info, err := os.Lstat(r.own)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must be a directory of yours that no one else can write to", r.own)
	}
	return nil
}

// removeIfOurs leaves the entry of a mount that took the mountpoint over.
func removeIfOurs(path string, pid int) {
	if e, _, err := readEntry(path); err == nil && e.PID == pid {
		_ = os.Remove(path) // List drops the entries of processes that are gone
	}
}

func entryName(mountpoint string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(mountpoint)) // it never fails
	return strconv.FormatUint(h.Sum64(), 16) + entrySuffix
}

// List is every mount whose process lives, by mountpoint.
func (r *Registry) List() ([]Entry, error) {
	var all []Entry
	for i, dir := range append([]string{r.own}, r.others...) {
		files, err := os.ReadDir(dir)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || i > 0 { // others' directories may be closed to us
				continue
			}
			return nil, err
		}
		for _, file := range files {
			if !strings.HasSuffix(file.Name(), entrySuffix) {
				continue
			}
			e, owner, err := readEntry(filepath.Join(dir, file.Name()))
			if err == nil && alive(e.PID) && (i == 0 || runs(owner, e.PID)) {
				all = append(all, e)
			}
		}
	}
	// Stable: of two that claim a mountpoint ours comes first.
	slices.SortStableFunc(all, func(a, b Entry) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
	return all, nil
}

// Find is the mount at a mountpoint.
func (r *Registry) Find(mountpoint string) (Entry, bool, error) {
	all, err := r.List()
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range all {
		if e.Mountpoint == mountpoint {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// Held says whether the mount at a mountpoint was of a process that is killed and cannot end, because the kernel keeps one of its threads; it asks our own
// mounts. The thread waits for an answer that the process itself would have given, and as long as it is there the kernel does not count the mount as
// dead: whoever uses it waits too, until the connection is aborted.
func (r *Registry) Held(mountpoint string) bool {
	e, _, err := readEntry(filepath.Join(r.own, entryName(mountpoint)))
	return err == nil && e.Mountpoint == mountpoint && held(e.PID)
}

// held says whether a process has died but for some of its threads: it is a zombie that has others than the first.
func held(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	return err == nil && strings.HasPrefix(state, "Z") && len(threads) > 1
}

// Containing is the mount that path lies in, the innermost, and what of path is below its mountpoint.
func (r *Registry) Containing(path string) (e Entry, below string, ok bool, err error) {
	all, err := r.List()
	if err != nil {
		return Entry{}, "", false, err
	}
	for _, candidate := range all {
		rest, in := strings.CutPrefix(path, candidate.Mountpoint)
		if in && (rest == "" || rest[0] == '/') && (!ok || len(candidate.Mountpoint) > len(e.Mountpoint)) {
			e, below, ok = candidate, strings.Trim(rest, "/"), true
		}
	}
	return e, below, ok, nil
}

// readEntry reads an entry and says whose file it is.
func readEntry(path string) (e Entry, owner uint32, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Entry{}, 0, err
	}
	defer f.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return Entry{}, 0, err
	}
	if err := json.NewDecoder(io.LimitReader(f, maxEntrySize)).Decode(&e); err != nil {
		return Entry{}, 0, fmt.Errorf("%s: %w", path, err)
	}
	return e, st.Uid, nil
}

// runs reports whether a process is a user's: nobody speaks for the mounts of others. What /proc hides is
// not believed.
func runs(user uint32, pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			fields := strings.Fields(ids)
			return len(fields) > 1 && fields[1] == strconv.FormatUint(uint64(user), 10) // the effective one
		}
	}
	return false
}

// alive reports whether a process is there, and is not one that has died and only waits for its parent to
// notice.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) { // another user's is EPERM
		return false
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil { // /proc may hide other users' processes
		return !errors.Is(err, fs.ErrNotExist) || os.Getuid() != 0
	}
	_, state, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): the name before may hold anything but this
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
