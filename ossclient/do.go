package ossclient

import (
	"context"
	"log/slog"
	"time"
)

// do sends a request until it succeeds, fails for good, or the budget is spent. An answer that comes
// back without accept having read it must be closed. A request that settle found done gives no answer.
func (b *Bucket) do(ctx context.Context, r *request) (*answer, error) {
	retry := newRetry(b.cfg.RetryBudget)
	lost := false // an answer was lost: the request may have had its effect
	for n := 1; ; n++ {
		a, f := b.attempt(ctx, r, n)
		if f == nil {
			return a, nil
		}
		wait, again := retry.next(f)
		f.final = !again
		b.tellFailure(r, f, n)
		lost = lost || f.ambiguous
		if lost && r.settle != nil && f.err.Kind != ErrCanceled && r.settle(ctx, f) {
			return nil, nil
		}
		if !again {
			b.failed(ctx, f.err)
			return nil, f.err
		}
		if f.skewed {
			b.skew.Store(int64(f.skew))
		}
		b.counters.retries.Add(1)
		if b.log.Enabled(ctx, slog.LevelDebug) {
			b.log.LogAttrs(ctx, slog.LevelDebug, "request is repeated", slog.String("error", f.err.Error()), slog.Int("attempt", n), slog.Duration("wait", wait))
		}
		if !sleep(ctx, wait) {
			return nil, b.canceled(ctx, r, f.err)
		}
	}
}

// failed logs a request that failed for good, once. What callers ask about every day (an object that is not there, a
// condition that does not hold) is no news, and what they tell themselves is left to them, as every archived object is. Wrong
// bytes are an error of somebody's, not a bad moment of the network.
func (b *Bucket) failed(ctx context.Context, e *Error) {
	switch e.Kind {
	case ErrNotExist, ErrExist, ErrPrecondition, ErrCanceled:
		return
	}
	b.counters.failures.Add(1)
	if e.Kind == ErrArchived || ctx.Value(notLogged{}) != nil {
		return
	}
	level := slog.LevelWarn
	if e.Kind == ErrCorrupt {
		level = slog.LevelError
	}
	e.Log(ctx, b.log, level, "request failed")
}

// attempt sends a request once, when the gate lets it through, and judges the answer.
func (b *Bucket) attempt(ctx context.Context, r *request, n int) (*answer, *failure) {
	if err := b.gate.enter(ctx); err != nil {
		return nil, &failure{err: b.canceled(ctx, r, nil)}
	}
	start := time.Now()
	b.counters.requests.Add(1)
	var a *answer
	var f *failure
	if r.op.slot() == slotNone {
		a, f = b.send(ctx, r, nil)
	} else {
		a, f = b.hedged(ctx, r)
	}
	if f == nil {
		a.attempt = n
		f = b.judge(ctx, r, a)
	}
	if f != nil && f.throttle {
		b.counters.throttled.Add(1)
	}
	b.gate.leave(start, f == nil, f != nil && f.throttle)
	if f != nil {
		return nil, f
	}
	return a, nil
}

// judge lets the request read its answer.
func (b *Bucket) judge(ctx context.Context, r *request, a *answer) *failure {
	if r.accept == nil {
		return nil
	}
	err := r.accept(a)
	if err == nil {
		a.close()
		return nil
	}
	f := b.broken(ctx, r, withCause(a.watch, err))
	f.answer = a
	f.err.Status, f.err.RequestID = a.status, a.header.Get("X-Oss-Request-Id")
	a.release()
	return f
}

// sleep waits, and reports false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
