package writeback

import (
	"strings"

	"github.com/tidwall/btree"

	"github.com/ossfs/ossfs/ossclient"
)

// tree is the map from key to entry, in the order of the keys' bytes.
type tree struct {
	btree.Map[ossclient.Key, *entry]
}

// below yields the entries whose key begins with prefix, from a key on.
func (t *tree) below(prefix, from Key, yield func(*entry) bool) {
	t.Ascend(max(prefix, from), func(k Key, e *entry) bool {
		return strings.HasPrefix(string(k), string(prefix)) && yield(e)
	})
}

// Lookup returns the state of a key that the bucket does not have yet.
func (s *Store) Lookup(key Key) (State, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.v.tree.Get(key)
	if !ok {
		return State{}, false
	}
	return s.stateLocked(e), true
}

func (s *Store) stateLocked(e *entry) State {
	f := s.files[e.stage]
	return e.state(f != nil && f.users > 0)
}

// overlayPage is how many children Overlay looks at, at most, when the caller sets no limit.
const overlayPage = 1 << 30

// Overlay returns the direct children of a directory ("" or "a/") of which something is pending, in the
// order of their names' bytes, beginning with the name from; at most limit, all when limit is 0.
func (s *Store) Overlay(dir, from Key, limit int) []Item {
	if limit <= 0 {
		limit = overlayPage
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var items []Item
	next := dir + from
	for len(items) < limit {
		var found *entry
		s.v.tree.below(dir, next, func(e *entry) bool {
			found = e
			return e.key == dir // the directory's own state is no child
		})
		if found == nil || found.key == dir {
			break
		}
		name := string(found.key[len(dir):])
		slash := strings.IndexByte(name, '/')
		if slash < 0 {
			items = append(items, Item{Name: Key(name), State: s.stateLocked(found)})
			next = found.key + "\x00"
			continue
		}
		item := Item{Name: Key(name[:slash+1]), Dir: true}
		if slash == len(name)-1 {
			item.State = s.stateLocked(found)
		}
		items = append(items, item)
		next = dir + Key(name[:slash]) + "0" // "0" follows "/"
	}
	return items
}

// Below counts the pending states whose key begins with prefix: those that shall be there, and those that
// shall not. The key that is the prefix itself is not counted.
func (s *Store) Below(prefix Key) (present, absent int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.v.tree.below(prefix, "", func(e *entry) bool {
		switch {
		case e.key == prefix:
		case e.kind == Absent:
			absent++
		default:
			present++
		}
		return true
	})
	return present, absent
}

// Walk yields the pending states whose key begins with prefix, in key order, as they are when it is
// called; it holds no lock meanwhile.
func (s *Store) Walk(prefix Key, yield func(State) bool) {
	const page = 256
	from := prefix
	for {
		states := make([]State, 0, page)
		s.mu.RLock()
		s.v.tree.below(prefix, from, func(e *entry) bool {
			states = append(states, s.stateLocked(e))
			return len(states) < page
		})
		s.mu.RUnlock()
		for _, st := range states {
			if !yield(st) {
				return
			}
			from = st.Key + "\x00"
		}
		if len(states) < page {
			return
		}
	}
}
