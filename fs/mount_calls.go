package fs

import (
	"math"
	"slices"
	"sync"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/fs/transport"
)

// calls is what the kernel is told by: go-fuse's Server but for one kind of notice.
type calls struct {
	*fuse.Server
	conn *transport.Conn

	asking  sync.Mutex // held while numbers are asked for; guards the field below
	numbers []uint64
}

var _ fusefs.ServerCallbacks = (*calls)(nil)

// EntryNotify has the kernel ask for an entry again. One that cannot be told so loses the entry.
func (c *calls) EntryNotify(parent uint64, name string) fuse.Status {
	if c.conn.Expires() {
		return c.conn.Expire(parent, name)
	}
	return c.Server.EntryNotify(parent, name)
}

// askNumber is an offset that no notice has: who is to be told of the pages there only wants to know the kernel's number of
// an inode, which go-fuse says to nobody but those it has tell the kernel.
const askNumber = math.MinInt64

// InodeNotify has the kernel drop attributes and pages.
func (c *calls) InodeNotify(node uint64, off, length int64) fuse.Status {
	if off == askNumber {
		c.numbers = append(c.numbers, node)
		return fuse.OK
	}
	return c.Server.InodeNotify(node, off, length)
}

// prune has the kernel let go of inodes, where nobody uses them. False: the connection has ended.
func (c *calls) prune(inodes []*fusefs.Inode) bool {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.numbers = c.numbers[:0]
	for _, i := range inodes {
		_ = i.NotifyContent(askNumber, 0)
	}
	return c.conn.Prune(c.numbers).Ok()
}

// calm waits until nobody who had the inode locked does any more: see Conn.Calm. Who answers the kernel must not call it.
func (c *calls) calm(inode *fusefs.Inode) {
	for _, node := range c.known(inode) {
		c.conn.Calm(node)
	}
}

// written waits until what the kernel has sent to be written of a file is written: see Conn.Written.
func (c *calls) written(inode *fusefs.Inode) {
	for _, node := range c.known(inode) {
		c.conn.Written(node)
	}
}

// calmPages waits until nobody reads a piece of the file who did: see Conn.CalmPages.
func (c *calls) calmPages(inode *fusefs.Inode, off, length int64) {
	for _, node := range c.known(inode) {
		c.conn.CalmPages(node, off, length)
	}
}

// known is the kernel's number of an inode; none when the kernel does not know it.
func (c *calls) known(inode *fusefs.Inode) []uint64 {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.numbers = c.numbers[:0]
	_ = inode.NotifyContent(askNumber, 0)
	return slices.Clone(c.numbers)
}

// called is a tree of nodes that tells the kernel things by calls.
type called struct {
	fuse.RawFileSystem
	calls *calls
}

// Init hears which Server it is. The tree of nodes does not, since it would tell the kernel things by that alone.
func (c *called) Init(s *fuse.Server) { c.calls.Server = s }

// kernelPID is the caller of what the kernel writes from pages that programs have stored into through a mapping; no process has the number.
const kernelPID = math.MaxUint32

// Writev notes who writes: the tree of nodes does not hear of the flags.
func (c *called) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		in.Caller.Pid = kernelPID
	}
	return c.RawFileSystem.Writev(cancel, in, data)
}
