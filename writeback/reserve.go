package writeback

import (
	"context"
	"strings"
)

// reservation keeps the uploader away from a key, or from all below a prefix, while a rename works there.
type reservation struct {
	prefix Key
	exact  bool
	parked map[Key]bool // asked to be sent meanwhile; true: urgently
}

func (r *reservation) covers(key Key) bool {
	return key == r.prefix || !r.exact && strings.HasPrefix(string(key), string(r.prefix))
}

// meets says whether two reservations have a key in common.
func (r *reservation) meets(o *reservation) bool { return r.covers(o.prefix) || o.covers(r.prefix) }

// reserve waits until nothing is being sent where the reservations are, and keeps it so. They are given
// together or not at all, in the order they were asked for: two renames cannot wait for each other.
func (s *Store) reserve(ctx context.Context, rs ...*reservation) (release func(), err error) {
	g := &grant{rs: rs, ready: make(chan struct{})}
	for _, r := range rs {
		r.parked = make(map[Key]bool)
	}
	s.loop.post(func() {
		s.loop.grants = append(s.loop.grants, g)
		s.loop.grant()
	})
	release = func() { s.loop.post(func() { s.loop.release(g) }) }
	select {
	case <-g.ready:
		return release, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.ctx.Done():
		err = ErrClosed
	}
	release()
	return nil, err
}

// grant is a set of reservations that are given together.
type grant struct {
	rs    []*reservation
	ready chan struct{} // closed when given
	given bool
}

func (g *grant) covers(key Key) *reservation {
	for _, r := range g.rs {
		if r.covers(key) {
			return r
		}
	}
	return nil
}

// park keeps a key that is reserved, or about to be, from being sent.
func (l *loop) park(key Key, urgent bool) bool {
	for _, g := range l.grants {
		if r := g.covers(key); r != nil {
			r.parked[key] = r.parked[key] || urgent
			return true
		}
	}
	return false
}

// grant gives what is asked for, where nothing is being sent and nobody came before.
func (l *loop) grant() {
	for i, g := range l.grants {
		if !g.given && l.free(g, l.grants[:i]) {
			g.given = true
			close(g.ready)
		}
	}
}

func (l *loop) free(g *grant, before []*grant) bool {
	for key := range l.active {
		if g.covers(key) != nil {
			return false
		}
	}
	for _, o := range before {
		for _, r := range g.rs {
			for _, other := range o.rs {
				if r.meets(other) {
					return false
				}
			}
		}
	}
	return true
}

func (l *loop) release(g *grant) {
	for i := range l.grants {
		if l.grants[i] == g {
			l.grants = append(l.grants[:i:i], l.grants[i+1:]...)
			break
		}
	}
	for _, r := range g.rs {
		for key, urgent := range r.parked {
			if e := l.s.get(key); e != nil {
				l.enqueue(e, urgent)
			}
		}
	}
	l.grant()
}
