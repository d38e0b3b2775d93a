package stream

import (
	"sync"

	"github.com/ossfs/ossfs/cache"
)

// giver hands blocks to the kernel's page cache that it has not asked for (Hint.Give). It is a goroutine of
// its own because the kernel makes it wait for pages that a read is waiting for, and that read may wait for the
// very fetch that brought the block. What is queued is held, and so counted in the budget; where that leaves
// no memory, reads go to the bucket by themselves.
type giver struct {
	wake chan struct{} // one token: the queue has something

	mu    sync.Mutex // guards queue; a leaf
	queue []*slot
}

func newGiver() *giver { return &giver{wake: make(chan struct{}, 1)} }

// giveLocked queues s, which is complete. The object's lock is held.
func (o *object) giveLocked(s *slot) {
	g := o.pool.giver
	o.holdLocked(s)
	g.mu.Lock()
	g.queue = append(g.queue, s)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *giver) take() []*slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	batch := g.queue
	g.queue = nil
	return batch
}

// give is the giver's goroutine.
func (p *Pool) give() {
	defer p.governor.running.Done()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.giver.wake:
		}
		for _, s := range p.giver.take() {
			s.giveAway()
		}
	}
}

// keepGifts drops what is queued.
func (p *Pool) keepGifts() {
	for _, s := range p.giver.take() {
		s.obj.lock()
		s.obj.dropLocked(s)
		s.obj.unlock()
	}
}

// giveAway hands one block over and goes on with the object's sweep, for which there is memory again.
func (s *slot) giveAway() {
	o := s.obj
	o.lock()
	give := o.give
	o.unlock()
	taken := give != nil && give(s.index*cache.BlockSize, s.block.Bytes())
	o.lock()
	defer o.unlock()
	s.gift = taken
	if taken {
		s.offered = true
		o.random.give(s.index)
	}
	o.dropLocked(s)
	o.sweepLocked()
}

// sweepLocked goes on with the fetching of the whole object, as far as connections and memory go.
func (o *object) sweepLocked() {
	r := &o.random
	if !r.sweeping || o.refs == 0 {
		return
	}
	share := o.pool.governor.share()
	piece := max(min(maxPart, share/4)/cache.BlockSize, 1)
	most := max(share/(piece*cache.BlockSize), 1)
	for r.at < o.blocks && r.sweeps < most {
		if o.presentLocked(r.at) || r.given(r.at) {
			r.at++
			continue
		}
		end := r.at + 1
		for end < o.blocks && end-r.at < piece && !o.presentLocked(end) && !r.given(end) {
			end++
		}
		t := o.startLocked(r.at, end, manner{ahead: true, keep: true, give: true})
		if t == nil {
			return // the next block that is given away, or the next miss, goes on
		}
		t.sweep = true
		r.sweeps++
		r.at = end
	}
}
