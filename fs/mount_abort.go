package fs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fuseControl is where most systems have the control filesystem of FUSE.
const fuseControl = "/sys/fs/fuse/connections"

// OpenAbort opens the file to which who writes ends the mount's connection with the kernel, whoever waits for whom
// (Documentation/filesystems/fuse/fuse.rst, "Control filesystem"). It stays this connection's when its number is another's.
// Not everybody may: root can always, others where the control filesystem is mounted; of a descriptor that somebody else has
// mounted (/dev/fd/N) the number is not known.
func (m *Mount) OpenAbort() (fd int, err error) {
	if strings.HasPrefix(m.options.Mountpoint, descriptors) {
		return 0, fmt.Errorf("mount on %s: which connection it is is not known", m.options.Mountpoint)
	}
	st, err := m.device()
	if err != nil {
		return 0, err
	}
	name := strconv.FormatUint(uint64(st.Dev_minor), 10) + "/abort"
	flags := unix.O_WRONLY | unix.O_CLOEXEC
	fd, err = unix.Open(fuseControl+"/"+name, flags, 0)
	if errors.Is(err, unix.ENOENT) { // it is not mounted, as in most containers
		fd, err = openControl(name, flags)
	}
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: fuseControl + "/" + name, Err: err}
	}
	return fd, nil
}

// openControl opens a file of the control filesystem by a mount that is in nobody's tree of files, and ends with it.
func openControl(name string, flags int) (fd int, err error) {
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return 0, err
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(mount)
	return unix.Openat(mount, name, flags, 0)
}

// device is the mount's number. It asks nothing of ourselves: whoever kills us meanwhile would leave the mount without an end.
func (m *Mount) device() (st unix.Statx_t, err error) {
	err = unix.Statx(unix.AT_FDCWD, m.options.Mountpoint, unix.AT_STATX_DONT_SYNC, 0, &st)
	return st, err
}
