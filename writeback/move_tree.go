package writeback

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// movesAtOnce is how many objects of a directory are copied at the same time.
const movesAtOnce = 128

// RenameTree renames everything below a prefix ("a/"), and the directory's own object: what is pending, and
// what the bucket has. It returns when the copies are made; a crash before is completed by the next Open. After a failure what
// was copied has its new key, as has what was pending, and the rest stays where it is. over is the
// object of the empty directory that is replaced, if the bucket has one.
func (s *Store) RenameTree(ctx context.Context, from, to Key, over Seen) error {
	if from == to || strings.HasPrefix(string(to), string(from)) {
		return ossclient.ErrInvalid
	}
	m, release, err := s.beginTree(ctx, &move{from: from, to: to, tree: true, attr: packAttr(&attr.Attr{})}, &over)
	if err != nil {
		return err
	}
	if err = s.sync.ahead(); err == nil { // as in outlastMove, of every key below
		err = s.finishTree(ctx, m)
	}
	if err != nil { // the caller hears it, and may put other things at both places: they are not to be moved by the next Open
		err = errors.Join(err, s.giveUp(m, nil))
		s.strand(m)
	}
	release()
	if err != nil {
		return err
	}
	return s.waitDeleted(ctx, from, false)
}

// beginTree reserves both directories, and journals the move and everything pending below it under its new key. over is
// the object of the empty directory that is replaced, ETag "" when the bucket has none; nil when nothing is replaced.
func (s *Store) beginTree(ctx context.Context, m *move, over *Seen) (begun *move, release func(), err error) {
	for {
		release, whole, err := s.reserveWhole(ctx, m)
		if err != nil {
			return nil, nil, err
		}
		if !whole { // written to, or confirmed, between the look and the reservation
			release()
			continue
		}
		var begun *move
		err = s.still(func(key Key) bool { return strings.HasPrefix(string(key), string(m.from)) }, func() (err error) {
			begun, err = s.journalTree(m, over)
			return err
		})
		if err == nil {
			return begun, release, nil
		}
		release()
		if !errors.Is(err, errAgain) {
			return nil, nil, err
		}
	}
}

// reserveWhole keeps the uploader away from two directories, when all that is pending in the first is whole.
func (s *Store) reserveWhole(ctx context.Context, m *move) (release func(), whole bool, err error) {
	if err := s.commitBelow(m.from); err != nil {
		return nil, false, err
	}
	if err := s.wholeBelow(ctx, m.from); err != nil {
		return nil, false, err
	}
	release, err = s.reserve(ctx, m.reservations()...)
	return release, err == nil && len(s.partial(m.from)) == 0, err
}

// wholeBelow has the bucket have what is not whole here: edits, and changes of attributes.
func (s *Store) wholeBelow(ctx context.Context, prefix Key) error {
	keys := s.partial(prefix)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(smallAtOnce)
	for _, key := range keys {
		g.Go(func() error { return s.syncBucket(gctx, key) })
	}
	return g.Wait()
}

// partial are the keys below a prefix whose pending state is not whole here.
func (s *Store) partial(prefix Key) []Key {
	var keys []Key
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.v.tree.below(prefix, "", func(e *entry) bool {
		if e.kind == Attributes || e.edit != nil || e.base != nil && !e.known() || s.holedLocked(e.stage) {
			keys = append(keys, e.key)
		}
		return true
	})
	return keys
}

// journalTree journals the move and, in the same record, everything pending below it under its new key, and that the
// directory that it replaces is no more. errAgain: something is not whole here any more, or being written. It needs still.
func (s *Store) journalTree(m *move, over *Seen) (*move, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if len(s.partial(m.from)) > 0 {
		return nil, errAgain
	}
	var list []*entry
	written := false
	s.mu.RLock()
	s.v.tree.below(m.from, "", func(e *entry) bool {
		if e.kind == Content {
			list = append(list, e)
			written = written || e.has(flagDirty)
		}
		return true
	})
	s.mu.RUnlock()
	if written {
		return nil, errAgain
	}
	begun := s.begunLocked(m)
	ops := []op{{code: opMove, move: begun}}
	seq := s.nextSeqLocked()
	if over != nil && (len(list) == 0 || list[0].key != m.from) { // else it is replaced by the one that moves
		if old := s.get(m.to); old != nil || over.ETag != "" {
			removal := s.removalLocked(m.to, old, s.seenLocked(m.to, *over))
			if removal.entry != nil {
				removal.entry.seq, seq = seq, seq+1
			}
			ops = append(ops, removal)
		}
	}
	for _, e := range list {
		base := Seen{}
		if e.key == m.from && over != nil {
			base = *over
		}
		to := m.target(e.key)
		if m.late && newerThan(s.get(to), e.key) {
			if e.isDir() { // the newer one takes its place
				ops = append(ops, op{code: opDel, key: e.key})
				continue
			}
			to = s.putBesideLocked(to)
		}
		next, removal := s.moveOps(e, to, base)
		if next.after = m.leg(); m.late { // the bucket may have something newer there
			next.flags |= flagSuspect
		}
		next.seq, seq = seq, seq+1
		if removal.entry != nil {
			removal.entry.seq, seq = seq, seq+1
		}
		ops = append(ops, op{code: opSet, entry: next}, removal)
	}
	if err := s.removeLocked(ops...); err != nil {
		return nil, err
	}
	for _, o := range ops[1:] {
		if o.entry != nil {
			s.loop.changed(o.entry, s.opt.rest(o.entry))
		} else if o.code == opDel {
			s.loop.gone(o.key)
		}
	}
	s.rekeyTree(m)
	return begun, nil
}

// target is the new key of what had key.
func (m *move) target(key Key) Key { return m.to + key[len(m.from):] }

// rekeyTree gives the Files below a directory their new keys. Those that had these are of what is replaced, such as of objects that another client has
// deleted. It needs change.
func (s *Store) rekeyTree(m *move) {
	s.mu.RLock()
	var keys, replaced []Key
	for key := range s.live {
		switch {
		case strings.HasPrefix(string(key), string(m.from)):
			keys = append(keys, key)
		case strings.HasPrefix(string(key), string(m.to)):
			replaced = append(replaced, key)
		}
	}
	s.mu.RUnlock()
	for _, key := range replaced {
		s.detach(key)
	}
	for _, key := range keys {
		s.rekey(key, m.target(key))
	}
}

// strand ends the renames of the Files below a directory whose own has failed: one whose object was not copied has its old key again, and who has
// another open is told of its new one.
func (s *Store) strand(m *move) {
	type stranded struct {
		key Key
		f   *File
	}
	s.change.Lock()
	s.mu.RLock()
	var moved, list []stranded
	for key, f := range s.live {
		if rest, below := strings.CutPrefix(string(key), string(m.to)); below {
			list = append(list, stranded{m.from + Key(rest), f})
		}
	}
	s.mu.RUnlock()
	for _, x := range list {
		key := m.target(x.key)
		s.mu.RLock()
		stays := x.f.confirmed != nil && x.f.confirmed.Key == x.key
		s.mu.RUnlock()
		if stays && s.get(key) == nil {
			s.rekey(key, x.key)
		} else {
			moved = append(moved, x)
		}
	}
	s.change.Unlock()
	for _, x := range moved {
		s.opt.Beside(x.key, x.f, false)
	}
}

// finishTree copies everything the bucket has below a move's directory, page by page, and has the old keys
// deleted. Doing it again goes on where it ended.
func (s *Store) finishTree(ctx context.Context, m *move) error {
	token := ""
	for {
		page, err := s.bucket.List(ctx, ossclient.ListRequest{Prefix: m.from, Token: token, MaxKeys: 1000})
		if err != nil {
			return err
		}
		if err := s.movePage(ctx, m, page.Objects); err != nil {
			return err
		}
		if token = page.Next; token == "" {
			break
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	return s.commitLocked(m.ended(m.then)...)
}

// movePage copies objects, and journals in one record that the old keys of those that were copied shall be absent.
func (s *Store) movePage(ctx context.Context, m *move, objects []ossclient.Object) error {
	confirmations, failed := s.copyPage(ctx, m, objects)
	for _, c := range confirmations {
		if c.Key != "" {
			s.tell(c)
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	var ops []op
	seq := s.nextSeqLocked()
	for i, o := range objects {
		if confirmations[i].Key != "" {
			ops = append(ops, s.movedOps(o.Version, confirmations[i].Object.Version, &seq)...)
		}
	}
	if len(ops) == 0 {
		return failed
	}
	if err := s.commitLocked(ops...); err != nil {
		return errors.Join(failed, err)
	}
	for _, o := range ops {
		switch {
		case o.entry == nil:
		case o.entry.kind == Absent:
			s.loop.changed(o.entry, 0)
		default:
			s.loop.changed(o.entry, s.opt.rest(o.entry))
		}
	}
	return failed
}

// movedOps say that an object of a directory that is moved was copied; what was written meanwhile, through a file that was open,
// is on top of the copy. It needs change.
func (s *Store) movedOps(from, to ossclient.Version, seq *uint64) (ops []op) {
	s.recent.note(to.Key, nil, to)
	if old := s.get(from.Key); old == nil || old.kind == Absent { // else it was made anew since
		gone := s.leftLocked(old, from)
		gone.seq, gone.since, *seq = *seq, *seq, *seq+1
		ops = append(ops, op{code: opSet, entry: gone})
	}
	same := func(v *ossclient.Version) bool { return v != nil && v.Key == from.Key && v.ETag == from.ETag }
	switch cur := s.get(to.Key); {
	case cur == nil:
	case cur.kind == Absent:
		ops = append(ops, op{code: opDel, key: to.Key})
	case same(cur.base):
		next := cur.onto(to)
		next.seq, *seq = *seq, *seq+1
		ops = append(ops, op{code: opSet, entry: next})
	}
	f := s.liveFile(to.Key)
	if f == nil {
		return ops
	}
	s.mu.RLock()
	made := same(f.confirmed)
	s.mu.RUnlock()
	if made {
		s.rebaseLocked(f, to)
	}
	return ops
}

// copyBelow copies an object of a directory that is moved.
func (s *Store) copyBelow(ctx context.Context, m *move, o *ossclient.Object) (Confirmation, error) {
	to := m.target(o.Key)
	if m.late {
		var stays bool
		var err error
		if to, stays, err = s.lateTarget(ctx, m, o); stays || err != nil {
			return Confirmation{Key: to, Object: ossclient.Object{Version: ossclient.Version{Key: to}}}, err
		}
	}
	return s.place(ctx, o.Version, to, ossclient.Version{}, m.back, func(exclusive bool) (Confirmation, error) {
		return s.copyObject(ctx, o.Version, o.StorageClass, to, exclusive)
	})
}

// copyPage copies the objects of a page that are to be copied, and returns which it did, also when it fails: after a failure
// no more are begun, but those on their way are not cut off, so that it is known what the bucket has.
func (s *Store) copyPage(ctx context.Context, m *move, objects []ossclient.Object) ([]Confirmation, error) {
	confirmations := make([]Confirmation, len(objects))
	var g errgroup.Group
	var failed atomic.Bool
	g.SetLimit(movesAtOnce)
	for i, o := range objects {
		if e := s.get(o.Key); e != nil && e.kind == Absent {
			continue // deleted, or its content is pending under the new key
		}
		if !m.late && newerThan(s.get(m.target(o.Key)), o.Key) {
			continue // what is pending there is newer, and not made of it
		}
		g.Go(func() error {
			if failed.Load() {
				return nil
			}
			c, err := s.copyBelow(ctx, m, &o)
			switch {
			case errors.Is(err, ossclient.ErrNotExist):
				return nil // deleted by somebody else meanwhile
			case err != nil:
				failed.Store(true)
				return err
			}
			c.Source, c.SourceModified = o.Version, o.LastModified
			confirmations[i] = c
			return nil
		})
	}
	return confirmations, g.Wait()
}
