package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

var _ fusefs.NodeSetattrer = (*node)(nil)

// Setattr is truncate, chmod, chown and utimensat, and any mix of them. The kernel has checked who may.
func (n *node) Setattr(ctx context.Context, f fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		h, _ := f.(*handle) // nil: by name
		if err := n.resize(ctx, int64(size), h); err != nil {
			return n.m.fail("truncate", n.Key(), err)
		}
	}
	const others = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_ATIME | fuse.FATTR_MTIME
	if in.Valid&fuse.FATTR_MTIME != 0 {
		kept := n.keepTime()
		defer kept(ctx, in.Valid&fuse.FATTR_SIZE != 0)
	}
	if in.Valid&others != 0 {
		err := n.change(ctx, func(a *attr.Attr, shown attr.Attr) error {
			applyTo(a, shown, n.typ, in)
			return nil
		})
		if err != nil {
			return n.m.fail("setattr", n.Key(), err)
		}
		if in.Valid&fuse.FATTR_MTIME != 0 {
			n.forgetTouch()
		}
	}
	n.show(&out.Attr)
	out.SetTimeout(n.patience())
	return 0
}

// applyTo changes what is stored, shown being what a reader sees of it. chown takes suid and sgid from all
// but directories, whoever calls it: FUSE_HANDLE_KILLPRIV_V2 leaves that to us.
func applyTo(a *attr.Attr, shown attr.Attr, typ uint32, in *fuse.SetAttrIn) {
	if mode, ok := in.GetMode(); ok {
		a.SetMode(typ | mode)
	}
	uid, newUID := in.GetUID()
	gid, newGID := in.GetGID()
	if newUID {
		a.UID, a.Has = uid, a.Has|attr.HasUID
	}
	if newGID {
		a.GID, a.Has = gid, a.Has|attr.HasGID
	}
	if _, newMode := in.GetMode(); (newUID || newGID) && !newMode && typ != attr.TypeDir {
		if mode := withoutSetID(shown.Mode); mode != shown.Mode {
			a.SetMode(typ | mode&attr.PermMask)
		}
	}
	if t, ok := in.GetATime(); ok {
		a.SetAtime(t)
	}
	if t, ok := in.GetMTime(); ok {
		a.SetMtime(t)
	}
	a.SetCtime(time.Now())
}

// withoutSetID clears suid, and sgid where the group may execute: alone it means mandatory locking.
func withoutSetID(mode uint32) uint32 {
	mode &^= syscall.S_ISUID
	if mode&syscall.S_IXGRP != 0 {
		mode &^= syscall.S_ISGID
	}
	return mode
}

// resize gives the file a new size. A truncate by name is a change of its own and journaled at once;
// one by descriptor, h, waits for the close.
func (n *node) resize(ctx context.Context, size int64, h *handle) error {
	if n.typ != attr.TypeFile {
		return syscall.EINVAL
	}
	n.use()
	n.borrow(1)
	defer n.giveBack(1)
	c, err := n.stage(ctx, h)
	if err != nil {
		return err
	}
	if err := n.truncate(ctx, c, size); err != nil {
		return err
	}
	if h == nil {
		return n.settle()
	}
	return nil
}

// change edits the stored attributes of the node, whatever state it is in, and journals them.
func (n *node) change(ctx context.Context, edit func(a *attr.Attr, shown attr.Attr) error) error {
	n.use()
	for {
		n.mu.Lock()
		staged, gone := n.content != nil, n.gone
		n.mu.Unlock()
		if !staged && !gone {
			if _, err := n.fresh(ctx); err != nil {
				return err
			}
		}
		if done, err := n.tryChange(ctx, edit); done || err != nil {
			return err
		}
	}
}

// tryChange is change; done is false when the node was renamed meanwhile.
func (n *node) tryChange(ctx context.Context, edit func(a *attr.Attr, shown attr.Attr) error) (done bool, err error) {
	key := n.Key()
	leave, err := n.m.gate.enter(ctx, key)
	if err != nil {
		return false, err
	}
	defer leave()
	n.setting.Lock()
	defer n.setting.Unlock()
	n.mu.Lock()
	if n.key != key {
		n.mu.Unlock()
		return false, nil
	}
	a, e, c, gone, written := n.rawLocked(), n.entry, n.content, n.gone, n.written
	shown, _ := n.attrLocked()
	n.mu.Unlock()
	if c == nil && e.Object.ETag != "" {
		keepTimes(&a, shown)
	}
	if err := edit(&a, shown); err != nil {
		return true, err
	}
	switch {
	case e.Content:
		return true, syscall.EPERM
	case c != nil:
		err = c.SetAttr(a)
	case gone:
	case n.IsRoot(): // no object stands for it: what is set lasts as long as the mount
	case e.Dir && !e.Marker && !e.Staged:
		err = n.m.store.Keep(key, a)
	default:
		rest := writeback.Rest{Class: e.Object.StorageClass, Target: e.Target}
		if e.Object.Type == ossclient.Symlink { // what a copy makes of it, OSS has to say
			rest.Target = ""
		}
		if e.Object.HasCRC64 {
			rest.CRC64 = &e.Object.CRC64
		}
		err = n.m.store.SetAttr(key, e.Seen(), rest, a)
	}
	if err != nil {
		return true, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entry.Raw = a
	n.entry.Attr = n.m.options.Defaults.Fill(a, n.typ, e.Object.LastModified)
	if n.written.Equal(written) {
		n.written = time.Time{}
	}
	return true, nil
}

// keepTimes has times stored that an object does not say, and that are those of its LastModified: what is set is sent by a copy, which is made now.
func keepTimes(a *attr.Attr, shown attr.Attr) {
	if a.Has&attr.HasMtime == 0 {
		a.SetMtime(shown.Mtime)
	}
	if a.Has&attr.HasAtime == 0 {
		a.SetAtime(shown.Atime)
	}
}

// dropPrivileges clears suid and sgid after a write by somebody who is not root.
func (n *node) dropPrivileges(c *writeback.File) {
	n.setting.Lock()
	defer n.setting.Unlock()
	a := c.Attr().Clone()
	if mode := withoutSetID(a.Mode); mode != a.Mode {
		a.SetMode(mode)
		if err := c.SetAttr(a); err != nil {
			n.m.fail("write", n.Key(), err)
		}
	}
}

// keepTime is called before the time of the last write is set, and what it returns is called afterwards. The kernel of a local filesystem
// moves that time when a program stores into a page of a mapping; ours does not, and tells us of the store when it writes the page, which may
// be half a minute later. So once a time is set the kernel has to write such pages, and until it has, what it writes moves no time.
//
// It drops them, too, and every other page. What a program writes lies for a moment in a page that can be dropped, and is not here yet: who then
// reads it brings back what was there before, for good. While the kernel waits for the answer it has the inode locked, and nobody writes: it is told
// before that. Where the file is cut it holds such pages back until it has the answer.
func (n *node) keepTime() (after func(ctx context.Context, cut bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mappers == 0 {
		return func(context.Context, bool) {}
	}
	n.timed++
	written := notice{node: n.EmbeddedInode(), pages: true, then: func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.timed--
	}}
	return func(ctx context.Context, cut bool) {
		if cut {
			n.m.notify.tell(written)
			return
		}
		n.m.notify.tellLocked(ctx, written)
	}
}

func (n *node) forgetTouch() {
	n.mu.Lock()
	n.touched = time.Time{}
	n.mu.Unlock()
}
