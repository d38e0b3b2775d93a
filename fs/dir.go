package fs

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/cespare/xxhash/v2"
	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
)

var _ fusefs.NodeOpendirHandler = (*node)(nil)

// markStride is the distance, in entries, between the positions that a directory handle remembers.
const markStride = 256

// dirHandle is one open of a directory: a cursor over the merged listing.
//
// An offset counts the entries given out; "." and ".." are the first two. To seek, the handle goes back to
// the last mark at or before the offset and passes over what it has given out between the two. It knows
// that by hashes, not by counting, so that entries that came or went meanwhile make no other
// entry appear twice or not at all. It keeps 8 bytes for each entry given out.
type dirHandle struct {
	n *node

	// go-fuse calls the methods of one handle one after another, so the fields below need no lock.
	cursor *namespace.Cursor
	asked  uint64          // Mount.changes when the cursor began
	marks  []mark          // of the entries given out, without "." and ".."
	last   namespace.Entry // the entry given out last: the one that is looked up next
	pos    int             // the offset of the next entry
	skip   map[uint64]bool // entries not to be given out again after a seek
	first  context.Context // of the request that began at the beginning, to tell it from the others
	reply  context.Context // of the request that the last entry was given to
}

// mark is a position and what was given out behind it, up to the next one.
type mark struct {
	after string   // the name that comes before
	given []uint64 // hashes of at most markStride entries, in order
}

var (
	_ fusefs.FileReaddirenter = (*dirHandle)(nil)
	_ fusefs.FileSeekdirer    = (*dirHandle)(nil)
	_ fusefs.FileLookuper     = (*dirHandle)(nil)
	_ fusefs.FileFsyncdirer   = (*dirHandle)(nil)
	_ fusefs.FileReleasedirer = (*dirHandle)(nil)
)

// OpendirHandle opens the directory; the first request is made by the first read.
func (n *node) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if n.typ != attr.TypeDir {
		return nil, 0, syscall.ENOTDIR
	}
	n.use()
	return &dirHandle{n: n}, 0, 0
}

// Readdirent is the next entry; nil at the end, and when the reader would have to wait for more though it has been
// given something: the kernel asks for buffers of thousands of entries, and only an empty one is the end to it.
func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.pos < 2 {
		d.pos++
		d.first = ctx
		return &fuse.DirEntry{Name: ".."[:d.pos], Mode: attr.TypeDir, Ino: d.n.ino, Off: uint64(d.pos)}, 0
	}
	if d.reply == ctx && d.cursor != nil && !d.cursor.Ready() {
		return nil, 0
	}
	e, err := d.next(ctx)
	if errors.Is(err, io.EOF) {
		return nil, 0
	}
	if err != nil {
		return nil, d.n.m.fail("readdir", d.n.Key(), err)
	}
	d.last, d.reply = e, ctx
	d.pos++
	return &fuse.DirEntry{Name: e.Name, Mode: e.Attr.Mode & attr.TypeMask, Ino: d.n.m.nodes.number(e.Key), Off: uint64(d.pos)}, 0
}

// next takes the next entry that was not given out before.
func (d *dirHandle) next(ctx context.Context) (namespace.Entry, error) {
	if d.cursor == nil {
		if len(d.marks) == 0 {
			d.marks = append(d.marks, mark{})
		}
		d.asked = d.n.m.changes.Load()
		d.cursor = d.n.m.tree.List(ctx, d.n.Key(), d.marks[len(d.marks)-1].after)
	}
	for {
		e, err := d.cursor.Next(ctx)
		if err != nil {
			return e, err
		}
		hash := xxhash.Sum64String(e.Name)
		if d.skip[hash] {
			continue
		}
		last := &d.marks[len(d.marks)-1]
		last.given = append(last.given, hash)
		if len(last.given) == markStride {
			d.marks = append(d.marks, mark{after: strings.Clone(e.Mark())}) // a name of its own: others keep the text of their page
			d.skip = nil
		}
		return e, nil
	}
}

// Seekdir goes to an offset that was given out, or to the beginning, which lists anew.
func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	entries := max(int(off)-2, 0)
	if entries > d.count() {
		return syscall.EINVAL
	}
	if d.cursor != nil {
		d.cursor.Close()
		d.cursor = nil
	}
	d.pos = int(off)
	if entries == 0 {
		d.marks, d.skip = nil, nil
		return 0
	}
	d.marks = d.marks[:entries/markStride+1]
	last := &d.marks[len(d.marks)-1]
	last.given = last.given[:entries%markStride]
	d.skip = make(map[uint64]bool)
	for _, hash := range last.given {
		d.skip[hash] = true
	}
	return 0
}

// count is how many entries were given out.
func (d *dirHandle) count() int {
	if len(d.marks) == 0 {
		return 0
	}
	return (len(d.marks)-1)*markStride + len(d.marks[len(d.marks)-1].given)
}

// errBare has an entry shown without attributes: it is no answer to a program, and the kernel looks the name up when
// somebody wants them (fuse_direntplus_link).
const errBare = syscall.ENODATA

// Lookup is that of the entry that Readdirent gave last: the listing knows its attributes already. The kernel asks for
// attributes in the first request of every reader, and in later ones when some of the directory were of use. A file's
// inode costs more than its name, there and here, and find(1) does not want it: the first request has none unless the
// program is one that looks at files.
func (d *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	e := d.last
	if e.Name != name {
		return d.n.Lookup(ctx, name, out)
	}
	if !e.Dir && ctx == d.first && !d.n.m.lookers.looks(pid(ctx)) {
		return nil, errBare
	}
	child, ok := d.n.admit(ctx, e, d.asked)
	if !ok { // the directory was renamed meanwhile
		return d.n.Lookup(ctx, name, out)
	}
	return child.answer(out), 0
}

// Fsyncdir returns when the bucket has the directory and all below it.
func (d *dirHandle) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	return d.n.m.fail("fsync", d.n.Key(), d.n.syncTree(ctx))
}

// Releasedir ends the handle.
func (d *dirHandle) Releasedir(context.Context, uint32) {
	if d.cursor != nil {
		d.cursor.Close()
		d.cursor = nil
	}
}
