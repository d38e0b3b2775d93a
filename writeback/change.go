package writeback

import (
	"errors"
	"fmt"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Create gives a key new, empty content, which replaces whatever state it had. base is what the bucket
// has there, as the caller last saw it; the zero Version says that he saw nothing there. The File counts as one use; it must be released.
func (s *Store) Create(key Key, a attr.Attr, base ossclient.Version) (*File, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	f, err := s.newFileLocked()
	if err != nil {
		return nil, err
	}
	old := s.get(key)
	absent := old != nil && (old.kind == Absent || old.has(flagAnew))
	e := s.replaceLocked(key, Content, old, s.seenLocked(key, Seen{Version: base}))
	e.attr, e.stage = packAttr(&a), f.stage
	e.flags |= flagDirty
	if absent {
		e.flags |= flagAnew
	}
	if err := s.startLocked(op{code: opSet, entry: e}); err != nil {
		return nil, errors.Join(err, f.discard())
	}
	f.dirty, f.users = true, 1
	f.attr = e.attr
	s.attach(f, key)
	return f, nil
}

// Put gives a key content of a few bytes, whole: directories ("a/"), symbolic links, special files.
func (s *Store) Put(key Key, a attr.Attr, body string, base ossclient.Version) error {
	return s.put(key, a, body, func(old *entry) *entry {
		return s.replaceLocked(key, Content, old, s.seenLocked(key, Seen{Version: base}))
	})
}

// Keep sees to it that a directory has an object of its own, with these attributes, whether the bucket has
// one already or not: listings show a directory that is only a prefix and one with an object alike.
func (s *Store) Keep(dir Key, a attr.Attr) error {
	return s.put(dir, a, "", func(old *entry) *entry {
		e := s.replaceLocked(dir, Content, old, ossclient.Version{})
		if old == nil {
			e.flags |= flagUnknown
		}
		return e
	})
}

// put journals the entry that follows the one of key, with attributes and body filled in.
func (s *Store) put(key Key, a attr.Attr, body string, followLocked func(old *entry) *entry) error {
	if err := s.usable(); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	e := followLocked(s.get(key))
	e.attr, e.body, e.size = packAttr(&a), body, int64(len(body))
	if err := s.startLocked(op{code: opSet, entry: e}); err != nil {
		return err
	}
	s.detach(key)
	s.loop.changed(e, s.opt.rest(e))
	return nil
}

// Rest is what an object keeps that is given other attributes, as far as it is known.
type Rest struct {
	Class  string  // its storage class
	Target string  // what it points to, when it is a symbolic link
	CRC64  *uint64 // of its bytes
}

// SetAttr gives a key other attributes: those of its pending content, or of the object, base, in the bucket.
func (s *Store) SetAttr(key Key, base Seen, rest Rest, a attr.Attr) error {
	if err := s.usable(); err != nil {
		return err
	}
	packed := packAttr(&a)
	s.change.Lock()
	defer s.change.Unlock()
	f := s.liveFile(key)
	old, shown := s.get(key), s.shownLocked(key, base)
	var e *entry
	switch {
	case old != nil && old.kind == Absent:
		return fmt.Errorf("writeback: attributes of %q: %w", key, ossclient.ErrNotExist)
	case old != nil && (old.kind == Content || shown.ETag == "" || shown.ETag == old.version().ETag):
		e = old.clone()
		e.attr, e.seq = packed, s.nextSeqLocked()
	default:
		e = s.replaceLocked(key, Attributes, old, shown)
		e.attr, e.size, e.class, e.body = packed, e.version().Size, rest.Class, rest.Target
		if shown.ETag == base.ETag {
			e.baseSum = rest.CRC64
		}
	}
	if err := s.startLocked(op{code: opSet, entry: e}); err != nil {
		return err
	}
	if f != nil {
		s.mu.Lock()
		f.attr = packed
		s.mu.Unlock()
	}
	s.loop.changed(e, s.opt.rest(e))
	return nil
}

// Remove takes a key away. base is what the bucket has there; when it has nothing, and nothing was ever
// sent, the entry just goes.
func (s *Store) Remove(key Key, base Seen) error {
	if err := s.usable(); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	old := s.get(key)
	o := s.removalLocked(key, old, s.shownLocked(key, base))
	if err := s.removeLocked(o); err != nil {
		return err
	}
	s.detach(key)
	if o.entry != nil {
		s.loop.changed(o.entry, s.opt.Delay)
	} else {
		s.loop.gone(key)
	}
	return nil
}

// removalLocked is the op after which a key is absent. It needs change.
func (s *Store) removalLocked(key Key, old *entry, base ossclient.Version) op {
	s.mu.RLock()
	_, sending := s.inflight[key]
	sent := sending || s.tried[key] != nil || old != nil && old.trial != nil // the bucket may have got it
	s.mu.RUnlock()
	if old != nil && !old.inBucket() && !sent {
		s.recent.note(key, nil, ossclient.Version{Key: key}) // until that is durable a loss of power may bring old back
		return op{code: opDel, key: key}
	}
	e := s.replaceLocked(key, Absent, old, base)
	if sent {
		e.flags |= flagUnknown
	}
	return op{code: opSet, entry: e}
}
