package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

var (
	_ fusefs.NodeUnlinker = (*node)(nil)
	_ fusefs.NodeRmdirer  = (*node)(nil)
)

// Unlink removes a file, a link or a special file. Its open handles read and write on.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.m.fail("unlink", n.Key(), n.remove(ctx, name, false))
}

// Rmdir removes a directory; the bucket is asked whether it is empty.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.m.fail("rmdir", n.Key(), n.remove(ctx, name, true))
}

func (n *node) remove(ctx context.Context, name string, dir bool) error {
	n.use()
	for {
		at := n.Key()
		e, err := n.find(ctx, name)
		if err != nil {
			return err
		}
		switch {
		case dir && !e.Dir:
			return syscall.ENOTDIR
		case !dir && e.Dir:
			return syscall.EISDIR
		case e.Content:
			return syscall.EPERM
		}
		if dir {
			if empty, err := n.m.tree.Empty(ctx, e.Key); err != nil {
				return err
			} else if !empty {
				return syscall.ENOTEMPTY
			}
		}
		if done, err := n.removeAt(ctx, at, e); done || err != nil {
			return err
		}
	}
}

// removeAt removes e from the directory; done is false when the directory was renamed meanwhile.
func (n *node) removeAt(ctx context.Context, at ossclient.Key, e namespace.Entry) (done bool, err error) {
	leave, err := n.m.gate.enter(ctx, e.Key)
	if err != nil {
		return false, err
	}
	defer leave()
	if n.Key() != at {
		return false, nil
	}
	if err := n.keepDir(ctx); err != nil {
		return false, err
	}
	victim := n.m.nodes.get(e.Key)
	if victim != nil {
		if err := victim.detach(ctx); err != nil {
			return false, err
		}
	}
	if err := n.m.store.Remove(e.Key, e.Seen()); err != nil {
		if victim != nil {
			victim.comeBack(e.Key)
		}
		return false, err
	}
	n.touch()
	if !e.Dir {
		n.m.tree.Removed(at)
	}
	return true, nil
}

// detach takes the name from the node. Handles that may write get content of their own first, since
// the object that they would edit is about to go; readers have a hold on it. Content that is not all staged gets one when it
// may be read on, and is completed first where an upload alone has some of it.
func (n *node) detach(ctx context.Context) error {
	n.mu.Lock()
	stage := n.typ == attr.TypeFile && n.writers > 0 && n.content == nil && !n.gone
	c := n.content
	read := c != nil && n.readers > 0 && !n.gone && n.hold == nil
	e, key := n.entry, n.key
	n.mu.Unlock()
	if read && !c.Local() {
		hold := n.m.store.Hold(key)
		if err := c.Settle(ctx); err != nil {
			hold()
			return err
		}
		n.mu.Lock()
		n.hold = hold
		n.mu.Unlock()
	}
	if stage { // not through edit: the caller has the gate
		c, err := n.m.store.Edit(e.Key, e.Seen(), e.Raw.Clone(), n.m.filler(e.Version))
		if err != nil {
			return err
		}
		n.share(c)
	}
	n.leave()
	return nil
}

// leave marks the node as without a name.
func (n *node) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaveLocked()
}

func (n *node) leaveLocked() {
	n.gone = true
	n.m.nodes.unlink(n, n.key)
}

// comeBack undoes leave when the removal failed. Who looked the name up meanwhile, which a stat(2) of a name that the kernel has does without
// the lock of the directory, got a node of its own for it: that one gives the name back, unless it is the only one that the kernel knows.
func (n *node) comeBack(key ossclient.Key) {
	n.mu.Lock()
	n.gone = false
	var other *node
	if !n.dropped.Load() {
		other = n.m.nodes.restore(n, key)
	}
	n.mu.Unlock()
	if other != nil {
		other.leave()
	}
}

// keepDir makes sure that the directory is still there when its last entry has gone: one that was only
// a prefix gets a marker before anything is taken out of it.
func (n *node) keepDir(ctx context.Context) error {
	if n.IsRoot() {
		return nil
	}
	e, err := n.fresh(ctx)
	if err != nil || e.Marker || e.Staged {
		return err
	}
	return n.m.store.Keep(e.Key, e.Raw.Clone())
}
