package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rootStateDir   = "/var/lib/ossfs"
	stagedName     = "staged" // the folder of the staged files in a state directory
	stateDirMode   = 0o700
	stateNameHash  = 6 // bytes of the source's hash in a state directory's name
	stateNameBytes = 64
)

// defaultStateDir is where state is kept when nothing is said.
func defaultStateDir() (string, error) {
	if os.Getuid() == 0 {
		return rootStateDir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ossfs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", failf("no place for the journal and staged files: $HOME is not set: give --state-dir DIR")
	}
	return filepath.Join(home, ".local", "state", "ossfs"), nil
}

// stateName is the name of a source's directory below the state directory: readable, and different
// for each source.
func stateName(src source) string {
	sum := sha256.Sum256([]byte(src.String()))
	readable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`/\ "'*?`, r) {
			return '-'
		}
		return r
	}, strings.TrimPrefix(src.String(), sourceScheme))
	if len(readable) > stateNameBytes {
		readable = readable[:stateNameBytes]
	}
	return readable + "-" + hex.EncodeToString(sum[:stateNameHash])
}

// prepareStateDir makes a source's state directory, for its owner only, and returns its path.
func prepareStateDir(parent string, src source) (string, error) {
	if err := os.MkdirAll(parent, stateDirMode); err != nil {
		return "", failf("state directory %s: %w: give --state-dir DIR", parent, reason(err))
	}
	// Links on the way are the administrator's; the directory itself is looked at without following.
	parent, err := filepath.EvalSymlinks(parent)
	if err != nil {
		return "", failf("state directory %s: %w", parent, reason(err))
	}
	if err := checkPrivate(parent, true); err != nil {
		return "", err
	}
	if err := checkWay(parent); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, stateName(src))
	if err := os.Mkdir(dir, stateDirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", failf("state directory %s: %w: give --state-dir DIR", dir, reason(err))
	}
	if err := checkPrivate(dir, false); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, stateDirMode); err != nil { // an older one may let others read
		return "", failf("state directory %s: %w: give --state-dir DIR", dir, reason(err))
	}
	if err := checkPlain(dir); err != nil {
		return "", err
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return "", failf("state directory %s: not writable (%w): give --state-dir DIR", dir, err)
	}
	return dir, nil
}

// checkPrivate refuses a directory in which others could put files: what is staged there is sent with
// the mount's credentials. A shared one, such as /tmp, will do where it is only on the way.
func checkPrivate(dir string, shared bool) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return failf("state directory %s: %w", dir, reason(err))
	}
	if !info.IsDir() {
		return failf("state directory %s: it is not a directory: give --state-dir DIR", dir)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && int(owner.Uid) != os.Getuid() && owner.Uid != 0:
		return failf("state directory %s: it belongs to user %d, who could change what is sent: give another --state-dir", dir, owner.Uid)
	case info.Mode().Perm()&0o022 != 0 && (!shared || info.Mode()&fs.ModeSticky == 0):
		return failf("state directory %s: others can write to it (mode %04o): chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkWay refuses, for root, a directory below one that another user owns, who could put another in its place.
func checkWay(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for dir != "/" {
		dir = filepath.Dir(dir)
		info, err := os.Lstat(dir)
		if err != nil {
			return failf("state directory: %s: %w", dir, reason(err))
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if ok && owner.Uid != 0 || info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return failf("state directory: others can change what is below %s: give another --state-dir", dir)
		}
	}
	return nil
}

// checkPlain refuses a state directory with links in it: it has none unless somebody put them there, to have ossfs read or
// write something else. Journal and staged files are looked at again when they are opened.
func checkPlain(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return failf("state directory %s: %w", dir, reason(err))
		}
		name, _ := filepath.Rel(dir, path) // it lies below
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // another mount of the same source, which the lock refuses later
			return nil
		}
		if err != nil {
			return failf("state directory %s: %w", path, reason(err))
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case d.Type()&fs.ModeSymlink != 0, d.Type().IsRegular() && ok && st.Nlink > 1:
			return failf("state directory %s: %s is a link, which ossfs never makes: find out who made it, and remove it", dir, name)
		case d.IsDir() && filepath.Dir(name) == stagedName:
			return fs.SkipDir // there may be millions of files
		}
		return nil
	})
}

// mountNote is what mount.json in a state directory says: whose state this is.
type mountNote struct {
	Source     string    `json:"source"`
	Endpoint   string    `json:"endpoint,omitempty"`
	Region     string    `json:"region,omitempty"`
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
}

func (n mountNote) write(dir string) error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "mount.json")
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// defaultStageSize is 80 % of what a directory's disk has free, in bytes.
func defaultStageSize(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	free := int64(st.Bavail) * st.Bsize
	return free / 5 * 4, nil
}

// reason strips an operation and a path that the sentence around it names already.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
