package ossclient

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// gate bounds how many requests wait for an answer at once, and adapts as TCP does: each answer adds
// a little to the bound, an answer that says "slow down" halves it, once for all requests that were
// under way at that moment. So throttling slows the whole client and not one request.
type gate struct {
	max float64

	mu      sync.Mutex // guards the fields below
	limit   float64
	inside  int
	waiting list.List // of chan struct{}, first come first served
	cut     time.Time // when the limit was halved last
}

// minLimit lets one request through however slow the service is.
const minLimit = 1

func newGate(max int) *gate { return &gate{max: float64(max), limit: float64(max)} }

// enter waits for a place. It fails only when the context ends.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.waiting.Len() == 0 && g.inside < int(g.limit) {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := g.waiting.PushBack(turn)
	g.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // it came at the same moment: hand it on
		g.inside--
		g.wakeLocked()
	default:
		g.waiting.Remove(place)
	}
	return ctx.Err()
}

// tryEnter takes a place only if one is free and nobody waits.
func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting.Len() > 0 || g.inside >= int(g.limit) {
		return false
	}
	g.inside++
	return true
}

// leave gives the place back. throttled tells that the answer to a request begun at start was "slow
// down", ok that it was a good one.
func (g *gate) leave(start time.Time, ok, throttled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case throttled && start.After(g.cut):
		g.limit = max(minLimit, min(g.limit, float64(g.inside))/2)
		g.cut = time.Now()
	case ok && g.limit < g.max && 2*g.inside >= int(g.limit): // a bound that is not felt tells nothing
		g.limit = min(g.max, g.limit+1/g.limit)
	}
	g.inside--
	g.wakeLocked()
}

func (g *gate) wakeLocked() {
	for g.waiting.Len() > 0 && g.inside < int(g.limit) {
		turn := g.waiting.Remove(g.waiting.Front()).(chan struct{})
		g.inside++
		close(turn)
	}
}

// state is how many are inside and how many may be.
func (g *gate) state() (inside, limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, int(g.limit)
}
