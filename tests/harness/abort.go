package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const connections = "/sys/fs/fuse/connections"

// connectionOf is the number of the mount's connection to the kernel; 0 when it cannot be told.
func connectionOf(dir string) uint32 {
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return 0
	}
	return unix.Minor(st.Dev)
}

// abort breaks a mount's connection by force: whoever waits for it gets ENOTCONN.
func abort(t testing.TB, connection uint32) {
	name := filepath.Join(connections, fmt.Sprint(connection), "abort")
	err := os.WriteFile(name, []byte("1"), 0)
	if errors.Is(err, os.ErrNotExist) {
		if err = unix.Mount("fusectl", connections, "fusectl", 0, ""); err == nil {
			err = errors.Join(os.WriteFile(name, []byte("1"), 0), unix.Unmount(connections, 0))
		}
	}
	if err != nil {
		t.Logf("a mount that is in use could not be aborted: %v", err)
	}
}
