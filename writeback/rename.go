package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// RenameSource is the object that is renamed, as the caller last saw it in the bucket; when it has only
// pending content, Version has its key alone.
type RenameSource struct {
	Version ossclient.Version
	At      Moment    // before he looked
	Attr    attr.Attr // what is stored with it; told with the confirmation
	Class   string    // its storage class, which it keeps; "" when it is not known
}

// Rename gives what is at one key another, in place of what is there (over in the bucket). Pending
// content moves at no cost. An object that the bucket has is copied and then deleted; a crash in between
// is completed by the next Open.
func (s *Store) Rename(ctx context.Context, from, to Key, src RenameSource, over Seen) error {
	if from == to {
		return nil
	}
	m, release, err := s.beginObject(ctx, &move{from: from, to: to, source: src.Version, at: src.At, attr: packAttr(&src.Attr), class: src.Class}, over)
	if m == nil || err != nil {
		return err
	}
	if err = s.outlastMove(m); err == nil {
		err = s.finishObject(ctx, m)
	}
	if err != nil {
		err = errors.Join(err, s.giveUp(m, nil))
	}
	release()
	if err != nil {
		return err
	}
	return s.waitDeleted(ctx, from, true)
}

// outlastMove is outlast for an object that a move is about to put somewhere: a loss of power brings no older state of that key back without
// the move. It would find an object that it does not know, and be kept beside it.
func (s *Store) outlastMove(m *move) error {
	s.change.Lock()
	_, changed := s.recent.find(m.to)
	older := s.get(m.to) != nil
	s.change.Unlock()
	if !changed && !older {
		return nil
	}
	return s.sync.ahead()
}

// beginObject moves content that is whole here, and then returns no move: it is done. What the bucket has it reserves, and
// journals that it is moved.
func (s *Store) beginObject(ctx context.Context, m *move, over Seen) (begun *move, release func(), err error) {
	for {
		if f := s.liveFile(m.from); f != nil {
			if err := f.commit(); err != nil {
				return nil, nil, err
			}
		}
		if err := s.settleUpload(ctx, m.from); err != nil {
			return nil, nil, err
		}
		var moved bool
		err := s.still(func(key Key) bool { return key == m.from }, func() (err error) {
			moved, err = s.renamePending(m, over)
			return err
		})
		if errors.Is(err, errAgain) {
			continue
		}
		if moved || err != nil {
			return nil, nil, err
		}
		if e := s.get(m.from); e != nil && e.kind == Content { // an edit: made whole in the bucket first
			if err := s.syncBucket(ctx, m.from); err != nil {
				return nil, nil, err
			}
			continue
		}
		return s.reserveObject(ctx, m, over)
	}
}

// settleUpload looks at the upload of content that is about to get another key: uploads cannot be renamed.
// When most of it was sent, or parts of it are nowhere else, it is completed, and the object renamed;
// otherwise it is given up, and the content sent again.
func (s *Store) settleUpload(ctx context.Context, key Key) error {
	s.mu.RLock()
	e, _ := s.v.tree.Get(key)
	var sent int64
	var u *upload
	if e != nil && e.stage != 0 {
		u = s.v.uploads[e.stage]
	}
	if u != nil {
		for _, p := range u.parts {
			sent += p.Size
		}
	}
	flight, sending := s.inflight[key]
	s.mu.RUnlock()
	switch {
	case u == nil || u.key != key:
	case s.holed(e.stage), sent >= e.size/4*3:
		return s.syncBucket(ctx, key)
	case sending && flight.cancel != nil:
		flight.cancel()
	}
	return nil
}

// still does something with keys while nothing is written to their files, all of which are committed before: a record that moves what
// was never closed is passed over after a loss of power, and with it the moves of all that it moves beside.
func (s *Store) still(covers func(Key) bool, do func() error) error {
	var files []*File
	s.mu.Lock()
	for key, f := range s.live {
		if covers(key) {
			f.uses++ // whoever ends the last use holds Store.change, and waits for File.mu
			files = append(files, f)
		}
	}
	s.mu.Unlock()
	for _, f := range files {
		defer f.unuse()
	}
	slices.SortFunc(files, func(a, b *File) int { return cmp.Compare(a.stage, b.stage) }) // who locks several does so in one order
	for _, f := range files {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.commitLocked(); err != nil {
			return err
		}
	}
	return do()
}

// renamePending moves content that is whole here; false: there is none. errAgain: parts of it were given up here
// meanwhile, for an upload to the old key, or it is another's that is being written. It needs still.
func (s *Store) renamePending(m *move, over Seen) (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return false, err
	}
	e := s.get(m.from)
	switch {
	case e == nil, e.kind == Attributes, e.edit != nil, e.base != nil && e.base.Key != m.from:
		return false, nil
	case e.kind == Absent:
		return false, fmt.Errorf("writeback: rename %q: %w", m.from, ossclient.ErrNotExist)
	}
	if s.holed(e.stage) || e.has(flagDirty) {
		return false, errAgain
	}
	next, removal := s.moveOps(e, m.to, over)
	ops := []op{{code: opSet, entry: next}, removal}
	if next.after = m.leg(); next.after {
		ops = append(ops, m.ended(m.then)...)
	}
	if err := s.removeLocked(ops...); err != nil {
		return false, err
	}
	s.rekey(m.from, m.to)
	s.loop.changed(next, s.opt.rest(next))
	if removal.entry != nil {
		s.loop.changed(removal.entry, s.opt.Delay)
	} else {
		s.loop.gone(m.from)
	}
	return true, nil
}

// moveOps are the ops that give the content of e another key. It needs change.
func (s *Store) moveOps(e *entry, to Key, over Seen) (next *entry, removal op) {
	old := s.replaceLocked(to, Content, s.get(to), s.seenLocked(to, over))
	next = e.under(to)
	next.base, next.trial, next.seq = old.base, old.trial, old.seq
	next.since, next.when = min(e.since, old.since), min(e.when, old.when)
	next.flags = e.flags&^(flagUnknown|flagSuspect|flagAnew) | old.flags&(flagUnknown|flagSuspect)
	removal = s.removalLocked(e.key, e, ossclient.Version{})
	removal.moved = true
	if removal.entry != nil {
		removal.entry.seq = next.seq + 1
		removal.entry.since = min(removal.entry.since, removal.entry.seq)
		if s.opt.OnConflict != Overwrite { // what another client has put at the old key is not what was moved
			removal.entry.flags |= flagSuspect
		}
	}
	return next, removal
}

// reserveObject journals that an object of the bucket is moved, and keeps the uploader away until release.
func (s *Store) reserveObject(ctx context.Context, m *move, over Seen) (begun *move, release func(), err error) {
	release, err = s.reserve(ctx, m.reservations()...)
	if err != nil {
		return nil, nil, err
	}
	if begun, err = s.journalMove(m, over); err != nil {
		release()
		return nil, nil, err
	}
	return begun, release, nil
}

func (s *Store) journalMove(m *move, over Seen) (*move, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	begun := s.begunLocked(m)
	begun.source = s.recent.now(m.from, Seen{m.source, m.at})
	if f := s.liveFile(m.from); f != nil && f.confirmed != nil {
		begun.source = *f.confirmed
		s.mu.RLock()
		begun.attr = f.attr // they may have been set, and sent, since the caller looked
		s.mu.RUnlock()
	}
	if e := s.get(m.from); e != nil && e.kind == Attributes {
		begun.attr, begun.replace = e.attr, true
		if v := e.version(); m.source.ETag == "" || v.ETag == begun.source.ETag { // else others have put there what was seen
			begun.source, begun.class = v, e.class
		}
	}
	begun.source.Key = m.from
	if over.Key == m.to {
		begun.over = s.seenLocked(m.to, over)
	}
	return begun, s.removeLocked(op{code: opMove, move: begun})
}

// begunLocked is a move that is about to be journaled as begun. It needs change.
func (s *Store) begunLocked(m *move) *move {
	begun := *m
	begun.waiting = false
	if begun.id == 0 {
		begun.id = s.v.move + 1
	}
	return &begun
}

// exchangePending swaps content that is whole here; false: not both is. errAgain: one is another's that is being written. It needs still.
func (s *Store) exchangePending(a, b Key) (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return false, err
	}
	ea, eb := s.get(a), s.get(b)
	for _, e := range []*entry{ea, eb} {
		if e == nil || e.kind != Content || e.edit != nil || s.holed(e.stage) {
			return false, nil
		}
		if e.has(flagDirty) {
			return false, errAgain
		}
	}
	na, nb := eb.under(a), ea.under(b)
	na.base, na.trial, na.seq = ea.base, ea.trial, s.nextSeqLocked()
	nb.base, nb.trial, nb.seq = eb.base, eb.trial, s.nextSeqLocked()+1
	const bucketSide = flagUnknown | flagSuspect | flagAnew
	na.flags, nb.flags = eb.flags&^bucketSide|ea.flags&bucketSide, ea.flags&^bucketSide|eb.flags&bucketSide
	if err := s.removeLocked(op{code: opSet, entry: na, moved: true}, op{code: opSet, entry: nb, moved: true}); err != nil {
		return false, err
	}
	s.mu.Lock()
	fa, fb := s.live[a], s.live[b]
	delete(s.live, a)
	delete(s.live, b)
	if fa != nil {
		fa.key, s.live[b] = b, fa
	}
	if fb != nil {
		fb.key, s.live[a] = a, fb
	}
	s.mu.Unlock()
	s.loop.changed(na, s.opt.Delay)
	s.loop.changed(nb, s.opt.Delay)
	return true, nil
}
