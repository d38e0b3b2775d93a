package fs

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

var _ fusefs.NodeRenamer = (*node)(nil)

// Rename moves an entry, over an existing one unless RENAME_NOREPLACE is given, or swaps two
// (RENAME_EXCHANGE). It returns when the bucket has it, or when it is journaled where the bucket has
// nothing of it yet.
func (n *node) Rename(ctx context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return syscall.EINVAL
	}
	n.use()
	to.use()
	r := renaming{from: n, to: to, name: name, newName: newName, flags: flags}
	for {
		done, err := r.try(ctx)
		if err == nil && !done {
			continue
		}
		return n.m.fail("rename", n.Key(), err)
	}
}

// renaming is one call of rename(2).
type renaming struct {
	from, to      *node // directories
	name, newName string
	flags         uint32

	source, target       namespace.Entry
	exists               bool // target is
	sourceKey, targetKey ossclient.Key
	backKey              ossclient.Key // of an exchange: where the target goes
}

// try does it; done is false when a directory was renamed meanwhile.
func (r *renaming) try(ctx context.Context) (done bool, err error) {
	if inode := r.from.GetChild(r.name); inode != nil { // it gets a new key with the others
		if child, ok := inode.Operations().(*node); ok {
			child.use()
		}
	}
	fromDir, toDir := r.from.Key(), r.to.Key()
	if r.source, err = r.from.find(ctx, r.name); err != nil {
		return false, err
	}
	if r.target, r.exists, err = r.to.findMaybe(ctx, r.newName); err != nil {
		return false, err
	}
	if err := r.check(ctx, toDir); err != nil {
		return false, err
	}
	r.sourceKey = r.source.Key
	if r.targetKey, err = r.from.m.tree.Child(toDir, r.newName, r.source.Dir); err != nil {
		return false, err
	}
	if r.sourceKey == r.targetKey {
		return true, nil
	}
	keys := []ossclient.Key{r.sourceKey, r.targetKey}
	if r.exists && r.target.Key != r.targetKey {
		keys = append(keys, r.target.Key)
	}
	if r.flags&unix.RENAME_EXCHANGE != 0 {
		if r.backKey, err = r.from.m.tree.Child(fromDir, r.name, r.target.Dir); err != nil {
			return false, err
		}
		keys = append(keys, r.backKey)
	}
	shut := r.from.m.gate.shut
	if r.flags&unix.RENAME_EXCHANGE != 0 {
		shut = r.from.m.gate.swap
	}
	open, err := shut(ctx, keys...)
	if err != nil {
		return false, err
	}
	if r.from.Key() != fromDir || r.to.Key() != toDir {
		open()
		return false, nil
	}
	if r.flags&unix.RENAME_EXCHANGE != 0 {
		return true, r.exchange(ctx, open)
	}
	defer open()
	if err := r.move(ctx); err != nil {
		if r.source.Dir { // a part of it may be there, and the kernel believes that nothing is
			m := r.from.m
			m.notify.tell(notice{dir: r.from.EmbeddedInode(), name: r.name}, notice{dir: r.to.EmbeddedInode(), name: r.newName})
		}
		return false, err
	}
	r.moved(map[ossclient.Key]place{r.sourceKey: {r.to, r.targetKey}})
	return true, nil
}

// place is where a rename puts something.
type place struct {
	dir *node
	key ossclient.Key
}

// moved gives live nodes the keys that the bucket's objects have now.
func (r *renaming) moved(moves map[ossclient.Key]place) {
	r.from.m.rekey(moves)
	r.from.touch()
	r.to.touch()
}

// check is POSIX's list of what rename refuses.
func (r *renaming) check(ctx context.Context, toDir ossclient.Key) error {
	switch {
	case r.source.Content || r.target.Content:
		return syscall.EPERM
	case r.source.Dir && strings.HasPrefix(string(toDir), string(r.source.Key)):
		return syscall.EINVAL // into itself
	case r.flags&unix.RENAME_EXCHANGE != 0:
		if !r.exists {
			return syscall.ENOENT
		}
		return nil
	case !r.exists:
		return nil
	case r.flags&unix.RENAME_NOREPLACE != 0:
		return syscall.EEXIST
	case r.source.Dir && !r.target.Dir:
		return syscall.ENOTDIR
	case !r.source.Dir && r.target.Dir:
		return syscall.EISDIR
	case r.target.Dir:
		if empty, err := r.from.m.tree.Empty(ctx, r.target.Key); err != nil {
			return err
		} else if !empty {
			return syscall.ENOTEMPTY
		}
	}
	return nil
}

// move moves the source to the target's key.
func (r *renaming) move(ctx context.Context) error {
	m := r.from.m
	if err := r.from.keepDir(ctx); err != nil {
		return err
	}
	var victim *node
	if r.exists {
		if victim = m.nodes.get(r.target.Key); victim != nil {
			if err := victim.detach(ctx); err != nil {
				return err
			}
		}
	}
	var err error
	switch {
	case r.source.Dir && r.exists && r.target.Key != r.targetKey: // another spelling of the name
		if err = m.store.Remove(r.target.Key, r.target.Seen()); err == nil {
			err = m.store.RenameTree(ctx, r.sourceKey, r.targetKey, writeback.Seen{})
		}
	case r.source.Dir:
		err = m.store.RenameTree(ctx, r.sourceKey, r.targetKey, r.target.Seen())
	default:
		err = m.store.Rename(ctx, r.sourceKey, r.targetKey, source(r.source), r.target.Seen())
	}
	if err != nil {
		if victim != nil {
			victim.comeBack(r.target.Key)
		}
	}
	return err
}

// exchange swaps source and target. When ctx ends before, it goes on, and the gate stays shut until it is over.
func (r *renaming) exchange(ctx context.Context, open func()) error {
	m := r.from.m
	aside, err := m.tree.Child(r.to.Key(), fmt.Sprintf(".ossfs-exchange-%d", time.Now().UnixNano()), r.source.Dir)
	if err != nil {
		open()
		return err
	}
	a := writeback.Side{RenameSource: source(r.source), To: r.targetKey}
	b := writeback.Side{RenameSource: source(r.target), To: r.backKey}
	return m.store.Exchange(ctx, a, b, aside, func(err error) {
		defer open()
		if err != nil {
			return
		}
		r.moved(map[ossclient.Key]place{r.sourceKey: {r.to, r.targetKey}, r.target.Key: {r.from, r.backKey}})
		if ctx.Err() != nil { // the kernel was told that nothing has happened
			m.notify.tell(notice{dir: r.from.EmbeddedInode(), name: r.name})
			m.notify.tell(notice{dir: r.to.EmbeddedInode(), name: r.newName})
		}
	})
}

// source describes e to the stager.
func source(e namespace.Entry) writeback.RenameSource {
	v := e.Version
	v.Key = e.Key
	return writeback.RenameSource{Version: v, At: e.At, Attr: e.Raw.Clone(), Class: e.Object.StorageClass}
}

// rekey gives the live nodes at and below the old keys their new ones, all at once for those who look
// keys up.
func (m *Mount) rekey(moves map[ossclient.Key]place) {
	m.keys.Lock()
	defer m.keys.Unlock()
	type step struct {
		n        *node
		from, to ossclient.Key
	}
	var steps []step
	for from, to := range moves {
		for _, n := range m.nodes.below(from) {
			key := n.Key()
			steps = append(steps, step{n, key, to.key + key[len(from):]})
			if key == from {
				n.enter(to.dir)
			}
		}
	}
	for _, s := range steps {
		m.nodes.unlink(s.n, s.from)
	}
	for _, s := range steps {
		if old := m.nodes.get(s.to); old != nil { // it stands for something that others removed
			old.leave()
		}
		s.n.rename(s.to)
	}
}

// rename gives the node another key, and the table both, unless the kernel has forgotten it meanwhile. It needs Mount.keys.
func (n *node) rename(key ossclient.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.renameLocked(key)
	if !n.dropped.Load() {
		n.m.nodes.keep(n, key)
	}
}
