package stream

import (
	"context"
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

// object is what the handles of one version share: the blocks that are being fetched or are held.
type object struct {
	pool    *Pool
	version ossclient.Version
	blocks  int64 // how many it has

	replaced sync.Once // logs that it was

	mu      sync.Mutex // guards the fields below; after Pool.mu and File.mu, before the leaves
	refs    int        // files
	slots   map[int64]*slot
	retired []retiree // complete and held by nobody since the lock was taken; unlock cares for them
	sums    sums
	random  random
	give    func(off int64, data []byte) bool // hands the kernel bytes; nil: nobody can
	corrupt bool                              // the CRC-64 of what was fetched is wrong: nothing more of it goes to the store of ranges
}

type retiree struct {
	slot  *slot
	offer bool // to the store of ranges
}

// slot is the place of one block from the moment it is asked for until nobody wants it. It is guarded by
// its object's lock; the bytes of its block below filled are immutable and may be read without it, by
// whoever has a reference.
type slot struct {
	obj     *object
	index   int64
	cost    int64        // bytes of budget
	fetch   *fetch       // nil when complete
	block   *cache.Block // nil until the fetch has come to it
	filled  int          // bytes that are there
	err     error        // why the fetch failed; then the slot is out of the object already
	holders int          // windows and waiting reads
	queued  bool         // in limbo, or on the way there
	gift    bool         // the kernel gets it whole: windows need not keep it
	offered bool         // the store of ranges was asked, or is not to be
	waiters []waiter
}

type waiter struct {
	need  int           // bytes
	ready chan struct{} // closed when they are there, or never will be
}

func (o *object) lock() { o.mu.Lock() }

// unlock also moves what nobody holds any more out of the way.
func (o *object) unlock() {
	retired := o.retired
	o.retired = nil
	idle := o.refs == 0 && len(o.slots) == 0
	o.mu.Unlock()
	for _, r := range retired {
		o.pool.retire(r)
	}
	if idle {
		o.pool.forget(o)
	}
}

// retireLocked lets s, complete and held by nobody, go.
func (o *object) retireLocked(s *slot) {
	if s.queued {
		return
	}
	o.retired = append(o.retired, retiree{s, !s.offered && !o.corrupt})
	s.queued, s.offered = true, true
}

// holdLocked keeps s from going.
func (o *object) holdLocked(s *slot) {
	if s.holders++; s.holders == 1 && s.fetch != nil {
		s.fetch.wanted++
	}
}

// dropLocked ends a hold. A fetch of which nothing more is wanted is given up.
func (o *object) dropLocked(s *slot) {
	s.holders--
	switch {
	case s.holders > 0 || s.err != nil:
	case s.fetch != nil:
		s.fetch.wanted--
		o.giveUpLocked(s.fetch)
	default:
		o.retireLocked(s)
	}
}

// pin is one block of a read under way: a reference to it, or a hold on the slot that will have it.
type pin struct {
	index int64
	slot  *slot        // nil: from the store of ranges, or missing
	block *cache.Block // nil: not there yet
}

func (p *pin) missing() bool { return p.slot == nil && p.block == nil }

// pinLocked finds block index, wherever it is.
func (o *object) pinLocked(index int64) pin {
	if s := o.slots[index]; s != nil {
		if s.fetch == nil {
			s.block.MarkRead()
			return pin{index, s, s.block.Retain()}
		}
		o.holdLocked(s)
		return pin{index, s, nil}
	}
	b := o.pool.ranges.Get(o.version, index)
	if b != nil {
		b.MarkRead()
		o.sums.note(index, b.Sum())
	}
	return pin{index, nil, b}
}

// unpinLocked ends what pinLocked began.
func (o *object) unpinLocked(p *pin) {
	switch {
	case p.block != nil:
		p.block.Release()
	case p.slot != nil:
		o.dropLocked(p.slot)
	}
	*p = pin{index: p.index}
}

// await waits until the first need bytes of p's block are there, and turns the hold into a reference.
func (o *object) await(ctx context.Context, p *pin, need int) error {
	for {
		o.lock()
		ready, err := o.readyLocked(p, need)
		o.unlock()
		if ready == nil {
			return err
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readyLocked is one step of await: done, or a channel to wait for.
func (o *object) readyLocked(p *pin, need int) (chan struct{}, error) {
	s := p.slot
	if s.err != nil {
		return nil, s.err
	}
	if s.filled >= need {
		s.block.MarkRead()
		p.block = s.block.Retain()
		o.dropLocked(s)
		return nil, nil
	}
	ready := make(chan struct{})
	s.waiters = append(s.waiters, waiter{need, ready})
	return ready, nil
}

// wakeLocked wakes who waits for bytes that are there now, or everybody.
func (s *slot) wakeLocked(all bool) {
	if len(s.waiters) == 0 {
		return
	}
	kept := s.waiters[:0]
	for _, w := range s.waiters {
		if all || w.need <= s.filled {
			close(w.ready)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waiters[len(kept):])
	s.waiters = kept
}

// completeLocked ends the fetching of s.
func (o *object) completeLocked(s *slot) {
	if s.holders > 0 {
		s.fetch.wanted--
	}
	s.fetch = nil
	s.filled = len(s.block.Bytes())
	o.sums.note(s.index, s.block.Sum())
	s.wakeLocked(true)
	if s.holders == 0 {
		o.retireLocked(s)
	}
}

// removeLocked takes s out of the object and gives its memory back.
func (o *object) removeLocked(s *slot) {
	if o.slots[s.index] == s {
		delete(o.slots, s.index)
	}
	if s.block != nil {
		s.block.Release()
		s.block = nil
	}
	o.pool.governor.give(s.cost)
}
