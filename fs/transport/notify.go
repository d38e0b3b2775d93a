package transport

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Calm returns when the requests on an inode that are being answered now have their answers. The kernel keeps the inode, or pages of it,
// locked until then, and a notice of it waits for the lock. Were this process killed there, nothing would end by itself: the kernel
// ends a connection when all threads that have it are gone, this one waits for the lock, and who has it for an answer.
func (c *Conn) Calm(node uint64) { c.await(c.flying.on(node)) }

// CalmPages is Calm for who hands pages to the kernel: it returns when the READs of that piece of a file have their answers.
func (c *Conn) CalmPages(node uint64, off, length int64) {
	c.await(c.flying.reading(node, span{off, off + length}))
}

// Written returns when what the kernel had sent of an inode to be written is written. Before Linux 6.16 a page that a program has stored
// into through a mapping counts as written, and is dropped when it is to be, as soon as the kernel has its WRITE in the queue.
func (c *Conn) Written(node uint64) {
	for begun := time.Now(); c.queued() && time.Since(begun) < queuedMost; {
		time.Sleep(queuedEvery)
	}
	for c.hands.Load() > 0 && !c.over() {
		time.Sleep(queuedEvery)
	}
	c.await(c.flying.writing(node))
}

const (
	queuedEvery = 50 * time.Microsecond
	queuedMost  = time.Second // so many come at once that there is always one in the queue
)

// queued says whether requests wait to be read.
func (c *Conn) queued() bool {
	c.telling.RLock()
	defer c.telling.RUnlock()
	if c.closed {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil && fds[0].Revents&unix.POLLIN != 0
}

func (c *Conn) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *Conn) await(ends []<-chan struct{}) {
	for _, ended := range ends {
		select {
		case <-ended:
		case <-c.ended:
			return
		}
	}
}

// Expires says whether the kernel knows Expire: since Linux 6.2.
func (c *Conn) Expires() bool {
	return c.server.KernelSettings().Flags64()&fuse.CAP_HAS_EXPIRE_ONLY != 0
}

// Expire has the kernel look an entry of a directory up again before it believes in it. The notice that go-fuse sends takes
// the entry away: whoever works in it is then in a directory without a name, and what is mounted on it, or below, is
// unmounted. A kernel that does not know Expire takes it for that notice.
func (c *Conn) Expire(parent uint64, name string) fuse.Status {
	entry := fuse.NotifyInvalEntryOut{Parent: parent, NameLen: uint32(len(name)), Flags: fuse.EXPIRE_ONLY}
	return c.tell(fuse.NOTIFY_INVAL_ENTRY, unsafe.Slice((*byte)(unsafe.Pointer(&entry)), unsafe.Sizeof(entry)), append([]byte(name), 0))
}

// Prunes says whether the kernel knows Prune: since Linux 6.18.
func (c *Conn) Prunes() bool { return c.server.KernelSettings().SupportsNotify(fuse.NOTIFY_PRUNE) }

// Prune has the kernel let go of inodes, by its numbers, where nobody uses them: FORGETs follow.
func (c *Conn) Prune(nodes []uint64) fuse.Status {
	if len(nodes) == 0 {
		return fuse.OK
	}
	out := fuse.NotifyPruneOut{Count: uint32(len(nodes))}
	return c.tell(fuse.NOTIFY_PRUNE, unsafe.Slice((*byte)(unsafe.Pointer(&out)), unsafe.Sizeof(out)),
		unsafe.Slice((*byte)(unsafe.Pointer(&nodes[0])), 8*len(nodes)))
}

// tell sends a notice: go-fuse's codes are the kernel's with the sign changed.
func (c *Conn) tell(code int32, body, more []byte) fuse.Status {
	head := fuse.OutHeader{Status: -code, Length: uint32(outHeader + len(body) + len(more))}
	p := make([]byte, 0, head.Length)
	p = append(p, unsafe.Slice((*byte)(unsafe.Pointer(&head)), outHeader)...)
	p = append(append(p, body...), more...)
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
