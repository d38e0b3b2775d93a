package stream

// Stats is what a Pool has done and is doing.
type Stats struct {
	Files    int   // open handles
	Windows  int64 // bytes of memory that windows hold
	InFlight int   // GETs under way
	Gets     int64 // GETs so far, Direct among them
	Direct   int64 // GETs for a read that found no memory
	Fetched  int64 // bytes so far
	Helped   int64 // bytes read that were fetched before their file was opened
	Wasted   int64 // bytes fetched before their file was opened, and never read

	// Blocks that reads wanted: those that a window had or was fetching, those in the store of ranges, and
	// those that had to be asked for.
	Ahead, Stored, Missed int64

	Read   int64 // bytes fetched in blocks of which somebody read something
	Unread int64 // bytes fetched in blocks that are gone and of which nobody did
}

// Stats says what the Pool has done and is doing.
func (p *Pool) Stats() Stats {
	s := Stats{Windows: p.governor.held.Load(), InFlight: p.governor.inFlight(),
		Gets: p.counters.gets.Load() + p.counters.direct.Load(), Direct: p.counters.direct.Load(), Fetched: p.counters.bytes.Load()}
	c := &p.counters
	s.Ahead, s.Stored, s.Missed = c.ahead.Load(), c.stored.Load(), c.missed.Load()
	use := p.ranges.Stats()
	s.Read, s.Unread = use.Read+c.straight.Load(), use.Unread
	p.mu.Lock()
	s.Files = len(p.files)
	p.mu.Unlock()
	p.trails.mu.Lock()
	s.Helped, s.Wasted = p.trails.helped, p.trails.wasted
	p.trails.mu.Unlock()
	return s
}
