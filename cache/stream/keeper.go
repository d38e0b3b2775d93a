package stream

import (
	"cmp"
	"slices"
	"time"
)

const (
	// keepInterval is how often the keeper looks around.
	keepInterval = 500 * time.Millisecond
	// idleAfter is how long after its last read a file's share is given to others, and its blocks to whoever
	// is short of memory.
	idleAfter = time.Second
	// rateTicks is over how many of the keeper's rounds the network's best rate is looked for.
	rateTicks = 10
	// reclaimInterval is how often files are asked for memory at most.
	reclaimInterval = 5 * time.Millisecond
)

// keep is the Pool's only lasting goroutine.
func (p *Pool) keep() {
	defer p.governor.running.Done()
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	var came [rateTicks]int64 // bytes, by round
	var before, running int64
	for round := 0; ; round++ {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		now := p.counters.bytes.Load()
		came[round%rateTicks] = 0
		if running > 0 { // a round in which reading began says nothing
			came[round%rateTicks] = now - before
		}
		running, before = now-before, now
		p.governor.rate.Store(slices.Max(came[:]) * int64(time.Second/keepInterval))
		p.trails.expire(false)
		for _, f := range p.idle() {
			f.mu.Lock()
			f.idleLocked()
			f.mu.Unlock()
		}
		if b := p.opts.Budget; b.Free() < b.Total()/16 {
			p.reclaimIdle(b.Total() / 16)
		}
	}
}

// idle lists the files that nobody has read of late, the longest idle first.
func (p *Pool) idle() []*File {
	now := time.Now().Add(-idleAfter).UnixNano()
	p.mu.Lock()
	var list []*File
	for f := range p.files {
		if f.seen.Load() < now {
			list = append(list, f)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b *File) int { return cmp.Compare(a.seen.Load(), b.seen.Load()) })
	return list
}

// reclaim makes n bytes of the budget free if it can: of what nobody holds, of idle files, and in the end
// of every window's far half. Memory of a GET under way comes back a little later, when it has noticed.
func (p *Pool) reclaim(n int64) {
	now := time.Now().UnixNano()
	last := p.reclaimed.Load()
	if now-last < int64(reclaimInterval) || !p.reclaimed.CompareAndSwap(last, now) || p.reclaimIdle(n) {
		return
	}
	p.mu.Lock()
	files := make([]*File, 0, len(p.files))
	for f := range p.files {
		files = append(files, f)
	}
	p.mu.Unlock()
	for _, f := range files {
		f.shrink()
	}
	p.expire(p.limbo.shrink(0))
}

func (p *Pool) reclaimIdle(n int64) bool {
	b := p.opts.Budget
	p.expire(p.limbo.shrink(0))
	for _, f := range p.idle() {
		if b.Free() >= n {
			return true
		}
		f.mu.Lock()
		f.giveUpLocked(func(*window) bool { return true })
		f.idleLocked()
		f.mu.Unlock()
		p.expire(p.limbo.shrink(0))
	}
	return b.Free() >= n
}

// shrink halves what the file's windows reach ahead.
func (f *File) shrink() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.object.lock()
	defer f.object.unlock()
	for _, w := range f.windows {
		w.size /= 2
		for index := range w.holds {
			if w.beyond(index, w.size) {
				f.object.letGoLocked(w, index)
			}
		}
		w.turn(w.back)
	}
}

// release ends a file's part in its object.
func (p *Pool) release(f *File) {
	p.mu.Lock()
	delete(p.files, f)
	p.mu.Unlock()
	o := f.object
	o.lock()
	defer o.unlock()
	if o.refs--; o.refs > 0 {
		return
	}
	o.random.sweeping = false
	for _, s := range o.slots {
		if t := s.fetch; t != nil {
			t.keep = false
			o.giveUpLocked(t)
		}
	}
}
