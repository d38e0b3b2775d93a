package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// fail turns an error of an operation into the program's errno. Failures that no program causes are
// logged, with what support asks for, unless the request that failed is in the log already.
func (m *Mount) fail(op string, key ossclient.Key, err error) syscall.Errno {
	e := errno(err)
	var refused *ossclient.Error
	switch {
	case errors.As(err, &refused) && refused.Logged(), errors.Is(err, errVanished), errors.Is(err, errLeft):
	case errors.Is(err, ossclient.ErrArchived):
		m.options.Logger.Warn("archived object: restore it first, such as with setfattr -n user.oss.restore -v DAYS",
			"op", op, "key", string(key), "err", err)
	case !expected(e):
		m.options.Logger.Warn("operation failed", "op", op, "key", string(key), "errno", e.Error(), "err", err)
	}
	return e
}

// confirmed hears from the stager that the bucket has a state, before the overlay drops it.
func (m *Mount) confirmed(c writeback.Confirmation) {
	<-m.ready
	if m.tree == nil {
		return
	}
	m.tree.Confirmed(c)
	moves := c.Source.Key != "" // who has the key yet is not who gets it
	n := m.nodes.get(c.Key)
	if moves {
		n = m.nodes.get(c.Source.Key)
	}
	switch {
	case n == nil || c.Deleted:
	case moves:
		n.copied(c.Source, c.Object.Version)
	case c.Foreign:
		n.lost(c.Object.ETag)
	default:
		n.confirmed(&c.Object)
	}
}

// beside hears from the stager that what is written to a file has another name: beside its own, which is another client's now, or where a rename
// that failed in the middle has put it. The node goes there, with all who have it open; who asks for the name from now on finds what has it.
func (m *Mount) beside(key ossclient.Key, c *writeback.File, mixed bool) {
	<-m.ready
	m.keys.Lock()
	n := m.holder(key, c)
	if n == nil {
		m.keys.Unlock()
		return
	}
	from, to := n.Key(), c.Key()
	before, _ := names.Split(from)
	if dir, _ := names.Split(to); dir != before {
		n.enter(m.nodes.get(dir))
	}
	m.nodes.unlink(n, from)
	if other := m.nodes.get(to); other != nil { // of who was faster to find it there
		other.leave()
	}
	n.rename(to)
	m.keys.Unlock()
	n.expireName()
	if mixed { // else the kernel has the bytes that the file has, and may be having some written that we have not seen yet
		n.spoiled()
	}
}

// holder is the node that has c for its content; nil when there is none, or it has no name. A rename may have given it another key than the one
// that it should have. It needs Mount.keys.
func (m *Mount) holder(key ossclient.Key, c *writeback.File) *node {
	holds := func(n *node) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.content == c && !n.gone
	}
	if n := m.nodes.get(key); n != nil && holds(n) {
		return n
	}
	for _, n := range m.nodes.all() {
		if holds(n) {
			return n
		}
	}
	return nil
}

// keepTold writes down what was told of confirmed states: the journal is about to forget them.
func (m *Mount) keepTold() {
	<-m.ready
	if m.index != nil {
		m.index.Flush()
	}
}

// changed hears from the tree what others did. The kernel forgets the entry; a live node of it learns
// more when it is next asked for.
func (m *Mount) changed(c namespace.Change) {
	if dir := m.nodes.get(c.Dir); dir != nil {
		m.notify.tell(notice{dir: dir.EmbeddedInode(), name: c.Name})
	}
	if n := m.nodes.get(c.Key); n != nil {
		n.expire()
		m.notify.tell(notice{node: n.EmbeddedInode()})
	}
}

// openStream is a stream of the node's object; direct says that the kernel keeps no pages of what it reads. n.mu
// is held.
func (n *node) openStream(direct bool) *stream.File {
	m, e := n.m, n.entry
	hint := stream.Hint{
		PageCache: !direct,
		Next:      func(count int) []ossclient.Version { return m.tree.Following(e, count) },
	}
	if !direct {
		hint.Give = func(off int64, data []byte) bool {
			m.calls.calmPages(n.EmbeddedInode(), off, int64(len(data)))
			return n.givePages(e.Version, off, data)
		}
	}
	if i := strings.LastIndexByte(string(e.Key), '/'); i >= 0 {
		hint.Dir = string(e.Key[:i+1])
	}
	if e.Object.HasCRC64 {
		crc := e.Object.CRC64
		hint.CRC64 = &crc
	}
	return m.pool.Open(e.Version, hint)
}

// filler reads the clean bytes of an object that is being edited, through the blocks in memory.
func (m *Mount) filler(v ossclient.Version) writeback.Filler {
	if v.ETag == "" {
		return nil
	}
	return func(ctx context.Context, p []byte, off int64) error {
		f := m.pool.Open(v, stream.Hint{})
		defer f.Close()
		n, err := f.ReadAt(ctx, p, off)
		if n == len(p) {
			return nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %s at %d: %w", v.Key, off+int64(n), err)
	}
}

// stale hears that the object is no longer the version that was opened: a fresh open is to see the new one.
func (n *node) stale(v ossclient.Version) {
	n.m.tree.Forget(v.Key)
	n.expire()
	n.m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
}

// spoiled hears that the bytes are not those of the object: the kernel is not to keep what it was given.
func (n *node) spoiled() {
	n.suspectPages()
	n.m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
}

// sync is fsync(2) of the node: it returns when the bucket has what was written.
func (n *node) sync(ctx context.Context) error {
	if err := n.settle(); err != nil {
		return err
	}
	n.mu.Lock()
	key, gone, c := n.key, n.gone, n.content
	n.mu.Unlock()
	switch {
	case c != nil: // a rename over it may be under way, and fail yet
		return c.Sync(ctx)
	case gone:
		return nil
	}
	return n.m.store.Sync(ctx, key)
}

// syncTree is fsync(2) of a directory: it returns when the bucket has all below it.
func (n *node) syncTree(ctx context.Context) error {
	for _, child := range n.m.nodes.below(n.Key()) {
		if err := child.settle(); err != nil {
			return err
		}
	}
	return n.m.store.SyncTree(ctx, n.Key())
}

// Flush returns when the bucket has all below a path in the mount, "" being everything; report, which may
// be nil, hears how it goes. What failed for good is tried once more. Some left unsent is a
// *writeback.Unsent.
func (m *Mount) Flush(ctx context.Context, path string, report func(writeback.Progress)) error {
	key, err := m.resolve(ctx, path)
	if err != nil {
		return err
	}
	settle := func() (err error) {
		for _, n := range m.nodes.below(key) {
			err = errors.Join(err, n.settle())
		}
		return err
	}
	settled := settle()
	err = m.store.Flush(ctx, key, report)
	if settled == nil || err != nil {
		return errors.Join(settled, err)
	}
	// What could not be journaled, as on a full disk, may find room now that the others are sent.
	if err := settle(); err != nil {
		return err
	}
	return m.store.Flush(ctx, key, report)
}

// resolve is the key of a path in the mount.
func (m *Mount) resolve(ctx context.Context, path string) (ossclient.Key, error) {
	rel, err := m.relative(path)
	if err != nil {
		return "", err
	}
	key := m.options.Prefix
	if rel == "." {
		return key, nil
	}
	for name := range strings.SplitSeq(rel, "/") {
		e, err := m.tree.Lookup(ctx, key, name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		key = e.Key
	}
	return key, nil
}
