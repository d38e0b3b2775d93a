package fs

import "context"

// What a program writes lies for a moment in the kernel's pages, and is not here yet. When the kernel is told just then to drop them, who reads them
// has it ask for what was there before, and keep that: the write, when it comes, goes past it. While the kernel waits for the answer to a change of
// the file nobody writes (notifier.tellLocked); at any other time the drop is a late one. Only one write can have
// begun before a late drop was over, since the kernel lets one after the other write, and it is the first that comes afterwards. Before
// that one is answered, the kernel drops what was read since once more.

// mostRead is how many pieces are remembered one by one. A piece that was read is in pages that the kernel can drop before a write is answered; one that was not
// may be in a page that it has locked until then.
const mostRead = 64

// late is what a node knows of late drops.
type late struct {
	under int     // so many are being told
	begun uint64  // counts them
	open  bool    // the first write after the last has not come yet
	read  []piece // what was read since
}

// piece is a piece of a file, in bytes.
type piece struct{ off, end int64 }

// beginLateLocked notes that the kernel is told to drop pages while others may write. It needs n.mu.
func (n *node) beginLateLocked() {
	n.late.under++
	n.late.begun++
	n.late.open = true
}

func (n *node) endLate() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late.under--
}

// readsAt notes what a READ is of, before its bytes are looked up.
func (n *node) readsAt(off, size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.late.open {
		n.late.add(piece{off, off + size})
	}
}

func (l *late) add(p piece) {
	if last := len(l.read) - 1; last >= 0 && l.read[last].off <= p.off && p.off <= l.read[last].end {
		l.read[last].end = max(l.read[last].end, p.end)
		return
	}
	if l.read = append(l.read, p); len(l.read) > mostRead {
		all := p
		for _, r := range l.read {
			all = piece{min(all.off, r.off), max(all.end, r.end)}
		}
		l.read = append(l.read[:0], all)
	}
}

// writesAt is called when a write that goes through the kernel's pages comes, and what it returns when its bytes are here.
func (n *node) writesAt() (written func(ctx context.Context, off, size int64)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.late.open {
		return func(context.Context, int64, int64) {}
	}
	begun, under := n.late.begun, n.late.under
	return func(ctx context.Context, off, size int64) {
		n.mu.Lock()
		again := piece{off + size, off} // of what was written, what was read
		for _, r := range n.late.read {
			if from, to := max(r.off, off), min(r.end, off+size); from < to {
				again = piece{min(again.off, from), max(again.end, to)}
			}
		}
		if under == 0 && n.late.begun == begun { // it is the one; those that come after it have begun after it
			n.late.open, n.late.read = false, nil
		}
		n.mu.Unlock()
		if again.off < again.end {
			n.m.notify.tellLocked(ctx, notice{node: n.EmbeddedInode(), pages: true, off: again.off, length: again.end - again.off})
		}
	}
}
