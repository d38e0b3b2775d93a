package fs

import (
	"context"
	"strings"
	"sync"

	"github.com/ossfs/ossfs/ossclient"
)

// gate keeps changes away from what is being renamed. A rename of what the bucket has takes requests;
// a change that was addressed to the old key meanwhile would bring that key back to life. So a change
// passes the gate with its key, and a rename shuts the gate for both of its keys and all below them: it
// waits for the changes that are inside, and later changes of those keys wait for it, also while it waits itself: else
// it would never come to its turn where many programs work.
//
// Waiting is interruptible, reads never wait, and a change of another key never waits. Who is inside must not come in
// again: it would wait for a rename that waits for it.
//
// An exchange has, for a moment or for as long as its copies take, each name stand for the other's content, or for nothing, while the
// nodes still have the keys that they had: who asks what a key is, asks again when it is over.
type gate struct {
	mu      sync.Mutex // guards the fields below, and passage.inside; a leaf
	queue   map[*passage]struct{}
	swapped uint64 // exchanges that are over
}

// passage is one change, or one rename, that is inside the gate or waits before it.
type passage struct {
	keys     []ossclient.Key
	rename   bool
	exchange bool
	inside   bool
	done     chan struct{} // closed when it leaves
}

func newGate() *gate { return &gate{queue: make(map[*passage]struct{})} }

// enter lets a change of key in; leave is to be called when it is journaled.
func (g *gate) enter(ctx context.Context, keys ...ossclient.Key) (leave func(), err error) {
	return g.pass(ctx, &passage{keys: keys, done: make(chan struct{})})
}

// shut lets a rename of the keys in, alone.
func (g *gate) shut(ctx context.Context, keys ...ossclient.Key) (open func(), err error) {
	return g.pass(ctx, &passage{keys: keys, rename: true, done: make(chan struct{})})
}

// swap lets an exchange of the keys in, alone.
func (g *gate) swap(ctx context.Context, keys ...ossclient.Key) (open func(), err error) {
	return g.pass(ctx, &passage{keys: keys, rename: true, exchange: true, done: make(chan struct{})})
}

// swapping says whether a key is being exchanged.
func (g *gate) swapping(key ossclient.Key) bool { return g.swapOf(key) != nil }

func (g *gate) swapOf(keys ...ossclient.Key) *passage {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.queue {
		if p.exchange && p.inside && overlap(p.keys, keys) {
			return p
		}
	}
	return nil
}

// still calls ask, which finds out what there is at one of some keys, when none of them is being exchanged. What was being exchanged by its
// end, or may have been meanwhile, it is asked again.
func (g *gate) still(ctx context.Context, keys []ossclient.Key, ask func() error) error {
	for {
		for p := g.swapOf(keys...); p != nil; p = g.swapOf(keys...) {
			select {
			case <-p.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		before := g.swaps()
		err := ask()
		if g.swapOf(keys...) == nil && g.swaps() == before {
			return err
		}
	}
}

func (g *gate) swaps() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.swapped
}

func (g *gate) pass(ctx context.Context, p *passage) (func(), error) {
	for _, other := range g.line(p) {
		select {
		case <-other.done:
		case <-ctx.Done():
			g.leave(p)
			return nil, ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p.inside = true
	return func() { g.leave(p) }, nil
}

// line adds p. It returns those in its way that came before.
func (g *gate) line(p *passage) (before []*passage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for q := range g.queue {
		if (p.rename || q.rename) && overlap(p.keys, q.keys) {
			before = append(before, q)
		}
	}
	g.queue[p] = struct{}{}
	return before
}

func (g *gate) leave(p *passage) {
	g.mu.Lock()
	delete(g.queue, p)
	if p.exchange {
		g.swapped++
	}
	g.mu.Unlock()
	close(p.done)
}

// overlap says whether one of a is, or lies below, one of b, or the reverse.
func overlap(a, b []ossclient.Key) bool {
	for _, x := range a {
		for _, y := range b {
			if within(x, y) || within(y, x) {
				return true
			}
		}
	}
	return false
}

// within says whether key is dir, or lies below it if dir is a directory's key.
func within(dir, key ossclient.Key) bool {
	if dir == key {
		return true
	}
	return (dir == "" || strings.HasSuffix(string(dir), "/")) && strings.HasPrefix(string(key), string(dir))
}
