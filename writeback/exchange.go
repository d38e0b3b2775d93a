package writeback

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// An exchange of what the bucket has, or of directories, is three moves, its legs: the first side to a key of its own
// (aside), the second to where the first was, the first from aside to where the second was.
//
//  1. The record that begins the first leg holds them all, each with what follows it: when it is done, and when it cannot
//     be. The record that ends a leg has the next take its place. So from the first record on the journal says, at any
//     moment, what is left to be done.
//  2. A failure that passes has the leg tried again; one that does not has all of it taken back, by legs of the
//     opposite direction. There is no end of an exchange but the one or the other.
//  3. After a crash the next Open carries on, before anybody can look. Each leg waits until its record is durable.

// Side is one side of an exchange: an object, or a directory ("a/") with everything below it.
type Side struct {
	RenameSource // its Version.Key is where it is
	To           Key
}

func (d *Side) tree() bool { return strings.HasSuffix(string(d.Version.Key), "/") }

// Exchange swaps two sides (RENAME_EXCHANGE), by way of aside, a key that is free, and a directory's when a is one. What
// is pending of two files, whole, is swapped by one record of the journal. Otherwise it returns when the copies are made;
// when ctx ends before, the exchange goes on if it has begun. over is called once, when it is done or has
// failed: until then nobody else is to change what is at these keys. When it has failed, everything is where it was, or
// nothing could be sent any more and the next Open carries on.
func (s *Store) Exchange(ctx context.Context, a, b Side, aside Key, over func(error)) error {
	at, bt := a.Version.Key, b.Version.Key
	if at == "" || bt == "" || at == bt {
		over(ossclient.ErrInvalid)
		return ossclient.ErrInvalid
	}
	if !a.tree() && !b.tree() && a.To == bt && b.To == at {
		done, err := false, errAgain
		for errors.Is(err, errAgain) {
			err = s.still(func(key Key) bool { return key == at || key == bt }, func() (err error) {
				done, err = s.exchangePending(at, bt)
				return err
			})
		}
		if done || err != nil {
			over(err)
			return err
		}
	}
	result := make(chan error, 1)
	if !s.spawn(func() {
		err := s.exchange(ctx, s.legs(a, b, aside))
		over(err)
		result <- err
	}) {
		over(ErrClosed)
		return ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// legs makes the first leg of an exchange, with all that follows it.
func (s *Store) legs(a, b Side, aside Key) *move {
	list := []move{
		{from: a.Version.Key, to: aside, tree: a.tree(), source: a.Version, at: a.At, attr: packAttr(&a.Attr), class: a.Class},
		{from: b.Version.Key, to: b.To, tree: b.tree(), source: b.Version, at: b.At, attr: packAttr(&b.Attr), class: b.Class},
		{from: aside, to: a.To, tree: a.tree(), source: ossclient.Version{Key: aside, Size: a.Version.Size}, attr: packAttr(&a.Attr), class: a.Class},
	}
	s.change.Lock()
	s.mu.Lock()
	defer s.change.Unlock()
	defer s.mu.Unlock()
	number := func(m move) *move {
		s.v.move++
		m.id = s.v.move
		return &m
	}
	undos := make([]*move, len(list))
	var undo *move // of the legs so far
	for i, m := range list {
		back := move{from: m.to, to: m.from, tree: m.tree, waiting: true, back: true, then: undo,
			source: ossclient.Version{Key: m.to, Size: m.source.Size}, attr: m.attr, class: m.class}
		if undos[i] = undo; m.tree { // a part of it may have been moved
			undos[i] = number(back)
		}
		undo = number(back)
	}
	var next *move
	for i := len(list) - 1; i >= 0; i-- {
		m := list[i]
		m.waiting, m.then, m.undo = i > 0, next, undos[i]
		next = number(m)
	}
	return next
}

// exchange carries an exchange out; ctx has a say as long as it has not begun.
func (s *Store) exchange(ctx context.Context, first *move) error {
	start, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	begun, release, err := s.beginMove(start, first)
	if err != nil {
		return err
	}
	if begun != nil { // else it was whole here, and is done
		err = s.finishLeg(s.ctx, begun)
		release()
	}
	attempts := 0
	err = s.carryOn(s.ctx, first, err, func(err error) bool {
		s.log.Warn("an exchange is not done yet; tried again", "key", string(first.from), "error", err)
		pause := time.NewTimer(min(retryFirst<<min(attempts, 10), retryMost))
		defer pause.Stop()
		attempts++
		select {
		case <-pause.C:
			return true
		case <-s.ctx.Done():
			return false
		}
	})
	for m := first; m != nil; m = m.then {
		err = errors.Join(err, s.waitDeleted(s.ctx, m.from, !m.tree))
	}
	return err
}

// beginMove journals that a move has begun; begun is nil when nothing is left to be done of it. release gives back the
// place that was reserved.
func (s *Store) beginMove(ctx context.Context, m *move) (begun *move, release func(), err error) {
	if m.tree {
		return s.beginTree(ctx, m, nil)
	}
	return s.beginObject(ctx, m, Seen{})
}

// carryOn does what follows a move of the journal that was tried, with err. again is asked after a failure that may pass.
// When a leg of an exchange cannot be done, those before it are taken back, and the error is its; not when nothing is aside any more:
// the other side may have been written to since, where it is. What is left to be done then is late.
func (s *Store) carryOn(ctx context.Context, m *move, err error, again func(error) bool) error {
	var failed error
	for ; m != nil; err = s.carryOut(ctx, m) {
		leg := !m.back && (m.then != nil || m.undo != nil)
		gone := !m.tree && (errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err) || errors.Is(err, ossclient.ErrPrecondition))
		taken := errors.As(err, new(*ConflictError))                                         // where it was to go; it is where it was
		hopeless := permanent(err) && !(m.tree && errors.Is(err, ossclient.ErrPrecondition)) // it is listed again
		next := m.then
		switch {
		case err == nil:
			m = next
			continue
		case s.ctx.Err() != nil: // no program goes on
			return errors.Join(failed, err)
		case ctx.Err() != nil:
			return errors.Join(failed, err, s.postpone(m))
		case gone && (!leg || m.then == nil && !taken): // another client took it away, or a loss of power: there is nothing to be moved any more
		case hopeless && leg:
			failed, next = err, m.undo
		case !hopeless && again(err):
			continue
		default:
			return errors.Join(failed, err, s.postpone(m))
		}
		if gone && !taken && m.then != nil && next == nil {
			if err := s.clearAside(ctx, m); err != nil {
				return errors.Join(failed, err, s.postpone(m))
			}
		}
		if err := s.giveUp(m, next); err != nil {
			return errors.Join(failed, err)
		}
		m = next
	}
	return failed
}

// clearAside has removed what the first leg of an exchange, of an object that another client has taken away since, has copied: the process may have died
// before it noted that, and nobody else knows the name.
func (s *Store) clearAside(ctx context.Context, m *move) error {
	at := s.Now()
	o, err := s.bucket.Head(ctx, m.to)
	if errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Remove(m.to, Seen{o.Version, at})
}

// carryOut begins a move of the journal, if it has not begun, and finishes it.
func (s *Store) carryOut(ctx context.Context, m *move) error {
	if m == nil {
		return nil
	}
	s.mu.RLock()
	begun := s.v.moves[m.id]
	s.mu.RUnlock()
	if begun == nil {
		return nil // done already
	}
	begun, err := s.aim(ctx, begun)
	if err != nil {
		return err
	}
	var release func()
	if begun.waiting {
		begun, release, err = s.beginMove(ctx, begun)
	} else {
		release, err = s.reserve(ctx, begun.reservations()...)
	}
	if begun == nil || err != nil {
		return err
	}
	defer release()
	return s.finishLeg(ctx, begun)
}

// finishLeg does what is left of a move, when it is durable that it has begun and that the one before it has ended: after
// a loss of power the one before it must not be done again, with what this one has put there.
func (s *Store) finishLeg(ctx context.Context, m *move) error {
	if err := s.sync.flush(); err != nil {
		return err
	}
	return s.finish(ctx, m)
}
