package doctor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is where the local checks look.
type Machine struct {
	Root     string                       // of the files that are read; empty: /
	UID      int                          // who mounts; with Root empty: the effective user
	Release  string                       // of the kernel; empty: uname's
	LookPath func(string) (string, error) // nil: exec.LookPath
}

func (m Machine) orThis() Machine {
	if m.Root == "" {
		m.Root, m.UID = "/", os.Geteuid()
	}
	if m.LookPath == nil {
		m.LookPath = exec.LookPath
	}
	if m.Release == "" {
		var u unix.Utsname
		if unix.Uname(&u) == nil {
			m.Release = unix.ByteSliceToString(u.Release[:])
		}
	}
	return m
}

func (m Machine) path(name string) string { return filepath.Join(m.Root, name) }

// read is the trimmed content of a small file; empty when it cannot be read.
func (m Machine) read(name string) string {
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// machine makes the checks that need no network.
func (e *examination) machine() {
	for _, check := range []func(Machine) Check{checkDevice, checkMounting, checkAllowOther, checkKernel} {
		start := time.Now()
		e.add(check(e.Machine), start)
	}
}

func checkDevice(m Machine) Check {
	c := Check{Name: "/dev/fuse"}
	f, err := os.OpenFile(m.path("/dev/fuse"), os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		c.Outcome, c.Found = OK, "can be opened"
	case errors.Is(err, fs.ErrNotExist):
		c.Outcome, c.Found = Fail, "there is no /dev/fuse"
		c.Cure = "load the module: modprobe fuse; in a container: give it --device /dev/fuse"
	case errors.Is(err, fs.ErrPermission) && m.UID == 0:
		c.Outcome, c.Found = Fail, "root may not open /dev/fuse"
		c.Cure = "this looks like a container: give it --device /dev/fuse and --cap-add SYS_ADMIN"
	case errors.Is(err, fs.ErrPermission):
		c.Outcome, c.Found = Fail, "user "+strconv.Itoa(m.UID)+" may not open /dev/fuse"
		c.Cure = "chmod 666 /dev/fuse, or add the user to the group that owns it"
	default:
		c.Outcome, c.Found = Fail, "cannot be opened: "+plain(err)
		c.Cure = "load the module: modprobe fuse"
	}
	return c
}

const capSysAdmin = 21 // bit of CapEff in /proc/self/status

// checkMounting asks who may call mount(2): root with its capability, others through fusermount3.
func checkMounting(m Machine) Check {
	c := Check{Name: "mounting"}
	if m.UID == 0 {
		caps, known := m.capabilities()
		if known && caps&(1<<capSysAdmin) == 0 {
			c.Outcome, c.Found = Fail, "root lacks the capability SYS_ADMIN"
			c.Cure = "start the container with --cap-add SYS_ADMIN --device /dev/fuse"
			return c
		}
		c.Outcome, c.Found = OK, "root mounts without a helper"
		return c
	}
	path, err := m.LookPath("fusermount3")
	if err != nil {
		c.Outcome, c.Found = Fail, "fusermount3 is not installed, and only root can mount without it"
		c.Cure = "install it: apt install fuse3, or dnf install fuse3"
		return c
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSetuid == 0 {
		c.Outcome, c.Found = Warn, path+" is not set-user-ID root"
		c.Cure = "chmod u+s " + path + ", unless this is a user namespace"
		return c
	}
	c.Outcome, c.Found = OK, "through "+path
	return c
}

func (m Machine) capabilities() (caps uint64, known bool) {
	for line := range strings.Lines(m.read("/proc/self/status")) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return caps, err == nil
		}
	}
	return 0, false
}

func checkAllowOther(m Machine) Check {
	c := Check{Name: "allow_other", Outcome: OK}
	if m.UID == 0 {
		c.Found = "root may give it"
		return c
	}
	data, err := os.ReadFile(m.path("/etc/fuse.conf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Outcome, c.Found = Warn, "/etc/fuse.conf cannot be read: "+plain(err)
		return c
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			c.Found = "user_allow_other is set in /etc/fuse.conf"
			return c
		}
	}
	c.Outcome, c.Found = Warn, "only the mounting user will see the mount: /etc/fuse.conf does not say user_allow_other"
	c.Cure = "if others shall: add the line user_allow_other to /etc/fuse.conf, and mount with -o allow_other"
	return c
}

// oldest is the oldest kernel with which the tests were run.
const oldest = "5.10"

// checkKernel says what of the kernel's FUSE makes a difference here: since 5.11 (FUSE_HANDLE_KILLPRIV_V2) it does not ask for an
// attribute before each write(2), since 6.18 (FUSE_NOTIFY_PRUNE) it lets go of inodes when it is asked to.
func checkKernel(m Machine) Check {
	c := Check{Name: "kernel", Outcome: OK}
	major, minor, ok := release(m.Release)
	if !ok {
		c.Outcome, c.Found = Warn, fmt.Sprintf("version %q is not understood", m.Release)
		return c
	}
	newer := func(a, b int) bool { return major > a || major == a && minor >= b }
	offers := []string{"Linux " + m.Release}
	if !newer(5, 10) {
		c.Outcome, c.Cure = Warn, "a kernel of "+oldest+" or later is faster, and tested"
	}
	if !newer(5, 11) {
		offers = append(offers, "asks twice for each write (until 5.11)")
	}
	if newer(6, 18) {
		offers = append(offers, "lets go of inodes")
	} else {
		offers = append(offers, "keeps inodes until its memory is short (until 6.18)")
	}
	if pages, err := strconv.Atoi(m.read("/proc/sys/fs/fuse/max_pages_limit")); err == nil {
		offers = append(offers, fmt.Sprintf("requests up to %s", size(int64(pages)*int64(os.Getpagesize()))))
	}
	if m.UID == 0 {
		offers = append(offers, "read-ahead is raised at the mount")
	} else {
		offers = append(offers, "read-ahead stays at 128 KiB (root can raise it)")
	}
	c.Found = strings.Join(offers, ", ")
	return c
}

func release(text string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(text, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(rest)
	return major, minor, err == nil && err2 == nil
}

// onECS reports whether this is one of Alibaba Cloud's machines.
func (m Machine) onECS() bool {
	return strings.Contains(m.read("/sys/class/dmi/id/product_name"), "Alibaba Cloud") ||
		strings.Contains(m.read("/sys/class/dmi/id/sys_vendor"), "Alibaba Cloud")
}

// plain is an error without the path or the operation, which the check names already.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
