package namespace

import (
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"github.com/ossfs/ossfs/ossclient"
)

// confirmed is a confirmation and its place in the order of events.
type confirmed struct {
	Confirmation
	known bool // what is stored with the object: Attr and Target
	seq   uint64
	at    time.Time // zero: the bucket has something else by now
}

// recents keeps the confirmations of a while, the newest one of each key, in the order of keys and in the
// order of time. What it drops moves the horizon.
type recents struct {
	limit int

	mu      sync.Mutex // guards the fields below
	byKey   btree.Map[ossclient.Key, *confirmed]
	byTime  []*confirmed // oldest first; some may have been replaced since
	seq     uint64       // the newest number given out
	horizon uint64       // answers to requests up to here may lack a confirmation that was dropped
}

// tick gives out the next number.
func (r *recents) tick() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	return r.seq
}

// stale says whether an answer to the request of this number must be asked for again.
func (r *recents) stale(began uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return began <= r.horizon
}

// add files a confirmation and drops those that are older than keep.
func (r *recents) add(c Confirmation, known bool, now time.Time, keep time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	x := &confirmed{Confirmation: c, known: known, seq: r.seq, at: now}
	r.byKey.Set(c.Key, x)
	r.byTime = append(r.byTime, x)
	drop := 0
	for _, old := range r.byTime {
		if len(r.byTime)-drop <= r.limit && now.Sub(old.at) <= keep {
			break
		}
		drop++
		if cur, ok := r.byKey.Get(old.Key); ok && cur.seq == old.seq {
			r.byKey.Delete(old.Key)
			r.horizon = old.seq
		}
	}
	clear(r.byTime[:drop])
	r.byTime = r.byTime[drop:]
}

// doubt ends the belief in a confirmation of a key: it still counts against what was asked for before it.
func (r *recents) doubt(key ossclient.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.byKey.Get(key); ok {
		doubted := *c
		doubted.at = time.Time{}
		r.byKey.Set(key, &doubted)
	}
}

// since is the confirmation of key, if it is newer than began.
func (r *recents) since(key ossclient.Key, began uint64) (*confirmed, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.byKey.Get(key)
	return c, ok && c.seq > began
}

// below says what was confirmed after began in the directory dir, at any depth and dir itself included.
func (r *recents) below(dir ossclient.Key, began uint64) (present, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byKey.Ascend(dir, func(key ossclient.Key, c *confirmed) bool {
		if !strings.HasPrefix(string(key), string(dir)) {
			return false
		}
		if c.seq > began {
			present = present || !c.Deleted
			deleted = deleted || c.Deleted
		}
		return !present
	})
	return present, deleted
}

// added lists what was confirmed after began as present in the directory dir, at any depth and dir itself included.
func (r *recents) added(dir ossclient.Key, began uint64) []ossclient.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []ossclient.Key
	r.byKey.Ascend(dir, func(key ossclient.Key, c *confirmed) bool {
		if !strings.HasPrefix(string(key), string(dir)) {
			return false
		}
		if c.seq > began && !c.Deleted {
			list = append(list, key)
		}
		return true
	})
	return list
}

// children lists what was confirmed after began as present in dir, as sort keys ("a", "a/"), in order: after the
// sort key from and, unless upto is empty, not after upto.
func (r *recents) children(dir ossclient.Key, from, upto string, began uint64) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	pivot := past(dir, from)
	for more := true; more; {
		more = false
		r.byKey.Ascend(pivot, func(key ossclient.Key, c *confirmed) bool {
			if !strings.HasPrefix(string(key), string(dir)) {
				return false
			}
			sort := childSort(dir, key)
			if upto != "" && sort > upto {
				return false
			}
			if c.Deleted || c.seq <= began || sort <= from {
				return true
			}
			list = append(list, sort)
			if sort[len(sort)-1] == '/' {
				pivot, more = past(dir, sort), true
				return false
			}
			return true
		})
	}
	return list
}

// past is the first key that may come after the child with this sort key and all that is below it.
func past(dir ossclient.Key, sort string) ossclient.Key {
	if name, ok := strings.CutSuffix(sort, "/"); ok {
		return dir + ossclient.Key(name) + "0" // the byte after "/"
	}
	return dir + ossclient.Key(sort)
}

// childSort is the sort key of the child of dir that key is, or is below of; empty for dir itself.
func childSort(dir, key ossclient.Key) string {
	rest := string(key[len(dir):])
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i+1]
	}
	return rest
}
