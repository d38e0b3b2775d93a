package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mount mounts raw as fuse.NewServer does, with its errors. Requests are answered by Serve.
//
// fuse.Server.WaitMount is not called. It opens a file of the mount in this process, and a process that is killed in such
// a call waits for an answer that nobody is left to give: its mount would hang for all, instead of being dead. A process
// that opens files of its own mount by package os, as a test may, has to call what keeps Go's poller out of it.
func Mount(raw fuse.RawFileSystem, mountpoint string, o *fuse.MountOptions, log *slog.Logger) (*Conn, error) {
	mounting.Lock()
	defer mounting.Unlock()
	before := devices()
	server, err := fuse.NewServer(raw, mountpoint, o)
	if err != nil {
		return nil, err
	}
	c, err := connect(raw, mountpoint, before, o, server, log)
	if err != nil {
		go server.Serve() // Unmount waits for it
		return nil, errors.Join(err, server.Unmount())
	}
	return c, nil
}

func connect(raw fuse.RawFileSystem, mountpoint string, before map[int]bool, o *fuse.MountOptions, server *fuse.Server, log *slog.Logger) (*Conn, error) {
	theirs, err := deviceOf(mountpoint, before)
	if err != nil {
		return nil, fmt.Errorf("the descriptor of /dev/fuse: %w", err)
	}
	fd, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 3) // the Server closes its own
	if err != nil {
		return nil, fmt.Errorf("the descriptor of /dev/fuse: %w", err)
	}
	c, err := newConn(fd, raw, o, server, log)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

// mounting is held while a descriptor of /dev/fuse is new: the Server does not tell which is its own.
var mounting sync.Mutex

// devices are the descriptors of /dev/fuse that this process has.
func devices() map[int]bool {
	found := make(map[int]bool)
	links, _ := filepath.Glob("/proc/self/fd/*") // none without /proc: deviceOf says so
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "/dev/fuse" {
			if fd, err := strconv.Atoi(filepath.Base(link)); err == nil {
				found[fd] = true
			}
		}
	}
	return found
}

// deviceOf is the descriptor of a mount: named by its mountpoint, or the one that was not there before.
func deviceOf(mountpoint string, before map[int]bool) (int, error) {
	if number, ok := strings.CutPrefix(mountpoint, "/dev/fd/"); ok {
		return strconv.Atoi(number)
	}
	for fd := range devices() {
		if !before[fd] {
			return fd, nil
		}
	}
	return 0, fmt.Errorf("not in /proc/self/fd: %w", os.ErrNotExist)
}
