package fs

import (
	"context"
	"fmt"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/writeback"
)

var _ fusefs.NodeOpener = (*node)(nil)

// Open opens a regular file; the kernel has checked the modes. Nothing is staged before the first
// write, so opening for writing alone costs nothing.
func (n *node) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if n.typ != attr.TypeFile {
		return nil, 0, syscall.EIO // the kernel opens the other types itself
	}
	n.use()
	n.borrow(0)
	defer n.giveBack(0)
	if n.nameless() {
		return nil, 0, syscall.ESTALE // nothing for the log: the kernel looks again
	}
	if _, err := n.found(ctx); err != nil {
		return nil, 0, n.m.fail("open", n.Key(), err)
	}
	h := n.newHandle(flags)
	if h == nil {
		n.outlive()
		return nil, 0, syscall.ESTALE
	}
	n.use() // again: a FORGET since then did not see it open

	if flags&syscall.O_TRUNC != 0 { // with O_RDONLY too: the kernel has checked that the caller may write
		if err := n.empty(ctx, h); err != nil {
			h.close()
			return nil, 0, n.m.fail("open", n.Key(), err)
		}
		n.unpaged()
	}
	out, err := n.openFlags(ctx, h)
	if err != nil {
		h.close()
		return nil, 0, n.m.fail("open", n.Key(), err)
	}
	return h, out, 0
}

// newHandle counts a handle in; nil: the node has handles of a version that others have replaced.
func (n *node) newHandle(flags uint32) *handle {
	h := &handle{n: n, flags: flags, writer: flags&syscall.O_ACCMODE != syscall.O_RDONLY}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outlived || n.opens > 0 && n.opened != n.epoch {
		return nil
	}
	n.handles++
	n.opens++
	if h.writer {
		n.writers++
	}
	if !h.writesOnly() {
		n.readers++
	}
	if h.maps() {
		n.mappers++
	}
	h.epoch, n.opened = n.epoch, n.epoch
	if n.content == nil && !n.gone {
		h.release = n.m.store.Hold(n.key)
	}
	return h
}

// found is fresh, with the staged content taken up: afterwards the node has its bytes, or their version in the
// bucket. Content that the bucket gets in between is asked for again. The caller has borrowed the node.
func (n *node) found(ctx context.Context) (namespace.Entry, error) {
	for range mostOvertaken {
		e, err := n.fresh(ctx)
		if err != nil || !e.Staged {
			return e, err
		}
		n.join()
		n.mu.Lock()
		settled := n.content != nil || n.gone || !e.Pending
		n.mu.Unlock()
		if settled {
			return e, nil
		}
	}
	return namespace.Entry{}, fmt.Errorf("%q is staged and cannot be opened: %w", n.Key(), syscall.EIO) // the store is being closed
}

// join takes up the staged content that the key has. Without one its attributes alone are staged, or
// the bucket has got it meanwhile; or the key is being exchanged.
func (n *node) join() {
	n.m.keys.RLock() // the node keeps its key, and an exchange does not end
	n.mu.Lock()
	key, have := n.key, n.content != nil || n.gone
	n.mu.Unlock()
	var c *writeback.File
	if !have {
		c, _ = n.m.store.OpenContent(key)
	}
	others := n.m.gate.swapping(key)
	n.m.keys.RUnlock()
	switch {
	case c == nil:
	case others: // it may be the other's
		c.Release()
	default:
		n.share(c)
	}
}

// share makes c the node's content, unless another call was faster.
func (n *node) share(c *writeback.File) *writeback.File {
	n.mu.Lock()
	mine := n.content == nil
	if mine {
		n.content = c
		if n.pages != "" {
			n.pages = ownPages
		}
	}
	c, extra := n.content, c
	n.mu.Unlock()
	if !mine {
		extra.Release()
	}
	return c
}

// stage is the node's content, made from the bucket's object by the first call; h is the handle that it is to be changed
// through, nil when it is changed by name. A file that others changed since it was opened is not written any more: the
// bytes meant for one version would land in another.
func (n *node) stage(ctx context.Context, h *handle) (*writeback.File, error) {
	for {
		n.mu.Lock()
		c, gone, stale := n.content, n.gone, h != nil && h.staleLocked()
		n.mu.Unlock()
		if stale {
			return nil, stream.ErrStale
		}
		if c != nil {
			return c, nil
		}
		if gone { // removal stages what has writers, so nobody can want this
			return nil, syscall.ESTALE
		}
		if c, err := n.edit(ctx, h); c != nil || err != nil {
			return c, err
		}
	}
}

// edit stages the object that the node is; nil without an error when the node was renamed meanwhile, or has another version by our doing, or when it
// turns out that h has another version open. The gate may have been shut for long, and the stager remembers what we have changed for a while only.
func (n *node) edit(ctx context.Context, h *handle) (*writeback.File, error) {
	e, err := n.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if e.Content { // a directory's own bytes, shown as a file
		return nil, syscall.EPERM
	}
	leave, err := n.m.gate.enter(ctx, e.Key)
	if err != nil {
		return nil, err
	}
	defer leave()
	n.mu.Lock()
	other := n.key != e.Key || n.entry.Version != e.Version || h != nil && h.staleLocked()
	n.mu.Unlock()
	if other {
		return nil, nil
	}
	c, err := n.m.store.Edit(e.Key, e.Seen(), e.Raw.Clone(), n.m.filler(e.Version))
	if err != nil {
		return nil, err
	}
	return n.share(c), nil
}

// empty makes the content empty, as O_TRUNC does: nothing of the object is read. The close of a handle that only reads
// journals nothing.
func (n *node) empty(ctx context.Context, h *handle) error {
	c, err := n.stage(ctx, nil)
	if err != nil {
		return err
	}
	if err := n.truncate(ctx, c, 0); err != nil || h.writer {
		return err
	}
	return n.settle()
}

// truncate gives the content a new size.
func (n *node) truncate(ctx context.Context, c *writeback.File, size int64) error {
	if err := n.settlePages(ctx); err != nil {
		return err
	}
	if err := c.Truncate(ctx, size); err != nil {
		return err
	}
	n.wrote(ctx)
	return nil
}

// wrote notes a change of the bytes: new times, and no suid nor sgid unless the writer is root
// (FUSE_HANDLE_KILLPRIV_V2 leaves that to us). What the kernel writes of a mapping may be older than a time that was set.
func (n *node) wrote(ctx context.Context) {
	uid, _ := caller(ctx)
	now := time.Now()
	n.mu.Lock()
	if n.timed == 0 || pid(ctx) != kernelPID {
		n.written = now
	}
	c := n.content
	n.mu.Unlock()
	if uid != 0 && c != nil {
		n.dropPrivileges(c)
	}
}

// borrow keeps the content for the time of one operation that has no handle; writers is 1 when that may change it.
func (n *node) borrow(writers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handles++
	n.writers += writers
}

// giveBack ends what borrow, or an open, began.
func (n *node) giveBack(writers int) {
	n.mu.Lock()
	n.handles--
	n.writers -= writers
	var last *writeback.File
	var hold func()
	if n.handles == 0 {
		hold, n.hold = n.hold, nil
	}
	if n.handles == 0 && n.content != nil {
		n.entry.Attr, n.entry.Size = n.attrLocked()
		n.entry.Raw, n.entry.Staged, n.entry.Pending = n.rawLocked(), true, true
		n.changed = n.m.changes.Add(1)
		last, n.content = n.content, nil
	}
	n.mu.Unlock()
	if last != nil {
		last.Release()
	}
	if hold != nil {
		hold()
	}
}

// abandon gives up the content though handles are open: the mount has ended.
func (n *node) abandon() {
	n.mu.Lock()
	c := n.content
	n.content = nil
	n.mu.Unlock()
	if c != nil {
		c.Release()
	}
}

// settle journals what was written so far, its times included. It is what close promises: when another close is at it,
// this one returns after it (Commit). Of what was removed for good nothing is journaled; a rename over the file may
// fail yet.
func (n *node) settle() error {
	c, err := n.settleTimes()
	if c == nil || err != nil {
		return err
	}
	return c.Commit()
}

// settleTimes stages the time of the last write, and gives the content; nil: there is none.
func (n *node) settleTimes() (*writeback.File, error) {
	n.setting.Lock()
	defer n.setting.Unlock()
	n.mu.Lock()
	c, written := n.content, n.written
	if c == nil || written.IsZero() {
		n.mu.Unlock()
		return c, nil
	}
	a := n.rawLocked()
	n.mu.Unlock()
	if err := c.SetAttr(a); err != nil {
		return c, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.written.Equal(written) {
		n.written = time.Time{}
	}
	return c, nil
}
