package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/control"
)

const (
	fuseDevice   = "/dev/fuse"
	fuseMinor    = 229 // of the device 10:229
	fuseType     = "fuse.ossfs"
	descriptors  = "/dev/fd/" // a mountpoint that is a /dev/fuse opened by someone else
	statPatience = 2 * time.Second
)

// place is a mountpoint that was looked at.
type place struct {
	path     string
	replaced bool // a dead mount was there
	notEmpty bool
}

// checkMountpoint looks at a mountpoint before anything is mounted on it, and removes a mount that a
// crash left dead there.
func checkMountpoint(path string) (place, error) {
	if isDescriptor(path) {
		return place{path: path}, checkDescriptor(path)
	}
	abs, err := resolveMountpoint(path)
	if err != nil {
		return place{}, failf("mountpoint %s: %w", path, reason(err))
	}
	p := place{path: abs}
	mounted, err := mountAt(abs)
	if err != nil {
		return place{}, err
	}
	if mounted != nil && mounted.fsType != "autofs" {
		if !isDead(abs) && !letGo(mounted) {
			return place{}, alreadyMounted(abs, mounted)
		}
		if err := detach(abs); err != nil {
			return place{}, failf("mountpoint %s: a dead mount is there and cannot be removed: %w: fusermount3 -uz %s", abs, err, abs)
		}
		p.replaced, mounted = true, nil
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return place{}, failf("mountpoint %s: it does not exist: mkdir -p %s", abs, abs)
	case err != nil:
		return place{}, failf("mountpoint %s: %w", abs, reason(err))
	case !info.IsDir():
		return place{}, failf("mountpoint %s: it is not a directory", abs)
	}
	if mounted == nil { // reading a directory that autofs watches would mount it
		p.notEmpty = !isEmpty(abs)
	}
	if os.Geteuid() != 0 {
		if err := unix.Access(abs, unix.W_OK); err != nil {
			return place{}, failf("mountpoint %s: user %d may not write to it, and so not mount on it: choose a directory of your own", abs, os.Geteuid())
		}
	}
	return p, nil
}

// isDescriptor reports whether a mountpoint is a /dev/fuse that somebody else has opened and mounted for us.
func isDescriptor(path string) bool { return strings.HasPrefix(path, descriptors) }

// checkDescriptor finds out whether /dev/fd/N is what it should be.
func checkDescriptor(path string) error {
	number, err := strconv.Atoi(strings.TrimPrefix(path, descriptors))
	if err != nil || number < 3 {
		return failf("mountpoint %s: want /dev/fd/N, with the number of an open /dev/fuse that is above 2", path)
	}
	var st unix.Stat_t
	switch err := unix.Fstat(number, &st); {
	case err != nil:
		return failf("mountpoint %s: descriptor %d is not open: who starts ossfs must pass it on", path, number)
	case st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(10, fuseMinor):
		return failf("mountpoint %s: descriptor %d is not a /dev/fuse", path, number)
	}
	return nil
}

func alreadyMounted(abs string, m *mountInfo) error {
	if m.fsType != fuseType {
		return failf("mountpoint %s: it is a mountpoint already (%s, %s): choose another directory", abs, m.source, m.fsType)
	}
	holder := ""
	if e, ok, err := control.OpenRegistry().Find(abs); err == nil && ok {
		holder = ", pid " + strconv.Itoa(e.PID)
	}
	return failf("mountpoint %s: %s is mounted there already%s: ossfs umount %s", abs, m.source, holder, abs)
}

// resolveMountpoint makes a path absolute and free of links. The last element may be a mount that no
// longer answers: then only what leads to it is resolved.
func resolveMountpoint(path string) (string, error) {
	if isDescriptor(path) {
		return path, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	full := make(chan string, 1)
	go func() { // a hung mount may keep it for ever: then it ends with the process
		resolved, err := filepath.EvalSymlinks(abs)
		if err != nil {
			resolved = ""
		}
		full <- resolved
	}()
	select {
	case resolved := <-full:
		if resolved != "" {
			return resolved, nil
		}
	case <-time.After(statPatience):
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs, nil // the check that follows says what is missing
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// isDead reports whether what is mounted at path has lost its process ("Transport endpoint is not
// connected"). statfs is asked, which no cache of the kernel answers. A mount that hangs is not dead:
// somebody may still wake it.
func isDead(path string) bool {
	answer := make(chan error, 1)
	go func() { // as in resolveMountpoint
		var st unix.Statfs_t
		answer <- unix.Statfs(path, &st)
	}()
	select {
	case err := <-answer:
		return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
	case <-time.After(statPatience):
		return false
	}
}

// fuseConnections is where the kernel lets its connections to FUSE's processes be aborted
// (https://docs.kernel.org/filesystems/fuse/fuse.html#control-filesystem).
const fuseConnections = "/sys/fs/fuse/connections"

// letGo makes a mount dead whose process was killed, and cannot end since the kernel keeps one of its threads: what it waits for would have been
// answered by the process. It says whether the mount is dead now.
func letGo(m *mountInfo) bool {
	if m.fsType != fuseType || !control.OpenRegistry().Held(m.path) {
		return false
	}
	_, minor, _ := strings.Cut(m.device, ":")
	if os.WriteFile(filepath.Join(fuseConnections, minor, "abort"), []byte("1"), 0) != nil { // it may not be mounted: in a container
		_ = unix.Unmount(m.path, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW) // this aborts, whether it can unmount or not
	}
	return isDead(m.path)
}

func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}

// detach takes a mount out of the tree though it is in use.
func detach(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	return fusermountUnmount(path, "-u", "-z")
}

// fusermountUnmount is umount2(2) for users who are not root.
func fusermountUnmount(path string, flags ...string) error {
	helper, err := fusermount()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), statPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, helper, append(flags, "--", path)...).CombinedOutput()
	switch text := oneLine(strings.TrimSpace(string(out))); {
	case err == nil:
		return nil
	case strings.HasSuffix(text, "Device or resource busy"):
		return unix.EBUSY
	default:
		return errors.New(text)
	}
}

// fusermount finds the helper with which users who are not root mount.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", failf("fusermount3 is missing, with which users other than root mount: sudo apt-get install fuse3")
}

// checkFuse finds out whether this process can mount at all.
func checkFuse() error {
	const container = "start the container with --device /dev/fuse --cap-add SYS_ADMIN"
	f, err := os.OpenFile(fuseDevice, os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
	}
	inside := inContainer()
	switch {
	case errors.Is(err, fs.ErrNotExist) && inside:
		return failf("%s is missing: %s", fuseDevice, container)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return failf("%s is missing: %smodprobe fuse", fuseDevice, sudo())
	case errors.Is(err, fs.ErrPermission) && inside:
		return failf("%s may not be opened: %s", fuseDevice, container)
	case errors.Is(err, fs.ErrPermission): // fusermount3 opens it as the user
		return failf("%s may not be opened by user %d: %schmod 666 %s", fuseDevice, os.Geteuid(), sudo(), fuseDevice)
	case err != nil:
		return failf("%s: %w", fuseDevice, reason(err))
	case os.Geteuid() != 0:
		_, err := fusermount()
		return err
	case !hasSysAdmin():
		return failf("root may not mount here (CAP_SYS_ADMIN is missing): %s", container)
	}
	return nil
}

// hasSysAdmin reads the effective capabilities of this process.
func hasSysAdmin() bool {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true // let mount(2) say it
	}
	for entry := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(entry, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return err != nil || bits&(1<<unix.CAP_SYS_ADMIN) != 0
		}
	}
	return true
}

func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return os.Getenv("container") != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}
