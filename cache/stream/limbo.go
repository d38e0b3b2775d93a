package stream

import "sync"

// limbo is where complete blocks wait that nobody holds any more: the store of ranges was offered them,
// but it takes them later or not at all. Without it, a block could be fetched twice in a row. First in,
// first out, bounded in bytes. Its lock is a leaf.
type limbo struct {
	limit int64

	mu    sync.Mutex // guards the fields below
	queue []*slot
	bytes int64
}

// push adds a slot and returns those that have to go for it.
func (l *limbo) push(s *slot) []*slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, s)
	l.bytes += s.cost
	return l.popLocked(l.limit)
}

// shrink returns the oldest slots, until at most limit bytes are left.
func (l *limbo) shrink(limit int64) []*slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.popLocked(limit)
}

func (l *limbo) popLocked(limit int64) []*slot {
	n := 0
	for ; l.bytes > limit; n++ {
		l.bytes -= l.queue[n].cost
	}
	out := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return out
}
