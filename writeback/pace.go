package writeback

import "time"

// paceSeconds is over how many seconds a rate is told.
const paceSeconds = 10

// pace counts bytes by the second, those of the last few.
type pace struct {
	seconds [paceSeconds]paceSecond
	first   time.Time // of all
}

type paceSecond struct {
	at    int64 // seconds since 1970
	bytes int64
}

func (p *pace) add(now time.Time, n int64) {
	if p.first.IsZero() {
		p.first = now
	}
	at := now.Unix()
	s := &p.seconds[at%paceSeconds]
	if s.at != at {
		*s = paceSecond{at: at}
	}
	s.bytes += n
}

// rate is bytes a second, over the time since the first of all when that is shorter.
func (p *pace) rate(now time.Time) float64 {
	var sum int64
	for _, s := range p.seconds {
		if now.Unix()-s.at < paceSeconds {
			sum += s.bytes
		}
	}
	return float64(sum) / min(max(now.Sub(p.first).Seconds(), 1), paceSeconds)
}
