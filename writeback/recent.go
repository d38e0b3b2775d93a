package writeback

import (
	"sync/atomic"

	"github.com/ossfs/ossfs/ossclient"
)

// Moment is a point in the order in which the bucket got what we changed: a caller who took it before he looked at a key has seen all
// changes up to it. The zero Moment is before all of them.
type Moment uint64

// Seen is a version of an object as a caller saw it, looking at or after a moment. The zero Seen has no key: he saw nothing there.
type Seen struct {
	ossclient.Version
	At Moment
}

// recent remembers how we changed objects a short time ago: a caller may have looked at a key before a state of it was confirmed, and come
// with the version from before. What he saw later he saw rightly: other clients may have brought it back. It keeps the last few thousand.
type recent struct {
	clock      atomic.Uint64 // the Moment of the last change
	young, old map[Key]step
}

// step is what the bucket has at a key by our doing, and the changes that led to it, the last first.
type step struct {
	changes []changed
	to      ossclient.Version
}

// changed is that the bucket had a version, "" for none, or one that is not known, up to a moment.
type changed struct {
	from ossclient.ETag
	at   Moment
}

const (
	recentMost  = 8192
	recentSteps = 8
)

// note is called when who looks from now on sees the change, in the map and in what Options.Confirmed was told.
func (r *recent) note(key Key, from *ossclient.Version, to ossclient.Version) {
	if len(r.young) >= recentMost || r.young == nil {
		r.old, r.young = r.young, make(map[Key]step)
	}
	before, _ := r.find(key)
	last := changed{at: Moment(r.clock.Add(1))}
	if from != nil && from.Key == key {
		last.from = from.ETag
	}
	st := step{to: to, changes: append(make([]changed, 0, 2), last)}
	if before.changes != nil {
		st.changes = append(st.changes, changed{before.to.ETag, last.at})
		st.changes = append(st.changes, before.changes[:min(len(before.changes), recentSteps)]...)
	}
	r.young[key] = st
}

// forget is that another client has changed an object: what it was before is not what we change now.
func (r *recent) forget(key Key) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *recent) find(key Key) (step, bool) {
	if st, ok := r.young[key]; ok {
		return st, true
	}
	st, ok := r.old[key]
	return st, ok
}

// now is the version that a caller means: what has become, since he looked, of the one that he saw; or what is there, when he
// does not know its version. Where he saw nothing, what we have put there since is not what he means.
func (r *recent) now(key Key, seen Seen) ossclient.Version {
	st, ok := r.find(key)
	if !ok || seen.Key == "" {
		return seen.Version
	}
	for _, c := range st.changes {
		if c.at > seen.At && (c.from == seen.ETag || seen.ETag == "") {
			return st.to
		}
	}
	return seen.Version
}

// Now is the moment of a caller who is about to look.
func (s *Store) Now() Moment { return Moment(s.recent.clock.Load()) }
