package stream

import (
	"slices"

	"github.com/ossfs/ossfs/cache"
)

// locate finds the stream that r belongs to, or begins one. f.mu is held.
func (f *File) locate(r *reading) (w *window, fresh bool) {
	if slices.Contains(f.windows, r.window) {
		return r.window, false // a second try
	}
	f.count++
	n := r.end - r.off
	best := int64(-1)
	for _, v := range f.windows {
		if d := v.distance(r.off, n); d >= 0 && (best < 0 || d < best || d == best && v.last > w.last) {
			w, best = v, d
		}
	}
	if w == nil {
		w, fresh = f.jump(r.off, n), true
	} else {
		w.touch(r.off, n)
		f.several = f.several || w.cut
		w.cut = false
		f.joinLocked(w)
	}
	w.last = f.count
	limit := int64(patience)
	if f.several {
		limit = longPatience
	}
	f.giveUpLocked(func(v *window) bool { return f.count-v.last > limit })
	if w.size > 0 && !f.active {
		f.active = true
		f.pool.governor.active.Add(1)
	}
	return w, fresh && w.stride == 0
}

// jump begins a stream where none was. Unless the file is read in several places by turns, the others'
// fetches are given up: they are taken up again when somebody comes back to them.
func (f *File) jump(off, n int64) *window {
	w := newWindow(off, n)
	if stride := strideOf(f.windows, off); stride != 0 {
		w.stroll(stride, off, n)
	}
	if len(f.windows) >= maxWindows {
		oldest := slices.MinFunc(f.windows, func(a, b *window) int { return int(a.last - b.last) })
		f.giveUpLocked(func(v *window) bool { return v == oldest })
	}
	if !f.several && f.object.version.Size > wholeLimit {
		f.object.lock()
		for _, v := range f.windows {
			f.object.cutLocked(v)
		}
		f.object.unlock()
	}
	f.windows = append(f.windows, w)
	return w
}

// joinLocked takes in the streams that w has caught up with.
func (f *File) joinLocked(w *window) {
	if len(f.windows) == 1 {
		return
	}
	f.windows = slices.DeleteFunc(f.windows, func(v *window) bool {
		if v == w || !w.join(v) {
			return false
		}
		f.object.lock()
		for index, h := range v.holds {
			if w.holds[index] == nil {
				f.object.keepLocked(w, index)
			}
			if mine := w.holds[index]; mine != nil && mine.slot == h.slot {
				mine.served += h.served
			}
			f.object.letGoLocked(v, index)
		}
		f.object.unlock()
		return true
	})
}

// giveUpLocked ends the streams that are chosen.
func (f *File) giveUpLocked(chosen func(*window) bool) {
	f.windows = slices.DeleteFunc(f.windows, func(w *window) bool {
		if !chosen(w) {
			return false
		}
		f.object.lock()
		for index := range w.holds {
			f.object.letGoLocked(w, index)
		}
		f.object.unlock()
		return true
	})
}

// idleLocked: the file reads nothing ahead now.
func (f *File) idleLocked() {
	if f.active {
		f.active = false
		f.pool.governor.active.Add(-1)
	}
}

// fetchLocked starts what is missing of r's blocks and, in the same GETs, what the pattern says will be read
// next. It says whether there was memory for r's own blocks. f.mu and the object's lock are held.
func (f *File) fetchLocked(r *reading, fresh bool) bool {
	o, w := f.object, r.window
	first, end := r.pins[0].index, r.pins[len(r.pins)-1].index+1
	missing := slices.IndexFunc(r.pins, func(p pin) bool { return p.missing() })
	begin := first + int64(missing)
	dropped := o.random.given(begin)
	if dropped {
		o.random.forget(w.lies(begin))
		w.turn(w.back) // it passed over what it believed to be there
	}
	before := o.random.fetched
	how := manner{limit: maxPart / cache.BlockSize, scan: f.scan(w), kernel: f.hint.Give != nil}
	switch {
	case o.version.Size <= wholeLimit:
		if o.fetchLocked(0, o.blocks, manner{limit: o.blocks}) {
			for i := range o.blocks {
				o.keepLocked(w, i)
			}
		}
	case fresh:
		o.random.misses++
		if o.random.room == 0 {
			o.random.room = o.roomLocked()
		}
		unit := int64(1) // a page here and there that the kernel has dropped is not worth more
		if !dropped {
			unit = o.random.unit(o.version.Size, f.pool.governor.share())
		}
		from, to := extent(begin, end, unit, o.blocks)
		how.keep, how.give = unit > 1, f.gives() && !r.first
		if how.keep && o.fetchLocked(begin, to, how) {
			o.fetchLocked(from, begin, manner{limit: how.limit, ahead: true, keep: true, kernel: how.kernel, give: how.give})
		}
	case w.stride == 0 && !w.back && w.reads > 1:
		reach := min(w.size, f.pool.governor.share())
		ahead := min(max(begin+part(reach), end), (r.end+reach+cache.BlockSize-1)/cache.BlockSize, o.blocks)
		o.fetchLocked(begin, ahead, how)
	}
	for i := range r.pins {
		p := &r.pins[i]
		if !p.missing() {
			continue
		}
		if *p = o.pinLocked(p.index); !p.missing() {
			continue
		}
		stop := p.index + 1
		for stop < end && r.pins[stop-first].missing() && o.slots[stop] == nil {
			stop++
		}
		if o.startLocked(p.index, min(stop, p.index+how.limit), how) == nil {
			return false
		}
		*p = o.pinLocked(p.index)
	}
	if fresh {
		o.random.strewn += o.random.fetched - before
		o.random.sweeping = o.random.sweeping || f.gives() && o.random.dense(o.version.Size)
	}
	o.sweepLocked()
	return true
}

// gives says whether what is fetched for a random read is handed to the kernel whole: the reads that come
// nearby are then none of ours. The object's lock is held.
func (f *File) gives() bool {
	o := f.object
	return f.hint.Give != nil && o.version.Size <= o.random.room
}

// aheadLocked asks for what w will need next, as far as connections and memory go.
func (f *File) aheadLocked(w *window) {
	o := f.object
	share := f.pool.governor.share()
	for {
		first, end, ok := w.next(share, o.blocks)
		if !ok {
			break
		}
		all := o.fetchLocked(first, end, manner{limit: end - first, ahead: true, kernel: f.hint.Give != nil, scan: f.scan(w)})
		for i := first; i < end; i++ {
			o.keepLocked(w, i)
		}
		if !all {
			return
		}
		w.asked(first, end)
	}
	for {
		first, end, ok := w.nextStride(o.blocks)
		if !ok || !o.fetchLocked(first, end, manner{limit: end - first, ahead: true, kernel: f.hint.Give != nil}) {
			return
		}
		for i := first; i < end; i++ {
			o.keepLocked(w, i)
		}
	}
}

// manner is how something is fetched.
type manner struct {
	limit  int64 // blocks of one GET
	ahead  bool  // nobody waits for it: only if there is a connection and memory to spare
	keep   bool  // it is fetched to its end, whoever gives it up
	give   bool  // the kernel is handed it
	kernel bool  // what the kernel was handed before is passed over
	scan   bool  // it is a piece of a long sequential reading, and not for the store of ranges
}

// scan says whether w reads through an object that would push a good part of everything else out of the
// store of ranges. Its bytes are in the kernel's page cache now; keeping them twice costs memory and, for
// pages touched the first time, a third of the CPU time of the reading.
func (f *File) scan(w *window) bool {
	return w.reads > 1 && w.stride == 0 && f.object.version.Size > f.pool.ranges.Capacity()/4
}

// fetchLocked starts GETs for what is neither there nor on its way of the blocks [first, end), and says
// whether it could for all.
func (o *object) fetchLocked(first, end int64, how manner) bool {
	there := func(i int64) bool { return o.presentLocked(i) || how.kernel && o.random.given(i) }
	for i := first; i < end; {
		if there(i) {
			i++
			continue
		}
		j := i + 1
		for j < end && j-i < how.limit && !there(j) {
			j++
		}
		if o.startLocked(i, j, how) == nil {
			return false
		}
		i = j
	}
	return true
}

func (o *object) presentLocked(index int64) bool {
	return o.slots[index] != nil || o.pool.ranges.Has(o.version, index)
}

// keepLocked has w hold block index, if it is in a slot.
func (o *object) keepLocked(w *window, index int64) {
	s := o.slots[index]
	if s == nil || s.gift {
		return
	}
	if h := w.holds[index]; h != nil {
		if h.slot == s {
			return
		}
		o.dropLocked(h.slot)
	}
	if w.holds == nil {
		w.holds = map[int64]*hold{}
	}
	w.holds[index] = &hold{slot: s}
	o.holdLocked(s)
}

// letGoLocked ends w's hold of block index, if it has one.
func (o *object) letGoLocked(w *window, index int64) {
	if h := w.holds[index]; h != nil {
		delete(w.holds, index)
		o.dropLocked(h.slot)
	}
}

// cutLocked gives up what w is still fetching beyond its front.
func (o *object) cutLocked(w *window) {
	for index, h := range w.holds {
		if h.slot.fetch != nil && w.beyond(index, 0) {
			w.cut = true
			o.letGoLocked(w, index)
		}
	}
	if w.cut {
		w.turn(w.back)
	}
}
