package stream

import "github.com/ossfs/ossfs/cache"

const (
	// nearFirst is how far from the only read of a window the next one may lie to belong to it, in bytes.
	nearFirst = 256 << 10
	// near is the same for a window that is known, and for what a kernel's read-ahead brings out of order.
	near = 1 << 20
	// behind is how far behind the front a read may come late, in bytes.
	behind = 8 << 20
	// slack is how far behind the front a block that was not read in full is kept at least, in bytes.
	slack = 4 << 20
	// maxStrides is how many steps a strided window reaches ahead.
	maxStrides = 32
)

// window is one stream of reads in a file, and the blocks that are held for it. It is guarded by its file's
// lock.
//
// What was read lies in [lo, hi). A read near that is of the same stream, in whatever order it arrives; the
// direction is where the reads have been leaning of late. The window reaches ahead of its front as far as
// twice what has been read, so it doubles as it is consumed.
type window struct {
	lo, hi int64 // bytes
	reads  int
	volume int64 // bytes read
	lean   int   // reads that went up, less those that went down, of late
	back   bool  // it goes down
	size   int64 // how far it wants to reach ahead, in bytes
	edge   int64 // block: first one not yet asked for; when it goes down, lowest one asked for
	tail   int64 // block: below (when it goes down: from there on) nothing is held for reads to come
	last   int64 // the file's count of reads when it was touched
	cut    bool  // what it fetched ahead was given up, because the file was read elsewhere

	delta  int64 // bytes from the read before the last to the last
	same   int   // how many times in a row that was so
	stride int64 // bytes from one read to the next; 0: not strided
	pos    int64 // the last read; strided: the furthest one
	length int64 // strided: of one read, in bytes
	steps  int64 // strided: how many reads ahead
	mark   int64 // strided: the furthest read asked for

	holds map[int64]*hold // nil until the first
}

// hold keeps a block for a window.
type hold struct {
	slot   *slot
	served int // bytes read of it
}

func newWindow(off, n int64) *window {
	w := &window{lo: off, hi: off + n, reads: 1, volume: n, pos: off}
	w.turn(false)
	return w
}

// stroll makes w strided.
func (w *window) stroll(stride, off, n int64) {
	w.stride, w.pos, w.mark, w.length, w.steps = stride, off, off, n, 2
}

// distance is how far [off, off+n) lies beyond the front, or -1 if it does not belong here.
func (w *window) distance(off, n int64) int64 {
	if w.stride != 0 {
		if d := off - w.pos; d%w.stride == 0 && d/w.stride >= -maxStrides && d/w.stride <= w.steps+1 {
			return 0
		}
		return -1
	}
	tolerance := max(near, 4*n)
	switch {
	case w.reads == 1:
		tolerance = max(nearFirst, 4*n)
	case w.holds[off/cache.BlockSize] != nil: // it is on its way already
		tolerance = max(tolerance, w.size)
	}
	d := off - w.hi // beyond the front
	if w.back {
		d = w.lo - off - n
	}
	if w.reads == 1 {
		d = max(off-w.hi, w.lo-off-n)
	}
	switch {
	case d > tolerance:
		return -1
	case -d-n > max(behind, 4*n) && w.holds[off/cache.BlockSize] == nil:
		return -1 // this was read long ago: it is read again
	}
	return max(d, 0)
}

// touch notes a read that belongs here.
func (w *window) touch(off, n int64) {
	w.reads++
	w.volume += n
	if w.stride != 0 {
		if (off-w.pos)/w.stride > 0 {
			w.pos = off
			w.steps = min(2*w.steps, maxStrides)
		}
		w.length = max(w.length, n)
		return
	}
	if d := off - w.pos; d == w.delta {
		w.same++
	} else {
		w.delta, w.same = d, 0
	}
	w.pos = off
	if d := max(w.delta, -w.delta); w.same >= 2 && d >= 2*n && d >= 2*cache.BlockSize {
		w.stroll(w.delta, off, n)
		return
	}
	up, down := off+n > w.hi, off < w.lo
	if up == down {
		return
	}
	if max(off-w.hi, w.lo-off-n) > behind { // a leap over what was fetched in vain: who leaps will leap again
		w.size /= 4
		w.volume = n
		if up {
			w.lo = off
		} else {
			w.hi = off + n
		}
	}
	w.lo, w.hi = min(w.lo, off), max(w.hi, off+n)
	if up {
		w.lean = min(w.lean+1, 3)
	} else {
		w.lean = max(w.lean-1, -3)
	}
	if !w.back && w.lean <= -2 || w.back && w.lean >= 1 {
		w.turn(!w.back)
	}
	w.size = max(w.size, min(2*min(w.hi-w.lo, 2*w.volume), maxWindow))
}

// turn sets the direction and looks at everything ahead anew.
func (w *window) turn(back bool) {
	w.back = back
	above := (w.hi + cache.BlockSize - 1) / cache.BlockSize
	w.edge, w.tail = above, w.lo/cache.BlockSize
	if back {
		w.edge, w.tail = w.lo/cache.BlockSize, above
	}
	if w.reads > 1 { // what is held is near, what was read may be long
		w.tail = w.edge
		for index := range w.holds {
			if back {
				w.tail = max(w.tail, index+1)
			} else {
				w.tail = min(w.tail, index)
			}
		}
	}
}

// part is the length of a GET in blocks, for a window that may reach size bytes.
func part(size int64) int64 {
	return min(max(size/4, minPart), maxPart) / cache.BlockSize
}

// next gives the next stretch of blocks to ask for, in an object of so many blocks, when the window may
// reach share bytes at most; false when there is nothing to do for now. Small pieces wait until they
// make a whole GET, unless the reader comes near.
func (w *window) next(share, blocks int64) (first, end int64, ok bool) {
	if w.reads < 2 || w.stride != 0 {
		return 0, 0, false
	}
	reach := min(w.size, share)
	n := part(reach)
	if w.back {
		front := w.lo / cache.BlockSize
		w.edge = min(w.edge, front)
		target := max((w.lo-reach)/cache.BlockSize, 0)
		lack := w.edge - target
		if lack <= 0 || lack < n && target > 0 && front-w.edge > n {
			return 0, 0, false
		}
		return max(w.edge-n, target), w.edge, true
	}
	front := (w.hi + cache.BlockSize - 1) / cache.BlockSize
	w.edge = max(w.edge, front)
	target := min((w.hi+reach+cache.BlockSize-1)/cache.BlockSize, blocks)
	lack := target - w.edge
	if lack <= 0 || lack < n && target < blocks && w.edge-front > n {
		return 0, 0, false
	}
	return w.edge, min(w.edge+n, target), true
}

// asked notes that the stretch that next gave was asked for.
func (w *window) asked(first, end int64) {
	if w.back {
		w.edge = first
	} else {
		w.edge = end
	}
}

// nextStride is next for a strided window: one read to come.
func (w *window) nextStride(blocks int64) (first, end int64, ok bool) {
	if w.stride == 0 {
		return 0, 0, false
	}
	if (w.pos-w.mark)/w.stride > 0 {
		w.mark = w.pos
	}
	at := w.mark + w.stride
	if (at-w.pos)/w.stride > w.steps || at < 0 || at >= blocks*cache.BlockSize {
		return 0, 0, false
	}
	w.mark = at
	return at / cache.BlockSize, min((at+w.length+cache.BlockSize-1)/cache.BlockSize, blocks), true
}

// passed gives the blocks that the front has left behind, one by one, until it says false.
func (w *window) passed() (block int64, ok bool) {
	slack := max(slack, w.size/2)
	if w.back {
		if w.tail*cache.BlockSize <= w.lo+slack {
			return 0, false
		}
		w.tail--
		return w.tail, true
	}
	if (w.tail+1)*cache.BlockSize > w.hi-slack {
		return 0, false
	}
	w.tail++
	return w.tail - 1, true
}

// strideOf finds out whether a read at off continues two lone reads at a constant distance.
func strideOf(windows []*window, off int64) int64 {
	for _, a := range windows {
		d := off - a.lo
		if a.reads != 1 || d == 0 {
			continue
		}
		for _, b := range windows {
			if b.reads == 1 && a.lo-b.lo == d {
				return d
			}
		}
	}
	return 0
}

// join makes one of two windows that have met: v begins where w has come to.
func (w *window) join(v *window) bool {
	if w.stride != 0 || v.stride != 0 || w.back || v.back || v.lo < w.lo || v.lo > w.hi || v.hi-w.hi > behind {
		return false
	}
	if v.hi > w.hi {
		w.hi, w.edge = v.hi, max(w.edge, v.edge)
	}
	w.volume += v.volume
	w.size = max(w.size, v.size)
	return true
}

// lies is the stretch of blocks that w may be about to read, with block index.
func (w *window) lies(index int64) (first, end int64) {
	reach := w.size / cache.BlockSize
	if w.back {
		return index - reach, index + 1
	}
	return index, index + reach + 1
}

// beyond says whether block index lies farther ahead of the front than reach bytes.
func (w *window) beyond(index, reach int64) bool {
	if w.back {
		return (index+1)*cache.BlockSize <= w.lo-reach
	}
	return index*cache.BlockSize >= w.hi+reach
}
