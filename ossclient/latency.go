package ossclient

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// latencies remembers how long the first byte of recent answers took, and knows their 99th percentile.
// Old ones are forgotten by halves.
type latencies struct {
	p99     atomic.Int64 // nanoseconds; 0: too few seen
	waiting atomic.Int32 // requests that wait for an answer now, second ones apart

	mu     sync.Mutex // guards the fields below
	counts [latencyBuckets]uint32
	total  uint32
}

const (
	latencyBuckets = 128
	latencyMin     = 200  // this many answers before the percentile means anything
	latencyHalve   = 4000 // the memory: beyond it all counts are halved
	latencyFloor   = 5 * time.Millisecond
)

// bucketOf sorts durations by their highest bit and the two below it: each bucket is a quarter of an
// octave of microseconds.
func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 4))
	high := bits.Len64(us) - 1
	return min(latencyBuckets-1, high<<2|int(us>>(high-2)&3))
}

// upperOf is where a bucket ends.
func upperOf(i int) time.Duration {
	return time.Duration(uint64(4|i&3)+1) << (i >> 2) / 4 * time.Microsecond
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[bucketOf(d)]++
	l.total++
	if l.total >= latencyHalve {
		l.total = 0
		for i := range l.counts {
			l.counts[i] /= 2
			l.total += l.counts[i]
		}
	}
	if l.total >= latencyMin && l.total%64 == 0 {
		l.p99.Store(int64(max(latencyFloor, l.percentileLocked(99))))
	}
}

func (l *latencies) percentileLocked(p uint32) time.Duration {
	above := l.total - l.total*p/100
	for i := latencyBuckets - 1; i >= 0; i-- {
		if l.counts[i] >= above {
			return upperOf(i)
		}
		above -= l.counts[i]
	}
	return 0
}

// allowance lets a few per cent of requests be sent twice: each request earns a fraction of one.
type allowance struct{ millis atomic.Int64 }

const (
	hedgeEarned = 20     // thousandths of a hedge for each request: 2 per cent
	hedgeSaved  = 10_000 // at most this many are saved up
	hedgeCost   = 1000
)

func (a *allowance) earn() {
	if a.millis.Add(hedgeEarned) > hedgeSaved {
		a.millis.Add(-hedgeEarned)
	}
}

func (a *allowance) spend() bool {
	if a.millis.Add(-hedgeCost) < 0 {
		a.millis.Add(hedgeCost)
		return false
	}
	return true
}
