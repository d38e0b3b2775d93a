package ossclient

import (
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 10 * time.Second
	maxWrong     = 3 // a checksum or an answer that is wrong this often is not the network's doing
	maxSkewed    = 3
)

// retry decides whether and when a request is repeated: within a budget of time, after a random part
// of a wait that doubles ("full jitter"), and not before the server's Retry-After.
type retry struct {
	start  time.Time
	budget time.Duration
	tries  int
	wrong  int
	skewed int
}

func newRetry(budget time.Duration) *retry { return &retry{start: time.Now(), budget: budget} }

// next judges a failed attempt.
func (r *retry) next(f *failure) (wait time.Duration, again bool) {
	if f.skewed {
		r.skewed++
		return 0, r.skewed < maxSkewed
	}
	if !f.retry {
		return 0, false
	}
	if f.wrong || f.err.Kind == ErrCorrupt {
		if r.wrong++; r.wrong >= maxWrong {
			return 0, false
		}
	}
	ceiling := maxBackoff
	if r.tries < 8 {
		ceiling = min(maxBackoff, firstBackoff<<r.tries)
	}
	r.tries++
	wait = max(rand.N(ceiling), f.after)
	budget := r.budget
	if f.limit > 0 {
		budget = min(budget, f.limit)
	}
	return wait, time.Since(r.start)+wait < budget
}

// renew gives the whole budget again, after progress.
func (r *retry) renew() { r.start, r.tries = time.Now(), 0 }
