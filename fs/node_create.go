package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

var (
	_ fusefs.NodeCreater   = (*node)(nil)
	_ fusefs.NodeMkdirer   = (*node)(nil)
	_ fusefs.NodeMknoder   = (*node)(nil)
	_ fusefs.NodeSymlinker = (*node)(nil)
	_ fusefs.NodeLinker    = (*node)(nil)
)

// Create makes a regular file and opens it. The kernel calls it for a name that it believes free; when
// somebody else has taken it, ESTALE makes the kernel look again and open what is there, modes
// checked.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	var content *writeback.File
	child, err := n.make(ctx, name, attr.TypeFile|mode, func(key ossclient.Key, a attr.Attr) (err error) {
		content, err = n.m.store.Create(key, a, ossclient.Version{})
		return err
	})
	if err == syscall.EEXIST && flags&syscall.O_EXCL == 0 {
		return nil, nil, 0, syscall.ESTALE
	}
	if err != nil {
		return nil, nil, 0, n.m.fail("create", n.Key(), err)
	}
	child.mu.Lock()
	child.content, child.pages = content, ownPages
	child.mu.Unlock()
	h := child.newHandle(flags)
	open, err := child.openFlags(ctx, h)
	if err != nil {
		h.close()
		return nil, nil, 0, n.m.fail("create", n.Key(), err)
	}
	return child.answer(out), h, open, 0
}

// Mkdir makes a directory: its marker is staged like any other content.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.put(ctx, "mkdir", name, made{mode: attr.TypeDir | mode&attr.PermMask}, out)
}

// Symlink makes a symbolic link.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.put(ctx, "symlink", name, made{mode: attr.TypeLink | 0o777, body: target}, out)
}

// Mknod makes a named pipe, a socket, a device, or an empty file. They are stored; the kernel opens
// them itself, and the mount is nodev.
func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if typ := mode & attr.TypeMask; typ == 0 || typ == attr.TypeFile {
		return n.mkfile(ctx, name, attr.TypeFile|mode&attr.PermMask, out)
	}
	return n.put(ctx, "mknod", name, made{mode: mode, dev: dev}, out)
}

// mkfile makes an empty file without opening it.
func (n *node) mkfile(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	child, err := n.make(ctx, name, mode, func(key ossclient.Key, a attr.Attr) error {
		content, err := n.m.store.Create(key, a, ossclient.Version{})
		if err != nil {
			return err
		}
		defer content.Release()
		return content.Commit()
	})
	if err != nil {
		return nil, n.m.fail("mknod", n.Key(), err)
	}
	return child.answer(out), 0
}

// Link refuses: a bucket has no hard links (EPERM is POSIX's answer of such a filesystem).
func (n *node) Link(context.Context, fusefs.InodeEmbedder, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// made is something that is whole when it is made.
type made struct {
	mode uint32 // type bits and permissions
	dev  uint32 // of devices
	body string // of links: the target
}

// put makes what is whole at once.
func (n *node) put(ctx context.Context, op, name string, what made, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	child, err := n.make(ctx, name, what.mode, func(key ossclient.Key, a attr.Attr) error {
		a.Rdev = what.dev
		return n.m.store.Put(key, a, what.body, ossclient.Version{})
	})
	if err != nil {
		return nil, n.m.fail(op, n.Key(), err)
	}
	return child.answer(out), 0
}

// make makes an entry of the directory: stage journals it under its key.
func (n *node) make(ctx context.Context, name string, mode uint32, stage func(ossclient.Key, attr.Attr) error) (*node, error) {
	n.use()
	for {
		dir := n.Key()
		if _, ok, err := n.findMaybe(ctx, name); err != nil {
			return nil, err
		} else if ok {
			return nil, syscall.EEXIST
		}
		isDir := mode&attr.TypeMask == attr.TypeDir
		key, err := n.m.tree.Child(dir, name, isDir)
		if err != nil {
			return nil, err
		}
		child, err := n.makeAt(ctx, dir, name, key, mode, stage)
		if child != nil || err != nil {
			return child, err
		}
	}
}

// makeAt is make for the key that is now right; nil without an error when the directory was renamed.
func (n *node) makeAt(ctx context.Context, dir ossclient.Key, name string, key ossclient.Key, mode uint32,
	stage func(ossclient.Key, attr.Attr) error) (*node, error) {
	leave, err := n.m.gate.enter(ctx, key)
	if err != nil {
		return nil, err
	}
	defer leave()
	if n.Key() != dir {
		return nil, nil
	}
	if err := stage(key, n.newAttr(ctx, mode)); err != nil {
		return nil, err
	}
	n.touch()
	e, err := n.m.tree.Stat(ctx, namespace.Entry{Name: name, Key: key, Dir: names.IsDir(key)}) // of what is staged nobody is asked
	if err != nil {
		return nil, err
	}
	child, ok := n.bear(ctx, e)
	if !ok { // the gate keeps renames of this key out, one of a directory above included
		return nil, syscall.ESTALE
	}
	return child, nil
}

// bear makes a new node for what was just made here. A node that still has the key stands for
// something that others removed.
func (n *node) bear(ctx context.Context, e namespace.Entry) (*node, bool) {
	if old := n.m.nodes.get(e.Key); old != nil {
		old.leave()
	}
	return n.admit(ctx, e, n.m.changes.Load())
}

// newAttr is what a new entry of the directory carries: the caller's, and the group of a directory that
// has the sgid bit, as inode_init_owner does it in the kernel.
func (n *node) newAttr(ctx context.Context, mode uint32) attr.Attr {
	n.mu.Lock()
	parent := n.entry.Attr
	n.mu.Unlock()
	uid, gid := caller(ctx)
	if parent.Mode&syscall.S_ISGID != 0 {
		gid = parent.GID
		if mode&attr.TypeMask == attr.TypeDir {
			mode |= syscall.S_ISGID
		}
	}
	now := time.Now()
	var a attr.Attr
	a.SetMode(mode)
	a.SetOwner(uid, gid)
	a.SetMtime(now)
	a.SetAtime(now)
	a.SetCtime(now)
	return a
}
