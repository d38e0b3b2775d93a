package transport

import (
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Expires says whether the kernel knows Expire: since Linux 6.2.
func (c *Conn) Expires() bool {
	return c.server.KernelSettings().Flags64()&fuse.CAP_HAS_EXPIRE_ONLY != 0
}

// Expire has the kernel look an entry of a directory up again before it believes in it. The notice that go-fuse sends takes
// the entry away: whoever works in it is then in a directory without a name, and what is mounted on it, or below, is
// unmounted. A kernel that does not know Expire takes it for that notice.
func (c *Conn) Expire(parent uint64, name string) fuse.Status {
	const code = -fuse.NOTIFY_INVAL_ENTRY
	entry := fuse.NotifyInvalEntryOut{Parent: parent, NameLen: uint32(len(name)), Flags: fuse.EXPIRE_ONLY}
	head := fuse.OutHeader{Status: code, Length: uint32(outHeader + int(unsafe.Sizeof(entry)) + len(name) + 1)}
	p := make([]byte, 0, head.Length)
	p = append(p, unsafe.Slice((*byte)(unsafe.Pointer(&head)), outHeader)...)
	p = append(p, unsafe.Slice((*byte)(unsafe.Pointer(&entry)), unsafe.Sizeof(entry))...)
	p = append(append(p, name...), 0)
	c.telling.RLock()
	defer c.telling.RUnlock()
	if c.closed {
		return fuse.Status(syscall.ENODEV)
	}
	for {
		_, err := unix.Write(c.fd, p)
		if err == unix.EINTR {
			continue
		}
		if errno, ok := err.(syscall.Errno); ok {
			return fuse.Status(errno)
		}
		return fuse.OK
	}
}
