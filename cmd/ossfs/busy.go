package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const mostHolders = 3 // named in one error

// holders names the processes that keep a mount busy: by an open file, their current or root
// directory, or their program. The mount itself is not asked, so one that hangs does not hang this.
func holders(device string) string {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	var found []string
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() || !holds(pid, device) {
			continue
		}
		if len(found) == mostHolders {
			found = append(found, "others")
			break
		}
		name, err := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
		if err != nil {
			continue // it is gone
		}
		found = append(found, fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid))
	}
	return strings.Join(found, ", ")
}

// holds compares the device of each thing a process has open with a mount's MAJOR:MINOR. fstat of an
// O_PATH descriptor's link would ask the mount, so fdinfo's mount id is not enough and statx with
// AT_STATX_DONT_SYNC is used.
func holds(pid int, device string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, link := range []string{"cwd", "root", "exe"} {
		if onDevice(filepath.Join(dir, link), device) {
			return true
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil { // gone, or another user's
		return false
	}
	for _, f := range files {
		if onDevice(filepath.Join(dir, "fd", f.Name()), device) {
			return true
		}
	}
	return false
}

func onDevice(path, device string) bool {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, 0, &st); err != nil {
		return false
	}
	return fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor) == device
}
