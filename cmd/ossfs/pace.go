package main

import (
	"sync"
	"time"
)

// paceSeconds is over how many seconds a rate is told.
const paceSeconds = 10

// pace counts bytes by the second, those of the last few.
type pace struct {
	seconds [paceSeconds]paceSecond
	first   time.Time // after the last pause
	last    time.Time
}

type paceSecond struct {
	at    int64 // seconds since 1970
	bytes int64
}

func (p *pace) add(now time.Time, n int64) {
	if now.Sub(p.last) >= paceSeconds*time.Second {
		p.first = now
	}
	p.last = now
	at := now.Unix()
	s := &p.seconds[at%paceSeconds]
	if s.at != at {
		*s = paceSecond{at: at}
	}
	s.bytes += n
}

// traffic is the pace of what goes to the bucket and what comes from there.
type traffic struct {
	mu      sync.Mutex // guards the fields below
	out, in pace
}

// moved counts bytes as they move: those of a request that takes long are not told at its end, all at once.
func (t *traffic) moved(sent, received int64) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if sent > 0 {
		t.out.add(now, sent)
	}
	if received > 0 {
		t.in.add(now, received)
	}
}

// rates are bytes a second, of late.
func (t *traffic) rates() (out, in float64) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.rate(now), t.in.rate(now)
}

// rate is bytes a second, over the time since the last pause when that is shorter. The second that now lies in counts as
// far as it has come.
func (p *pace) rate(now time.Time) float64 {
	var sum int64
	for _, s := range p.seconds {
		if now.Unix()-s.at < paceSeconds {
			sum += s.bytes
		}
	}
	counted := now.Sub(now.Truncate(time.Second)).Seconds() + paceSeconds - 1
	return float64(sum) / min(max(now.Sub(p.first).Seconds(), 1), counted)
}
