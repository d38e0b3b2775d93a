package writeback

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// movesAtOnce is how many objects of a directory are copied at the same time.
const movesAtOnce = 128

// move is a rename of what the bucket has, from its first copy to its last.
type move struct {
	id       uint64
	from, to Key
	tree     bool
	replace  bool // attr is new, and replaces what is stored with the object
	source   ossclient.Version
	attr     string // packAttr
}

func (e *encoder) move(m *move) {
	var bits byte
	if m.tree {
		bits |= 1
	}
	if m.replace {
		bits |= 2
	}
	e.uint(m.id)
	e.byte(bits)
	e.string(string(m.from))
	e.string(string(m.to))
	e.string(string(m.source.ETag))
	e.uint(uint64(m.source.Size))
	e.string(m.attr)
}

func (d *decoder) move() *move {
	m := &move{id: d.uint()}
	bits := d.byte()
	m.tree, m.replace = bits&1 != 0, bits&2 != 0
	m.from, m.to = Key(d.string()), Key(d.string())
	m.source = ossclient.Version{Key: m.from, ETag: ossclient.ETag(d.string()), Size: int64(d.uint())}
	m.attr = d.string()
	if _, err := unpackAttr(m.attr); err != nil {
		d.fail()
	}
	return m
}

// finishObjectMove copies the object of a move, and takes its old key away. Doing it again is harmless.
func (s *Store) finishObjectMove(ctx context.Context, m *move) error {
	a, _ := unpackAttr(m.attr)
	c, err := s.copyFor(ctx, m, &a)
	if err != nil {
		return errors.Join(err, s.endMove(m, nil))
	}
	return s.endMove(m, &c)
}

func (s *Store) copyFor(ctx context.Context, m *move, a *attr.Attr) (Confirmation, error) {
	if !m.replace {
		c, err := s.copyObject(ctx, m.source, a.StorageClass, m.to)
		if c.Attr.Has == 0 {
			c.Attr = *a
		}
		return c, err
	}
	meta := metadata(m.to, a)
	o := s.options(a.StorageClass)
	r, err := s.bucket.Copy(ctx, ossclient.CopyRequest{Source: m.source, Key: m.to, Replace: &meta, Options: s.copyOptions(a.StorageClass)})
	if tooLargeToCopy(err) {
		p, err := s.copyByParts(ctx, m.source, m.to, meta, o)
		obj := ossclient.Object{Version: p.Version, LastModified: p.Date, CRC64: p.CRC64, HasCRC64: true, Type: ossclient.Multipart, Metadata: meta}
		return Confirmation{Key: m.to, Object: obj, Attr: *a}, err
	}
	obj := ossclient.Object{Version: ossclient.Version{Key: m.to, ETag: r.ETag, Size: m.source.Size}, LastModified: r.LastModified,
		CRC64: r.CRC64, HasCRC64: r.HasCRC64, Metadata: meta}
	return Confirmation{Key: m.to, Object: obj, Exact: true, Attr: *a}, err
}

// endMove notes that a move is done, and in the same record that the old key shall be absent; c is nil
// when nothing was copied.
func (s *Store) endMove(m *move, c *Confirmation) error {
	if c != nil {
		c.Source = m.source
		s.tell(*c)
	}
	s.change.Lock()
	defer s.change.Unlock()
	ops := []op{{code: opMoved, move: m}}
	if c == nil {
		return s.commitLocked(ops...)
	}
	if s.get(m.to) != nil {
		ops = append(ops, op{code: opDel, key: m.to})
	}
	gone := s.replaceLocked(m.from, Absent, nil, m.source)
	ops = append(ops, op{code: opSet, entry: gone})
	if err := s.commitLocked(ops...); err != nil {
		return err
	}
	s.recent.note(m.from, &m.source, ossclient.Version{Key: m.from})
	s.recent.note(m.to, nil, c.Object.Version)
	s.rekey(m.from, m.to)
	if f := s.liveFile(m.to); f != nil {
		s.mu.Lock()
		f.confirmed = baseOf(c.Object.Version)
		s.mu.Unlock()
		s.rebase(f, c.Object.Version)
	}
	s.loop.gone(m.to)
	s.loop.changed(gone, 0)
	return nil
}

// rebase tells a clean File which version its bytes are to be had from.
func (s *Store) rebase(f *File, v ossclient.Version) {
	s.spawn(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.Key() == v.Key {
			f.base, f.fill = baseOf(v), nil
		}
	})
}

// waitDeleted returns when the objects that a rename left behind are gone, those that are held apart.
func (s *Store) waitDeleted(ctx context.Context, prefix Key, exact bool) error {
	err := s.wait(ctx, &waiter{prefix: prefix, exact: exact, absentOnly: true})
	if err != nil {
		s.log.Debug("a rename is done, its old keys are still to be deleted", "key", string(prefix), "error", err)
	}
	return nil // the copies are made and the old keys journaled as absent: the rename has happened
}

// RenameTree renames everything below a prefix ("a/"), and the directory's own object: what is pending, and
// what the bucket has. It returns when the copies are made; a crash before is completed by the next Open. over is the
// object of the empty directory that is replaced, if the bucket has one.
func (s *Store) RenameTree(ctx context.Context, from, to Key, over ossclient.Version) error {
	if from == to || strings.HasPrefix(string(to), string(from)) {
		return ossclient.ErrInvalid
	}
	for {
		release, whole, err := s.reserveWhole(ctx, from, to)
		if err != nil {
			return err
		}
		if !whole { // written to, or confirmed, between the look and the reservation
			release()
			continue
		}
		m, err := s.beginTree(from, to, over)
		if err == nil {
			err = s.finishTree(ctx, m)
		}
		release()
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return err
		}
		return s.waitDeleted(ctx, from, false)
	}
}

// reserveWhole keeps the uploader away from two directories, when all that is pending in the first is whole.
func (s *Store) reserveWhole(ctx context.Context, from, to Key) (release func(), whole bool, err error) {
	if err := s.commitBelow(from); err != nil {
		return nil, false, err
	}
	if err := s.wholeBelow(ctx, from); err != nil {
		return nil, false, err
	}
	release, err = s.reserve(ctx, &reservation{prefix: from}, &reservation{prefix: to})
	return release, err == nil && len(s.partial(from)) == 0, err
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

// beginTree journals the move and, in the same record, everything pending below it under its new key, and that the
// directory that it replaces is no more. errAgain: something is not whole here any more.
func (s *Store) beginTree(from, to Key, over ossclient.Version) (*move, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if len(s.partial(from)) > 0 {
		return nil, errAgain
	}
	m := &move{id: s.v.move + 1, from: from, to: to, tree: true, attr: packAttr(&attr.Attr{})}
	ops := []op{{code: opMove, move: m}}
	var list []*entry
	s.mu.RLock()
	s.v.tree.below(from, "", func(e *entry) bool {
		if e.kind == Content {
			list = append(list, e)
		}
		return true
	})
	s.mu.RUnlock()
	seq := s.nextSeqLocked()
	if len(list) == 0 || list[0].key != from { // else it is replaced by the one that moves
		if old := s.get(to); old != nil || over.ETag != "" {
			removal := s.removalLocked(to, old, over)
			if removal.entry != nil {
				removal.entry.seq, seq = seq, seq+1
			}
			ops = append(ops, removal)
		}
	}
	for _, e := range list {
		base := ossclient.Version{}
		if e.key == from {
			base = over
		}
		next, removal := s.moveOps(e, m.target(e.key), base)
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
	return m, nil
}

// target is the new key of what had key.
func (m *move) target(key Key) Key { return m.to + key[len(m.from):] }

// rekeyTree gives the Files below a directory their new keys. It needs change.
func (s *Store) rekeyTree(m *move) {
	s.mu.RLock()
	var keys []Key
	for key := range s.live {
		if strings.HasPrefix(string(key), string(m.from)) {
			keys = append(keys, key)
		}
	}
	s.mu.RUnlock()
	for _, key := range keys {
		s.rekey(key, m.target(key))
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
	return s.commitLocked(op{code: opMoved, move: m})
}

// movePage copies objects, and journals in one record that their old keys shall be absent.
func (s *Store) movePage(ctx context.Context, m *move, objects []ossclient.Object) error {
	var copied []*entry
	confirmations := make([]Confirmation, len(objects))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(movesAtOnce)
	for i, o := range objects {
		to := m.target(o.Key)
		if e := s.get(o.Key); e != nil && e.kind == Absent {
			continue // deleted, or its content is pending under the new key
		}
		if e := s.get(to); e != nil && e.kind != Absent {
			continue // what is pending there is newer
		}
		g.Go(func() error {
			c, err := s.copyObject(gctx, o.Version, o.StorageClass, to)
			if errors.Is(err, ossclient.ErrNotExist) {
				return nil // deleted by somebody else meanwhile
			}
			c.Source, c.SourceModified = o.Version, o.LastModified
			confirmations[i] = c
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
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
		if confirmations[i].Key == "" {
			continue
		}
		e := s.replaceLocked(o.Key, Absent, s.get(o.Key), o.Version)
		e.seq, e.since, seq = seq, seq, seq+1
		copied = append(copied, e)
		s.recent.note(confirmations[i].Key, nil, confirmations[i].Object.Version)
		ops = append(ops, op{code: opSet, entry: e})
		if old := s.get(confirmations[i].Key); old != nil && old.kind == Absent {
			ops = append(ops, op{code: opDel, key: old.key})
		}
		if f := s.liveFile(confirmations[i].Key); f != nil {
			s.rebase(f, confirmations[i].Object.Version)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	if err := s.commitLocked(ops...); err != nil {
		return err
	}
	for _, e := range copied {
		s.loop.changed(e, 0)
	}
	return nil
}
