package writeback

import (
	"cmp"
	"context"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// move is a rename of what the bucket has, from its first copy to its last. It is immutable once it is in the journal.
type move struct {
	id       uint64
	from, to Key
	tree     bool
	replace  bool // attr is new, and replaces what is stored with the object
	source   ossclient.Version
	over     ossclient.Version // an object that it is to replace, as the caller saw it; ETag "": none
	attr     string            // packAttr
	class    string            // the storage class of source, when known; not journaled, since it can be asked for
	at       Moment            // before the caller looked at source; not journaled, since what was changed before a crash is not remembered

	// Of the legs of an exchange:
	waiting bool  // it is its turn, but it has not begun: what is pending of it has its old keys
	back    bool  // it takes an earlier leg back: what is not there need not be moved
	then    *move // follows when it is done; the record that ends it says so
	undo    *move // follows when it cannot be done

	late bool // programs went on before it was done: what is at its new name is newer
}

// The bits of a move in its record.
const (
	moveTree = 1 << iota
	moveReplace
	moveWaiting
	moveBack
	moveThen
	moveUndo
	moveOver
	moveLate
)

func (e *encoder) move(m *move) {
	var bits byte
	for i, on := range [...]bool{m.tree, m.replace, m.waiting, m.back, m.then != nil, m.undo != nil, m.over.ETag != "", m.late} {
		if on {
			bits |= 1 << i
		}
	}
	e.uint(m.id)
	e.byte(bits)
	e.string(string(m.from))
	e.string(string(m.to))
	e.string(string(m.source.ETag))
	e.uint(uint64(m.source.Size))
	e.string(m.attr)
	if m.over.ETag != "" {
		e.string(string(m.over.ETag))
		e.uint(uint64(m.over.Size))
	}
	for _, next := range [...]*move{m.then, m.undo} {
		if next != nil {
			e.move(next)
		}
	}
}

func (d *decoder) move() *move {
	m := &move{id: d.uint()}
	bits := d.byte()
	m.tree, m.replace, m.waiting, m.back = bits&moveTree != 0, bits&moveReplace != 0, bits&moveWaiting != 0, bits&moveBack != 0
	m.late = bits&moveLate != 0
	m.from, m.to = Key(d.string()), Key(d.string())
	m.source = ossclient.Version{Key: m.from, ETag: ossclient.ETag(d.string()), Size: int64(d.uint())}
	m.attr = d.string()
	if _, err := unpackAttr(m.attr); err != nil {
		d.fail()
	}
	if bits&moveOver != 0 {
		m.over = ossclient.Version{Key: m.to, ETag: ossclient.ETag(d.string()), Size: int64(d.uint())}
	}
	if bits&moveThen != 0 && !d.bad {
		m.then = d.move()
	}
	if bits&moveUndo != 0 && !d.bad {
		m.undo = d.move()
	}
	return m
}

// last is the highest id of a move and of all that may follow it.
func (m *move) last() uint64 {
	if m == nil {
		return 0
	}
	return max(m.id, m.then.last(), m.undo.last())
}

// ended are the ops that end a move and have the one that follows it, if any, take its place.
func (m *move) ended(next *move) []op {
	ops := []op{{code: opMoved, move: m}}
	if next != nil {
		ops = append(ops, op{code: opMove, move: next})
	}
	return ops
}

// leg says whether a move is one of an exchange. What it puts somewhere is sent when its record is durable: after a loss of power the leg before it
// is done again where that was not, with what is found there.
func (m *move) leg() bool { return m.waiting || m.then != nil }

// reservations are where a move works.
func (m *move) reservations() []*reservation {
	return []*reservation{{prefix: m.from, exact: !m.tree}, {prefix: m.to, exact: !m.tree}}
}

// finish does what is left of a move that has begun. Doing it again is harmless.
func (s *Store) finish(ctx context.Context, m *move) error {
	if m.tree {
		return s.finishTree(ctx, m)
	}
	return s.finishObject(ctx, m)
}

// finishObject copies the object of a move, and takes its old key away.
func (s *Store) finishObject(ctx context.Context, m *move) error {
	a, err := unpackAttr(m.attr)
	if err != nil {
		return err
	}
	c, err := s.copyFor(ctx, m, &a)
	if err != nil {
		return err
	}
	return s.endMove(m, &c)
}

func (s *Store) copyFor(ctx context.Context, m *move, a *attr.Attr) (Confirmation, error) {
	source, class, err := s.sourceOf(ctx, m, a.StorageClass)
	if err != nil {
		return Confirmation{}, err
	}
	return s.place(ctx, source, m.to, m.over, m.back, func(exclusive bool) (c Confirmation, err error) {
		if m.replace {
			c, err = s.copyWith(ctx, source, m.to, metadata(m.to, a), class, exclusive)
			c.Attr = *a
		} else if c, err = s.copyObject(ctx, source, class, m.to, exclusive); c.Attr.Has == 0 {
			c.Attr = *a
		}
		c.Source = source
		return c, err
	})
}

// sourceOf is the object that is copied, and the storage class that the copy is to have. What only waited to be sent when the move was asked for, and has
// given way to another client's object since, is looked at: how long the copy is, is told.
func (s *Store) sourceOf(ctx context.Context, m *move, asked string) (ossclient.Version, string, error) {
	if m.source.ETag != "" {
		class, err := s.classOf(ctx, m.source, asked, m.class)
		return m.source, class, err
	}
	o, err := s.bucket.Head(ctx, m.source.Key)
	return o.Version, cmp.Or(asked, m.class, o.StorageClass), err
}

// endMove notes that the move of an object is done, and in the same record that the old key shall be absent. What was
// written meanwhile, through a file that was open, goes with it.
func (s *Store) endMove(m *move, c *Confirmation) error {
	s.tell(*c)
	s.change.Lock()
	defer s.change.Unlock()
	ops := m.ended(m.then)
	gone := s.leftLocked(nil, c.Source)
	var next *entry
	if cur := s.get(m.from); cur != nil && cur.kind != Absent && !m.has(cur) {
		next = cur.onto(c.Object.Version)
		next.seq, gone.seq, gone.since = gone.seq, gone.seq+1, gone.seq+1
		ops = append(ops, op{code: opSet, entry: next})
	} else if s.get(m.to) != nil {
		ops = append(ops, op{code: opDel, key: m.to})
	}
	ops = append(ops, op{code: opSet, entry: gone, moved: true})
	if err := s.commitLocked(ops...); err != nil {
		return err
	}
	s.recent.note(m.from, &c.Source, ossclient.Version{Key: m.from})
	s.recent.note(m.to, nil, c.Object.Version)
	s.rekey(m.from, m.to)
	if f := s.liveFile(m.to); f != nil {
		s.rebaseLocked(f, c.Object.Version)
	}
	if next != nil {
		s.loop.changed(next, s.opt.rest(next))
	} else {
		s.loop.gone(m.to)
	}
	s.loop.changed(gone, 0)
	return nil
}

// has says whether all that a state says is in the copy that a move has made.
func (m *move) has(e *entry) bool { return m.replace && e.kind == Attributes && e.attr == m.attr }

// giveUp notes that a move is not done, and that next, if any, is done instead.
func (s *Store) giveUp(m, next *move) error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.commitLocked(m.ended(next)...)
}

// rebaseLocked tells a File that the bucket has the bytes it is made of as another version, by our doing. It needs change.
func (s *Store) rebaseLocked(f *File, v ossclient.Version) {
	s.mu.Lock()
	f.confirmed = baseOf(v)
	s.mu.Unlock()
	s.spawn(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rebase()
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
