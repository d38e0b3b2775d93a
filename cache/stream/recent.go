package stream

import (
	"hash/maphash"

	"github.com/ossfs/ossfs/ossclient"
)

// recentFiles is how many files are remembered as read, at least.
const recentFiles = 8192

// recent remembers which files were read lately: the kernel has their bytes, and a second program that goes
// through the same directory needs them no more. It forgets the older half when it is full. It is guarded by
// the trails' lock.
type recent struct {
	seed     maphash.Seed
	new, old map[uint64]struct{}
}

func newRecent() recent { return recent{seed: maphash.MakeSeed(), new: map[uint64]struct{}{}} }

func (r *recent) add(v ossclient.Version) {
	if len(r.new) >= recentFiles {
		r.old, r.new = r.new, make(map[uint64]struct{}, recentFiles)
	}
	r.new[maphash.Comparable(r.seed, v)] = struct{}{}
}

func (r *recent) has(v ossclient.Version) bool {
	h := maphash.Comparable(r.seed, v)
	if _, ok := r.new[h]; ok {
		return true
	}
	_, ok := r.old[h]
	return ok
}

// forget drops everything: somebody asked for a file that is remembered, so the kernel did not keep it.
func (r *recent) forget() {
	clear(r.new)
	r.old = nil
}
