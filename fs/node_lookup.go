package fs

import (
	"context"
	"errors"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

var _ fusefs.NodeLookuper = (*node)(nil)

// Lookup finds an entry of the directory.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	n.use()
	for {
		asked := n.m.changes.Load()
		e, err := n.findStill(ctx, name)
		if errors.Is(err, ossclient.ErrNotExist) {
			n.m.missed(n, name, asked)
		}
		if err != nil {
			return nil, n.m.fail("lookup", n.Key(), err)
		}
		if child, ok := n.admit(ctx, e, asked); ok {
			if !e.Dir {
				n.m.lookers.looked(pid(ctx), n.ino)
			}
			return child.answer(out), 0
		}
	}
}

// find asks the tree for an entry of the directory, again when the directory was renamed meanwhile:
// only an answer for the key that it still has counts.
func (n *node) find(ctx context.Context, name string) (namespace.Entry, error) {
	for {
		dir := n.settledKey()
		e, err := n.m.tree.Lookup(ctx, dir, name)
		if n.settledKey() == dir || ctx.Err() != nil {
			return e, err
		}
	}
}

// findStill is find, but not in the middle of an exchange.
func (n *node) findStill(ctx context.Context, name string) (e namespace.Entry, err error) {
	var keys []ossclient.Key
	dir := n.Key()
	for _, isDir := range []bool{false, true} {
		if key, err := n.m.tree.Child(dir, name, isDir); err == nil {
			keys = append(keys, key)
		}
	}
	err = n.m.gate.still(ctx, keys, func() (err error) {
		e, err = n.find(ctx, name)
		return err
	})
	return e, err
}

// settledKey is the key, not asked for in the middle of a rename's change of many keys.
func (n *node) settledKey() ossclient.Key {
	n.m.keys.RLock()
	defer n.m.keys.RUnlock()
	return n.Key()
}

// findMaybe is find, with ok false in place of ErrNotExist.
func (n *node) findMaybe(ctx context.Context, name string) (e namespace.Entry, ok bool, err error) {
	e, err = n.find(ctx, name)
	if errors.Is(err, ossclient.ErrNotExist) {
		return e, false, nil
	}
	return e, err == nil, err
}

// admit is the live inode for what was found in the directory, which is brought up to date, or a new
// one; ok is false when the directory has moved away from where e was found, or e is being exchanged. asked is Mount.changes before e was asked
// for.
func (n *node) admit(ctx context.Context, e namespace.Entry, asked uint64) (child *node, ok bool) {
	n.m.keys.RLock()
	defer n.m.keys.RUnlock()
	defer func() {
		if ok && asked < n.m.refreshed.Load() { // after the table has it: a refresh from now on finds it there
			child.expire()
		}
	}()
	if !strings.HasPrefix(string(e.Key), string(n.Key())) || n.m.gate.swapping(e.Key) {
		return nil, false
	}
	typ := e.Attr.Mode & attr.TypeMask
	if old := n.m.nodes.get(e.Key); old != nil && old.typ == typ {
		old.used.Store(true)
		old.enter(n)
		old.hear(e, asked)
		if !old.left() {
			return old, true
		}
	}
	child = &node{m: n.m, typ: typ, key: e.Key, dir: n, entry: e}
	winner := n.m.nodes.claim(child, e.Key, func() {
		n.NewInode(ctx, child, fusefs.StableAttr{Mode: child.typ, Ino: child.ino, Gen: child.generation})
	})
	if winner != child {
		winner.enter(n)
		winner.hear(e, asked)
	}
	return winner, true
}

// hear is learn, where there is no time to settle a doubt: who needs the entry next does that.
func (n *node) hear(e namespace.Entry, asked uint64) {
	if n.doubts(&e) {
		n.expire()
		return
	}
	n.learn(e, asked)
}
