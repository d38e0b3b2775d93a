package writeback

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ossfs/ossfs/ossclient"
)

// A move that stays in the journal while programs go on is late: an exchange could not be taken back, or Open could not complete what a crash
// interrupted. Whoever asked for it has heard that it failed, or is no more, and what is put at its names from then on is newer than what it moves. The
// next Open does it all the same, since nobody but the journal knows where its object is; but what it finds at the new name stays, and what
// it moves is put beside that.

// errNewer says that what is to be moved is not at its old name any more: something newer is.
var errNewer = fmt.Errorf("writeback: made anew since it was to be moved: %w", ossclient.ErrPrecondition)

// fromAside says whether a move is the leg of an exchange that takes something from its name aside, which no program knows.
func (m *move) fromAside() bool { return m.then == nil && (m.back || m.undo != nil) }

// postponed is a move as a late one, and all that may follow it. What is aside may be written to through a file that is open, and sent, so it is begun
// anew with what is there then.
func (m *move) postponed() *move {
	if m == nil {
		return nil
	}
	next := *m
	next.late = true
	if next.fromAside() && !m.tree {
		next.waiting, next.source.ETag = true, ""
	}
	next.then, next.undo = m.then.postponed(), m.undo.postponed()
	return &next
}

// postpone notes, durably, that a move is left to the next Open: what a program does next may be sent before the journal is synced again.
func (s *Store) postpone(m *move) error {
	s.change.Lock()
	s.mu.RLock()
	left := s.v.moves[m.id]
	s.mu.RUnlock()
	if left == nil || left.late {
		s.change.Unlock()
		return nil
	}
	err := s.commitLocked(op{code: opMove, move: left.postponed()})
	s.change.Unlock()
	if err != nil {
		return err
	}
	return s.sync.flush()
}

// aim is a late move as it can be done now: it goes beside what is newer at its new name. errNewer: there is nothing to be moved any more.
func (s *Store) aim(ctx context.Context, m *move) (*move, error) {
	if !m.late || m.tree { // of a directory, each object is looked at by itself
		return m, nil
	}
	if e := s.get(m.from); e != nil && e.kind == Content && !m.waiting && !m.fromAside() {
		return m, errNewer
	}
	if newer, err := s.newer(ctx, m.from, m.to, m.over); !newer || err != nil {
		return m, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	next := *m
	next.to, next.over = s.putBesideLocked(m.to), ossclient.Version{}
	return &next, s.commitLocked(op{code: opMove, move: &next})
}

// newer says whether there is something at a key that a late move must not replace: not what it was to replace, nor what it has put there itself.
func (s *Store) newer(ctx context.Context, from, to Key, over ossclient.Version) (bool, error) {
	e := s.get(to)
	if e != nil && e.kind != Absent {
		return newerThan(e, from), nil
	}
	now, err := s.bucket.Head(ctx, to)
	switch {
	case errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err):
		return false, nil
	case err != nil:
		return false, err
	case e != nil && s.removes(e, &now), over.ETag != "" && over.ETag == now.ETag:
		return false, nil
	}
	was, err := s.bucket.Head(ctx, from)
	if errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err) { // what is moved is pending alone
		return true, nil
	}
	return !copyOf(&was, &now), err
}

// copyOf says whether an object is as a copy of another: an earlier attempt of ours, most likely.
func copyOf(o, c *ossclient.Object) bool {
	same := c.ETag == o.ETag || c.HasCRC64 && o.HasCRC64 && c.CRC64 == o.CRC64
	return same && c.Size == o.Size && packOf(c.Metadata) == packOf(o.Metadata)
}

// newerThan says whether a state, of another key, is something else than what is made of the object that is moved there.
func newerThan(e *entry, from Key) bool {
	return e != nil && e.kind != Absent && (e.base == nil || e.base.Key != from)
}

// lateTarget is where an object of a directory that is moved late goes; stays: it is the directory's own, and there is a newer one, which takes
// its place.
func (s *Store) lateTarget(ctx context.Context, m *move, o *ossclient.Object) (to Key, stays bool, err error) {
	to = m.target(o.Key)
	newer, err := s.newer(ctx, o.Key, to, ossclient.Version{})
	if !newer || err != nil {
		return to, false, err
	}
	if strings.HasSuffix(string(to), "/") {
		return to, true, nil
	}
	s.change.Lock()
	defer s.change.Unlock()
	return s.putBesideLocked(to), false, nil
}

// putBesideLocked is the key of what is late at another. It needs change.
func (s *Store) putBesideLocked(key Key) Key {
	to := s.besideLocked(key)
	s.conflicts.Add(1)
	s.log.Warn("moved late, and its name was given to something newer; it is put beside that", "key", string(key), "beside", string(to))
	return to
}
