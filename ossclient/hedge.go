package ossclient

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errOutrun is why the slower of two equal requests is cancelled.
var errOutrun = errors.New("the other of two requests answered first")

// headsCrowd is how many HEADs are under way when none of them is sent twice. So many are asked for ahead of who wants
// them, and the others go on while one is late: a second request would hurry nobody. When a late one is what all wait
// for, the others end, and its turn comes.
const headsCrowd = 8

// race is a request that may be sent twice. The first is sent by the caller's goroutine; when its
// answer is later than 99 of 100 are, a second is sent by another, and the first good answer wins.
type race struct {
	bucket *Bucket
	ctx    context.Context
	req    *request
	delay  time.Duration
	bell   bell          // rings when the second is to be sent
	done   chan struct{} // closed when the second has ended; nil: there is none

	mu      sync.Mutex // guards the fields below
	over    bool       // the first has ended, and does not wait for the second
	first   *watch
	second  *watch
	answer  *answer // the second's
	failure *failure
}

// hedged sends a request that may be sent twice.
func (b *Bucket) hedged(ctx context.Context, r *request) (*answer, *failure) {
	l := &b.slow[r.op.slot()]
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	start := time.Now()
	b.spare.earn()
	delay := time.Duration(l.p99.Load())
	if delay == 0 {
		a, f := b.send(ctx, r, nil)
		if f == nil {
			l.add(time.Since(start))
		}
		return a, f
	}
	x := &race{bucket: b, ctx: ctx, req: r, delay: delay}
	x.bell = bell{alarm: b.alarm, ring: x.sendSecond}
	x.bell.reset(delay)
	a, f := b.send(ctx, r, x.beginFirst)
	l.add(time.Since(start)) // of a first that was outrun it is less than the truth, which is long enough
	return x.settle(a, f)
}

// crowded says whether the first is one of many.
func (x *race) crowded() bool {
	return x.req.op.slot() == slotHead && x.bucket.slow[slotHead].waiting.Load() > headsCrowd
}

func (x *race) beginFirst(w *watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.first = w
	if x.answer != nil {
		w.abort(errOutrun)
	}
}

func (x *race) beginSecond(w *watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.second = w
	if x.over {
		w.abort(errOutrun)
	}
}

// sendSecond is what the bell calls.
func (x *race) sendSecond() {
	b := x.bucket
	x.mu.Lock()
	if x.over || x.ctx.Err() != nil {
		x.mu.Unlock()
		return
	}
	if x.crowded() {
		x.bell.reset(x.delay)
		x.mu.Unlock()
		return
	}
	if !b.gate.tryEnter() {
		x.mu.Unlock()
		return
	}
	start := time.Now()
	if !b.spare.spend() {
		b.gate.leave(start, false, false)
		x.mu.Unlock()
		return
	}
	x.done = make(chan struct{})
	b.background.Add(1)
	x.mu.Unlock()
	defer b.background.Done()

	b.counters.requests.Add(1)
	b.counters.hedges.Add(1)
	a, f := b.send(x.ctx, x.req, x.beginSecond)
	b.gate.leave(start, f == nil, f != nil && f.throttle)

	x.mu.Lock()
	defer x.mu.Unlock()
	defer close(x.done)
	switch {
	case x.over && a != nil:
		a.close()
	case a != nil:
		a.hedge = true
		if x.answer = a; x.first != nil {
			x.first.abort(errOutrun)
		}
	default:
		x.failure = f
	}
}

// settle picks the winner after the first has ended.
func (x *race) settle(a *answer, f *failure) (*answer, *failure) {
	x.mu.Lock()
	x.bell.stop()
	done := x.done
	if f == nil || !f.retry || done == nil {
		x.over = true
		if x.second != nil {
			x.second.abort(errOutrun)
		}
		second := x.answer
		x.mu.Unlock()
		if second == nil {
			return a, f
		}
		if f == nil || f.err.Kind == ErrCanceled { // both answered at the same moment, or nobody wants to know
			second.close()
			return a, f
		}
		x.bucket.counters.hedgesWon.Add(1)
		return second, nil
	}
	x.mu.Unlock()
	<-done // the second is under way: it is our repetition. Its own watch bounds it.
	if x.answer != nil {
		x.bucket.counters.hedgesWon.Add(1)
		return x.answer, nil
	}
	return nil, f
}
