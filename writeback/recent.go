package writeback

import (
	"slices"

	"github.com/ossfs/ossfs/ossclient"
)

// recent remembers how we changed objects a short time ago: a caller may have looked at a key before a
// state of it was confirmed, and come with the version from before. It keeps the last few thousand.
type recent struct {
	young, old map[Key]step
}

// step is what the bucket has at a key by our doing, and what it had before, the last first.
type step struct {
	from []ossclient.ETag
	to   ossclient.Version
}

const (
	recentMost  = 8192
	recentSteps = 8
)

func (r *recent) note(key Key, from *ossclient.Version, to ossclient.Version) {
	if len(r.young) >= recentMost || r.young == nil {
		r.old, r.young = r.young, make(map[Key]step)
	}
	st := step{to: to, from: make([]ossclient.ETag, 1, 2)}
	if from != nil && from.Key == key {
		st.from[0] = from.ETag
	}
	if before, ok := r.find(key); ok {
		st.from = append(st.from, before.to.ETag)
		st.from = append(st.from, before.from[:min(len(before.from), recentSteps)]...)
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

// now is the version that a caller means who saw v. What we deleted, and he saw again, may have been put there by another
// client: the bytes it had, and so the ETag. The zero Version has no key: he saw nothing there, and what we had stored others have taken away, and
// may bring back; a state without an object has one.
func (r *recent) now(key Key, v ossclient.Version) ossclient.Version {
	if v.Key == "" {
		return v
	}
	if st, ok := r.find(key); ok && st.to.ETag != "" && (slices.Contains(st.from, v.ETag) || v.ETag == "") {
		return st.to
	}
	return v
}
