package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/ossclient"
)

// The kernel can be given pages before it asks for them. A page that comes late would put old bytes over new
// ones, so it is given only while nothing can change what the pages are to hold: the node is clean, nobody has
// it open for writing, and its pages are known to belong to the version that the bytes are of. Whoever ends
// that state first says so in the node's fields, and then waits for what is being given (settlePages).

// givePages hands the kernel bytes of v. It says whether it could.
func (n *node) givePages(v ossclient.Version, off int64, data []byte) bool {
	n.mu.Lock()
	if n.content != nil || n.writers > 0 || n.pages != v.ETag || n.suspect {
		n.mu.Unlock()
		return false
	}
	n.beginGivingLocked()
	n.mu.Unlock()
	defer n.endGiving()
	return n.WriteCache(off, data) == 0
}

// beginGivingLocked says that pages are being given to the kernel. It needs n.mu.
func (n *node) beginGivingLocked() {
	if n.giving++; n.giving == 1 {
		n.given = make(chan struct{})
	}
}

func (n *node) endGiving() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.giving--; n.giving == 0 {
		close(n.given)
		n.given = nil
	}
}

// settlePages waits until nothing is being given to the kernel of the node.
func (n *node) settlePages(ctx context.Context) error {
	for {
		n.mu.Lock()
		giving, given := n.giving, n.given
		n.mu.Unlock()
		if giving == 0 {
			return nil
		}
		select {
		case <-given:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// openFlags says whether the kernel's pages are still those of the file that h has opened, and that the
// close of a handle that only reads is none of our business.
func (n *node) openFlags(ctx context.Context, h *handle) (uint32, error) {
	var flags uint32
	if !h.writer {
		flags = fuse.FOPEN_NOFLUSH
	}
	n.mu.Lock()
	want := n.entry.Version.ETag
	switch {
	case n.content != nil:
		want = ownPages
	case n.entry.Pending: // another's answer, out of date
		want = ""
	}
	// Of what is written here the pages are right, also when the bucket has got a state of it meanwhile. They must stay, too: where the kernel has
	// put what a program is just writing, and not sent it yet, a reader would bring back what was there before.
	keep := (n.pages == want || n.content != nil && n.pages != "") && want != "" && !n.suspect
	virgin := !n.paged && want != ""
	n.pages, n.suspect = want, false
	h.paged = h.flags&syscall.O_DIRECT == 0 && (n.paged || !h.writesOnly())
	if h.pager = h.paged || !h.writesOnly(); h.pager {
		n.paged = true
		n.pagers++
	}
	n.mu.Unlock()
	switch {
	case !h.paged:
		flags |= fuse.FOPEN_DIRECT_IO
	case virgin && !h.writer && h.preload(ctx):
		return flags | fuse.FOPEN_KEEP_CACHE, nil
	case keep:
		flags |= fuse.FOPEN_KEEP_CACHE
	}
	if keep && h.paged && !h.writer {
		return flags, nil
	}
	err := n.settlePages(ctx)
	if err != nil { // the kernel drops pages when it opens the file, and this open fails
		n.suspectPages()
	}
	return flags, err
}

// suspectPages notes that the kernel may have pages of other bytes than those that the file is known to have.
func (n *node) suspectPages() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.suspect = true
}

// preload hands the kernel a whole small file that is in memory already, such as one that was fetched ahead.
// It saves the program the wait for a READ and, since that would spoil the time of the last access, for a GETATTR.
func (h *handle) preload(ctx context.Context) bool {
	_, clean, err := h.reader(ctx)
	if err != nil || clean == nil {
		return false
	}
	view := clean.Ready()
	if view == nil {
		return false
	}
	defer view.Release()
	return h.n.giveView(clean.Version(), view)
}

func (n *node) giveView(v ossclient.Version, view *stream.View) bool {
	off := int64(0)
	for _, piece := range view.Slices() {
		if !n.givePages(v, off, piece) {
			return false
		}
		off += int64(len(piece))
	}
	return true
}
