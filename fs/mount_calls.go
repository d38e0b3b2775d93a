package fs

import (
	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/fs/transport"
)

// calls is what the kernel is told by: go-fuse's Server but for one kind of notice.
type calls struct {
	*fuse.Server
	conn *transport.Conn
}

var _ fusefs.ServerCallbacks = (*calls)(nil)

// EntryNotify has the kernel ask for an entry again. One that cannot be told so loses the entry.
func (c *calls) EntryNotify(parent uint64, name string) fuse.Status {
	if c.conn.Expires() {
		return c.conn.Expire(parent, name)
	}
	return c.Server.EntryNotify(parent, name)
}

// called is a tree of nodes that tells the kernel things by calls.
type called struct {
	fuse.RawFileSystem
	calls *calls
}

// Init hears which Server it is. The tree of nodes does not, since it would tell the kernel things by that alone.
func (c *called) Init(s *fuse.Server) { c.calls.Server = s }
