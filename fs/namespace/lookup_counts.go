package namespace

import (
	"context"
	"sync"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// lookupsBeforeList is how many lookups in a directory are answered one by one.
	lookupsBeforeList = 2
	// lookupPages is how many pages of a directory a lookup waits for.
	lookupPages = 10
)

// listSteps says how large a directory is listed for how many lookups that were answered one by one, each with two
// requests: a listing costs at most a few times what they did. The last one is about as much as is remembered of a directory.
var listSteps = [...]struct{ lookups, pages int }{{lookupsBeforeList, lookupPages}, {16, 80}, {128, 256}}

// counts counts the lookups in directories that are not listed.
type counts struct {
	mu    sync.Mutex // guards the field below
	byDir map[ossclient.Key]count
}

type count struct {
	n       int
	since   time.Time
	tooFew  int  // so many pages are not all of the directory
	listing bool // behind the lookups
}

const countsKept = 4096

// many counts a lookup in dir and says whether it is time to list the directory, and how many pages of it: at once when a
// walk is going on there.
func (c *counts) many(dir ossclient.Key, now time.Time, ttl time.Duration, walked bool) (pages int) {
	if ttl <= 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byDir == nil || len(c.byDir) > countsKept {
		c.byDir = make(map[ossclient.Key]count)
	}
	n := c.byDir[dir]
	if n.listing {
		return 0
	}
	if now.Sub(n.since) >= ttl {
		n.n, n.since = 0, now
	}
	n.n++
	if n.n == 1 && walked {
		n.n = lookupsBeforeList
	}
	for _, step := range listSteps {
		if n.n == step.lookups && step.pages > n.tooFew {
			pages = step.pages
		}
	}
	n.listing = pages > lookupPages
	c.byDir[dir] = n
	return pages
}

// listed notes how a listing for the sake of lookups ended.
func (c *counts) listed(dir ossclient.Key, pages int, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.byDir[dir]
	if !ok {
		return
	}
	n.listing = false
	if !whole {
		n.tooFew = max(n.tooFew, pages)
	}
	c.byDir[dir] = n
}

// forget has the lookups in a directory, and below it, counted anew; how large the directories are stays known.
func (c *counts) forget(dir ossclient.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.byDir {
		if names.Within(dir, key) {
			n.n = 0
			c.byDir[key] = n
		}
	}
}

// listBehind lists a directory that many lookups go to while these are still answered one by one.
func (t *Tree) listBehind(dir ossclient.Key, pages int) {
	t.work.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, listTimeout)
		defer cancel()
		l, err := t.listNow(ctx, dir, pages)
		// A failure is met by the lookups themselves, and says nothing of the size.
		t.counts.listed(dir, pages, err != nil || l != nil && t.listings.Get(dir) == l)
	})
}
