package fs

import (
	"context"
	"sync"
	"syscall"
)

// A program that only writes a file needs none of its pages. Written through the kernel's page cache each byte
// is copied into a page, which has to be found, charged and kept, before it comes here: half of the work of
// dd(1), on processors that the upload wants too. So a file that is opened for writing alone, and of which the
// kernel has no pages, is opened with FOPEN_DIRECT_IO. Two things are then left to do that the page cache did:
//
//   - Who reads the file meanwhile, through pages of their own, must see what is written. The kernel drops the
//     pages of a range before it sends a direct write, since 6.6; a read in between brings old ones back. They are
//     dropped again once the bytes are staged, before the write is answered. (Linux 6.18 does that by itself when it
//     has the answer, and so hides it from tests of a mount.)
//   - Small files are often read soon after they were written, a copied source tree for one: at the last
//     close they are handed to the kernel, which costs what the pages would have cost before.

// mostHandedOver is the size of the largest file that is handed to the kernel when it was written: a larger
// one is not worth a copy for a reader who may never come.
const mostHandedOver = 1 << 20

// writesOnly says whether the program can only write through h.
func (h *handle) writesOnly() bool { return h.flags&syscall.O_ACCMODE == syscall.O_WRONLY }

// maps says whether the program can store into a mapping made through h.
func (h *handle) maps() bool { return h.writer && !h.writesOnly() }

// unpaged notes that the kernel drops all pages when it hears the answer to this open, which empties the file; other
// handles may bring new ones.
func (n *node) unpaged() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paged = n.pagers > 0
}

// dropPages makes the kernel forget what it may have of a range that was written around its pages. No lock is
// held: the kernel waits for a page that is being read, until that read is answered. What a handle that can be mapped
// writes may be such a page itself, for which the kernel would wait until this write is answered: there it is left to
// the kernel.
func (h *handle) dropPages(off, size int64) {
	if h.paged || !h.writesOnly() {
		return
	}
	n := h.n
	n.mu.Lock()
	paged := n.paged
	n.mu.Unlock()
	if !paged {
		return
	}
	n.m.calls.calmPages(n.EmbeddedInode(), off, size)
	_ = n.NotifyContent(off, size) // ENOENT for what the kernel does not know
}

// handOver gives the kernel the pages of a small file that h has written, when h is its last handle: what
// changes the file afterwards opens it, or borrows it, and waits for the pages (settlePages). Of a file that is not
// given the kernel has no pages still: who next opens it for writing alone is to pass by them, too.
func (h *handle) handOver(ctx context.Context) {
	n := h.n
	n.mu.Lock()
	c := n.content
	if n.paged || n.handles > 1 || n.gone || c == nil || n.pages != ownPages {
		n.mu.Unlock()
		return
	}
	size := c.Size()
	if size > mostHandedOver || !c.Local() {
		n.mu.Unlock()
		return
	}
	n.paged = true // from here on, for an open that comes before the pages are there
	n.beginGivingLocked()
	n.mu.Unlock()
	defer n.endGiving()
	buf := handOverBuffers.Get().(*[]byte)
	defer handOverBuffers.Put(buf)
	p := (*buf)[:size]
	if got, err := c.ReadAt(ctx, p, 0); err == nil && got == len(p) {
		n.WriteCache(0, p) // what the kernel does not take is read when it is wanted
	}
}

var handOverBuffers = sync.Pool{New: func() any { p := make([]byte, mostHandedOver); return &p }}
