package namespace

import (
	"sync"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// refreshes are the directories below which nothing is believed that was asked for before somebody said so.
type refreshes struct {
	mu    sync.Mutex // guards the field below; a leaf
	byDir map[ossclient.Key]refreshed
}

// refreshed is when that was: by the clock, and in the order of events.
type refreshed struct {
	at  time.Time
	seq uint64
}

// refreshesKept bounds the directories remembered. When there are more, all of the mount is refreshed.
const refreshesKept = 1024

// add notes that a directory was refreshed. What is older than ttl is forgotten: no answer of that time is believed any more.
func (r *refreshes) add(root, dir ossclient.Key, x refreshed, ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, old := range r.byDir {
		if x.at.Sub(old.at) >= ttl {
			delete(r.byDir, key)
		}
	}
	if len(r.byDir) >= refreshesKept {
		clear(r.byDir)
		dir = root
	}
	if r.byDir == nil {
		r.byDir = make(map[ossclient.Key]refreshed)
	}
	if x.seq > r.byDir[dir].seq {
		r.byDir[dir] = x
	}
}

// last is the number of the newest refresh of a directory, or of one above it; 0 when there was none.
func (r *refreshes) last(root, dir ossclient.Key) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byDir) == 0 {
		return 0
	}
	seq := r.byDir[dir].seq
	for dir != root && dir != "" {
		dir, _ = names.Split(dir)
		seq = max(seq, r.byDir[dir].seq)
	}
	return seq
}

// Refresh has the bucket asked again for all that is in a directory, at any depth, whatever is remembered or on its way.
func (t *Tree) Refresh(dir ossclient.Key) {
	t.refreshes.add(t.o.Root, dir, refreshed{t.now(), t.recents.tick()}, t.o.TTL)
	t.counts.forget(dir)
}

// overtaken says whether the answer to the request of this number, about what is in dir, must be asked for again.
func (t *Tree) overtaken(dir ossclient.Key, began uint64) bool {
	return t.recents.stale(began) || began <= t.refreshes.last(t.o.Root, dir)
}
