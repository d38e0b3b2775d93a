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
}

// try does it; done is false when a directory was renamed meanwhile.
func (r *renaming) try(ctx context.Context) (done bool, err error) {
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
	open, err := r.from.m.gate.shut(ctx, keys...)
	if err != nil {
		return false, err
	}
	defer open()
	if r.from.Key() != fromDir || r.to.Key() != toDir {
		return false, nil
	}
	if r.flags&unix.RENAME_EXCHANGE != 0 {
		err = r.exchange(ctx)
	} else {
		err = r.move(ctx)
	}
	if err != nil {
		return false, err
	}
	r.from.touch()
	r.to.touch()
	return true, nil
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
		if err = m.store.Remove(r.target.Key, r.target.Version); err == nil {
			err = m.store.RenameTree(ctx, r.sourceKey, r.targetKey, ossclient.Version{})
		}
	case r.source.Dir:
		err = m.store.RenameTree(ctx, r.sourceKey, r.targetKey, r.target.Version)
	default:
		err = m.store.Rename(ctx, r.sourceKey, r.targetKey, source(r.source), r.target.Version)
	}
	if err != nil {
		if victim != nil {
			victim.comeBack(r.target.Key)
		}
		return err
	}
	m.rekey(map[ossclient.Key]ossclient.Key{r.sourceKey: r.targetKey})
	return nil
}

// exchange swaps source and target. Two files are swapped by the stager, at once when both are pending; otherwise, and
// where a directory takes part, it is three renames by way of a name of their own, which a crash in between leaves behind.
func (r *renaming) exchange(ctx context.Context) error {
	m := r.from.m
	back, err := m.tree.Child(r.from.Key(), r.name, r.target.Dir)
	if err != nil {
		return err
	}
	aside, err := m.tree.Child(r.to.Key(), fmt.Sprintf(".ossfs-exchange-%d", time.Now().UnixNano()), r.source.Dir)
	if err != nil {
		return err
	}
	if !r.source.Dir && !r.target.Dir {
		err = m.store.Exchange(ctx, source(r.source), source(r.target), aside)
	} else {
		err = r.exchangeTrees(ctx, back, aside)
	}
	if err != nil {
		return err
	}
	m.rekey(map[ossclient.Key]ossclient.Key{r.sourceKey: r.targetKey, r.target.Key: back})
	return nil
}

func (r *renaming) exchangeTrees(ctx context.Context, back, aside ossclient.Key) error {
	m := r.from.m
	if err := m.renameEntry(ctx, r.source, r.sourceKey, aside); err != nil {
		return err
	}
	if err := m.renameEntry(ctx, r.target, r.target.Key, back); err != nil {
		return err
	}
	moved := r.source
	moved.Key, moved.Version.ETag = aside, "" // the copy's is its own
	return m.renameEntry(ctx, moved, aside, r.targetKey)
}

// renameEntry moves e, which is at from, to a key that is free.
func (m *Mount) renameEntry(ctx context.Context, e namespace.Entry, from, to ossclient.Key) error {
	if e.Dir {
		return m.store.RenameTree(ctx, from, to, ossclient.Version{})
	}
	return m.store.Rename(ctx, from, to, source(e), ossclient.Version{})
}

// source describes e to the stager.
func source(e namespace.Entry) writeback.RenameSource {
	v := e.Version
	v.Key = e.Key
	return writeback.RenameSource{Version: v, Attr: e.Raw.Clone()}
}

// rekey gives the live nodes at and below the old keys their new ones, all at once for those who look
// keys up.
func (m *Mount) rekey(moves map[ossclient.Key]ossclient.Key) {
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
			steps = append(steps, step{n, key, to + key[len(from):]})
		}
	}
	for _, s := range steps {
		m.nodes.unlink(s.n, s.from)
	}
	for _, s := range steps {
		s.n.mu.Lock()
		s.n.key, s.n.entry.Key, s.n.moved = s.to, s.to, true
		s.n.mu.Unlock()
		m.nodes.keep(s.n, s.to)
	}
}
