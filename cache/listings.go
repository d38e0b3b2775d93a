package cache

import (
	"container/list"
	"sync"

	"github.com/ossfs/ossfs/ossclient"
)

// Listings remembers complete listings of directories, the most recently used ones up to a number of
// bytes. Whether one is still to be believed is for the caller to say, who knows how old it may be.
type Listings struct {
	limit int64

	mu    sync.Mutex // guards the fields below
	bytes int64
	byDir map[ossclient.Key]*list.Element // of *Listing
	used  list.List                       // most recent first
}

// NewListings makes room for limit bytes of listings.
func NewListings(limit int64) *Listings {
	return &Listings{limit: limit, byDir: make(map[ossclient.Key]*list.Element)}
}

// Largest is the size in bytes of the largest listing that is kept: a twelfth of the limit. A listing that is being made takes as much
// again, and the garbage of making it too: with the default limit a directory of any size stays below 64 MiB.
func (s *Listings) Largest() int64 { return s.limit / 12 }

// Get is the listing of dir, or nil.
func (s *Listings) Get(dir ossclient.Key) *Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byDir[dir]
	if e == nil {
		return nil
	}
	s.used.MoveToFront(e)
	return e.Value.(*Listing)
}

// Put remembers l in the place of an older listing of the same directory, which it returns. A listing
// that is too large is not kept.
func (s *Listings) Put(l *Listing) (old *Listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.dropLocked(s.byDir[l.Dir])
	size := l.Bytes()
	if size > s.Largest() {
		return old
	}
	s.byDir[l.Dir] = s.used.PushFront(l)
	for s.bytes += size; s.bytes > s.limit; {
		s.dropLocked(s.used.Back())
	}
	return old
}

// Forget drops the listing of dir.
func (s *Listings) Forget(dir ossclient.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(s.byDir[dir])
}

// Bytes is the memory taken.
func (s *Listings) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

func (s *Listings) dropLocked(e *list.Element) *Listing {
	if e == nil {
		return nil
	}
	l := s.used.Remove(e).(*Listing)
	delete(s.byDir, l.Dir)
	s.bytes -= l.Bytes()
	return l
}
