package fs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

// blockSize is the st_blksize shown: what stdio and cp take as the size of a good write.
const blockSize = 128 << 10

// dirSize is the st_size of every directory.
const dirSize = 4096

// ownPages stands for an ETag in node.pages: the kernel's pages hold what was written here.
const ownPages ossclient.ETag = "(staged)"

// node is a live inode of any type.
type node struct {
	fusefs.Inode
	m          *Mount
	typ        uint32      // type bits of the mode
	ino        uint64      // set once, by the table
	generation uint64      // set once, by the table: no two nodes share it
	age        age         // the table's
	used       atomic.Bool // since the table looked at it last
	dropped    atomic.Bool // the table was told that the kernel knows it no longer, and does not have it; changed under mu

	setting sync.Mutex // held while attributes that are to be staged are read and changed; before mu

	mu       sync.Mutex      // guards the fields below
	key      ossclient.Key   // where it is now; a directory's ends with "/"
	dir      *node           // the directory that it is in; nil: the root
	entry    namespace.Entry // what was last known of it
	gone     bool            // its name was removed
	outlived bool            // its name was left to another node: gone, too
	moved    bool            // renamed since the entry was asked for: the bucket has its bytes under another version
	content  *writeback.File // not nil: its bytes are staged, and one reference is held
	handles  int             // open handles of a regular file, and who has borrowed it
	opens    int             // the open handles alone
	writers  int             // those of them that may write
	readers  int             // those of them that may read
	hold     func()          // ends what keeps the object of a removed name for its readers; nil: nothing
	epoch    uint64          // counts the changes that others made to the bytes
	opened   uint64          // the epoch when it was opened last
	pages    ossclient.ETag  // what the kernel's pages hold; empty: nothing that is known
	copy     ossclient.ETag  // of the copy that a rename has made of pages
	suspect  bool            // some of them may hold other bytes: the next open drops them all
	paged    bool            // the kernel may have pages
	pagers   int             // those of the handles for which the kernel may make pages
	giving   int             // pages are being given to the kernel by so many
	given    chan struct{}   // closed when giving is 0 again
	late     late
	changed  uint64    // Mount.changes at the last change of ours: what was asked for before is out of date
	written  time.Time // the last write that the staged attributes do not tell of; zero: none
	mappers  int       // those of the handles through which a program can store into a mapping
	timed    int       // times that were set, and the kernel may yet have to write what was stored before
	touched  time.Time // a directory: its last change of entries through this mount; zero: none
}

var (
	_ fusefs.InodeEmbedder   = (*node)(nil)
	_ fusefs.NodeOnForgetter = (*node)(nil)
	_ fusefs.NodeGetattrer   = (*node)(nil)
	_ fusefs.NodeReadlinker  = (*node)(nil)
	_ fusefs.NodeStatfser    = (*node)(nil)
)

// Key is where the node is now.
func (n *node) Key() ossclient.Key {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.key
}

// OnForget drops the node from the table; it does nothing that could wait. A FORGET that raced with a
// lookup may have come too early: use puts the node back. What is open the kernel knows.
func (n *node) OnForget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.opens > 0 {
		return
	}
	n.m.nodes.forget(n, n.key)
	n.dropped.Store(true)
}

// use notes that the kernel asks about the node, and so knows it: it belongs to the table, whatever was forgotten.
func (n *node) use() {
	n.used.Store(true)
	if n.dropped.Load() {
		n.m.keys.RLock() // a rename is to find it, or has given what is above its key
		defer n.m.keys.RUnlock()
		n.reappear()
	}
}

// reappear puts the node back into the table, under the key that it has by now: a rename of a directory above, since it
// was dropped, did not find it there. It needs Mount.keys. When another node has the key it stays dropped, to be
// given its key once more when it is next asked about.
func (n *node) reappear() {
	n.mu.Lock()
	key, dir := n.key, n.dir
	n.mu.Unlock()
	if dir != nil {
		if dir.dropped.Load() {
			dir.reappear()
		}
		_, component := names.Split(key)
		key = names.Join(dir.Key(), component, n.typ == attr.TypeDir)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.gone {
		n.renameLocked(key)
		n.dropped.Store(!n.m.nodes.keep(n, key))
	}
}

// renameLocked gives the node another key: the one it has is no rename. What was asked for before of that key is of another node.
// It needs Mount.keys and n.mu.
func (n *node) renameLocked(key ossclient.Key) {
	if n.key != key {
		n.key, n.entry.Key, n.moved = key, key, true
		n.changed = n.m.changes.Add(1)
	}
}

// enter notes in which directory the node was found, or where a rename has put it. It needs Mount.keys.
func (n *node) enter(dir *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dir = dir
}

// learn takes what the tree said when it was asked: asked is Mount.changes before that. When others have changed the
// bytes, the epoch ends and the kernel drops its pages, as it does when a link has another target; a node that is open is left to
// its handles. An answer that a change of ours, or a refresh, has overtaken is no news: the tree is to be asked again.
func (n *node) learn(e namespace.Entry, asked uint64) (news bool) {
	n.mu.Lock()
	if n.gone || n.key != e.Key {
		n.mu.Unlock()
		return true // of another node
	}
	if asked < n.changed || n.m.gate.swapping(e.Key) {
		n.entry.Until = time.Now()
		n.mu.Unlock()
		return false
	}
	etag := e.Version.ETag
	other := n.content == nil && !e.Pending && n.pages != "" && etag != "" && n.pages != etag
	foreign := other && !(n.moved && n.copy == etag)
	switch {
	case foreign:
		n.pages = ""
		n.epoch++
	case other: // the copy that a rename of ours made
		n.pages = etag
	}
	relinked := n.typ == attr.TypeLink && n.entry.Target != e.Target // the kernel keeps that in a page, for ever
	left := foreign && n.opens > 0 || n.supplantedLocked(&e)
	if n.moved = false; left {
		n.outliveLocked()
	} else {
		n.entry = e
	}
	n.mu.Unlock()
	if foreign || relinked {
		n.m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
	}
	if left {
		n.expireName()
	}
	return true
}

// doubts says whether an answer of the tree may be of a copy that the attributes of the node were sent with, while that is not confirmed: only then
// it is known whether others have made the bytes.
func (n *node) doubts(e *namespace.Entry) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	waiting := e.Staged && !e.Pending && n.content == nil && !n.gone && n.key == e.Key
	return waiting && n.pages != "" && e.Version.ETag != "" && n.pages != e.Version.ETag
}

// confirmed hears that the bucket has what was written here. Who has the file open reads on in the version that attributes were
// sent with. They may have been set on a link that others had made anew.
func (n *node) confirmed(o *ossclient.Object) {
	n.mu.Lock()
	if n.pages != "" {
		n.pages = o.ETag
	}
	n.entry.Version = o.Version
	n.entry.Object.CRC64, n.entry.Object.HasCRC64 = o.CRC64, o.HasCRC64
	relinked := n.typ == attr.TypeLink && n.entry.Size != o.Size
	n.changed = n.m.changes.Add(1)
	n.entry.Until = time.Now()
	n.mu.Unlock()
	if relinked {
		n.m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
	}
}

// copied hears that a rename of ours has copied a version: the pages that are of it are of the copy, too.
func (n *node) copied(from, to ossclient.Version) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pages == from.ETag {
		n.copy = to.ETag
	}
}

// lost hears that another client's object, of this ETag, has the name. Who has the file open goes on with what was written here, which gets another name
// (Mount.beside); or with that object, when it is what he has opened.
func (n *node) lost(to ossclient.ETag) {
	n.mu.Lock()
	n.changed = n.m.changes.Add(1)
	n.entry.Until = time.Now()
	open := n.content != nil || n.pages == to
	if !open {
		n.pages = ""
		n.epoch++
	}
	n.mu.Unlock()
	if !open {
		n.m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
	}
}

// expire has the tree asked before the entry is believed again.
func (n *node) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entry.Until = time.Now()
}

// fresh is the entry, asked for again unless it may still be believed and nothing of ours is staged over
// it. Of a node that is gone, and of the root, there is nothing to ask.
func (n *node) fresh(ctx context.Context) (namespace.Entry, error) {
	for range mostOvertaken {
		n.mu.Lock()
		e, gone, moved := n.entry, n.gone, n.moved
		n.mu.Unlock()
		if gone || n.IsRoot() {
			return e, nil
		}
		if !moved && !e.Staged && time.Now().Before(e.Until) {
			if _, staged := n.m.store.Lookup(e.Key); !staged {
				return e, nil
			}
		}
		var asked uint64
		var now namespace.Entry
		err := n.m.gate.still(ctx, []ossclient.Key{e.Key}, func() (err error) {
			asked = n.m.changes.Load()
			now, err = n.m.tree.Stat(ctx, e)
			return err
		})
		if err != nil {
			if n.elsewhere(e.Key) { // what is known of it stands
				return e, nil
			}
			if errors.Is(err, ossclient.ErrNotExist) {
				err = errVanished
			}
			return e, err
		}
		if n.doubts(&now) && n.m.store.Send(ctx, now.Key) == nil {
			continue
		}
		if n.learn(now, asked) {
			if n.left() {
				return e, errLeft
			}
			return now, nil
		}
	}
	return namespace.Entry{}, fmt.Errorf("%q changes all the time: %w", n.Key(), syscall.EIO)
}

// errVanished says that others have deleted what the node is. ESTALE has the kernel walk the path again, and look every name of it up: it finds
// what is there by now, or that nothing is (open(2) and stat(2) among others; a program that has the file open gets the error).
var errVanished = fmt.Errorf("another client has deleted it: %w", syscall.ESTALE)

// errLeft says that the node has just been left to those who have it open, and its name to another.
var errLeft = fmt.Errorf("another client has replaced it: %w", syscall.ESTALE)

// mostOvertaken is how often what is known of a node is asked for again because it was out of date on arrival.
const mostOvertaken = 100

// elsewhere says whether the node was removed, or renamed from a key.
func (n *node) elsewhere(key ossclient.Key) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gone || n.key != key
}

// Getattr answers for the node, whatever handle the kernel names: size and dirty state are the node's.
func (n *node) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.use()
	n.mu.Lock()
	staged := n.content != nil
	n.mu.Unlock()
	if !staged {
		if _, err := n.fresh(ctx); err != nil {
			return n.m.fail("stat", n.Key(), err)
		}
	}
	n.show(&out.Attr)
	out.SetTimeout(n.patience())
	return 0
}

// patience is how long the kernel may believe what it is told of the node now. Zero is not a time but
// means the mount's default, which is the whole TTL.
func (n *node) patience() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.content != nil || n.gone || n.entry.Staged || n.entry.Until.IsZero() {
		return n.m.options.TTL
	}
	return min(max(time.Until(n.entry.Until), time.Nanosecond), n.m.options.TTL)
}

// show fills in the attributes as they are known.
func (n *node) show(out *fuse.Attr) {
	n.mu.Lock()
	a, size := n.attrLocked()
	gone, touched := n.gone, n.touched
	n.mu.Unlock()
	if touched.After(a.Mtime) {
		a.Mtime = touched
	}
	if touched.After(a.Ctime) {
		a.Ctime = touched
	}
	out.Ino = n.ino
	out.Mode = n.typ | a.Mode&attr.PermMask
	out.Uid, out.Gid = a.UID, a.GID
	out.Nlink = 1 // of directories too: no count of subdirectories is kept, and 1 says so to find(1)
	if gone {
		out.Nlink = 0
	}
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
	out.Size, out.Blksize = uint64(size), blockSize
	switch n.typ {
	case attr.TypeDir:
		out.Size = dirSize
	case attr.TypeChar, attr.TypeBlock:
		out.Rdev = a.Rdev
	}
	out.Blocks = (out.Size + 511) / 512
}

// attrLocked is what the node shows: completed attributes and the size in bytes.
func (n *node) attrLocked() (attr.Attr, int64) {
	if n.content == nil {
		return n.entry.Attr, n.entry.Size
	}
	a := n.m.options.Defaults.Fill(n.content.Attr(), n.typ, n.entry.Attr.Mtime)
	if !n.written.IsZero() {
		a.Mtime, a.Ctime = n.written, n.written
	}
	return a, n.content.Size()
}

// rawLocked is what is stored with the node now: the base of a change of attributes.
func (n *node) rawLocked() attr.Attr {
	if n.content != nil {
		a := n.content.Attr().Clone()
		if !n.written.IsZero() {
			a.SetMtime(n.written)
			a.SetCtime(n.written)
		}
		return a
	}
	return n.entry.Raw.Clone()
}

// answer fills in an entry for the kernel.
func (n *node) answer(out *fuse.EntryOut) *fusefs.Inode {
	n.show(&out.Attr)
	patience := n.patience()
	out.SetEntryTimeout(patience)
	out.SetAttrTimeout(patience)
	return n.EmbeddedInode()
}

// touch notes that an entry of the directory came or went.
func (n *node) touch() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.touched = time.Now()
}

// Readlink is the target of a symbolic link.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	n.use()
	e, err := n.fresh(ctx)
	if err != nil {
		return nil, n.m.fail("readlink", n.Key(), err)
	}
	return []byte(e.Target), 0
}

// Statfs describes a bucket: it is never full, and what can be written does not depend on the stage,
// which only delays a writer. The figures are a pebibyte of free space and a billion of free files.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blocks = 1 << 50 / 4096
	*out = fuse.StatfsOut{
		Bsize: 4096, Frsize: 4096, NameLen: 255,
		Blocks: blocks, Bfree: blocks, Bavail: blocks,
		Files: 1e9, Ffree: 1e9,
	}
	return 0
}

func pid(ctx context.Context) uint32 {
	if c, ok := fuse.FromContext(ctx); ok {
		return c.Pid
	}
	return 0
}

func caller(ctx context.Context) (uid, gid uint32) {
	if c, ok := fuse.FromContext(ctx); ok {
		return c.Uid, c.Gid
	}
	return 0, 0
}
