package namespace

import (
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

// spansKept is of how many directories parts are remembered.
const spansKept = 4

// span is a part of a directory's listing: all that comes after from, up to upto.
type span struct {
	l          *cache.Listing
	from, upto string // sort keys; an empty upto is the end
}

func (s *span) covers(component string) bool {
	return s.l != nil && component > s.from && (s.upto == "" || component+"/" <= s.upto)
}

// spans are the parts read last of directories that are being listed, or are too large to be remembered as a whole: a
// program that lists names and then looks at them is answered from there.
type spans struct {
	mu    sync.Mutex // guards the fields below; a leaf
	byDir map[ossclient.Key]*[2]span
}

// put remembers a part in the place of the one that it continues, or beside that one when it begins anew.
func (s *spans) put(dir ossclient.Key, x span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	two := s.byDir[dir]
	if two == nil {
		if s.byDir == nil || len(s.byDir) >= spansKept {
			s.byDir = make(map[ossclient.Key]*[2]span)
		}
		two = new([2]span)
		s.byDir[dir] = two
	}
	if two[0].from != x.from || two[0].l != nil && two[0].l.Asked != x.l.Asked {
		two[1] = two[0]
	}
	two[0] = x
}

// forget drops the parts of a directory.
func (s *spans) forget(dir ossclient.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byDir, dir)
}

// find is the part that shows whether a component is in dir; nil when none does.
func (s *spans) find(dir ossclient.Key, component string) *cache.Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if two := s.byDir[dir]; two != nil {
		for i := range two {
			if two[i].covers(component) {
				return two[i].l
			}
		}
	}
	return nil
}

// collector gathers the pages of a source: into the listing to be remembered, as long as that is not too large, and into
// the part read last.
type collector struct {
	t     *Tree
	dir   ossclient.Key
	b     *cache.Builder
	from  string
	whole bool // b has all from the beginning

	// The last row of the part before, which is where this one begins: whether there is a directory of its name is
	// shown here. Its page was asked for as event number began.
	last  *cache.Row
	began uint64
}

func (t *Tree) collect(dir ossclient.Key, from string) *collector {
	return &collector{t: t, dir: dir, from: from, whole: from == ""}
}

// add takes in a page, complete up to a sort key; an empty one is the end.
func (c *collector) add(p *page, rows []cache.Row, upto string) {
	if c.b == nil {
		c.b = cache.NewBuilder(c.dir, p.until.Add(-c.t.o.TTL))
		if c.last != nil {
			c.b.Page(c.began)
			c.b.Add(c.last)
		}
	}
	c.b.Page(p.began)
	for i := range rows {
		c.b.Add(&rows[i])
	}
	if p.self != nil {
		c.b.Self(cache.RowOf("", p.self))
	}
	limit := c.t.listings.Largest()
	if !c.whole {
		limit /= 4
	}
	if upto == "" && c.whole {
		c.t.keep(c.b.Listing())
		c.t.spans.forget(c.dir) // only now: a lookup meanwhile is answered from one of the two
		return
	}
	c.t.spans.put(c.dir, span{c.b.Part(), c.from, upto})
	if n := len(rows); n > 1 && c.b.Bytes() > limit {
		last := rows[n-1]
		c.b, c.whole = nil, false
		c.from, c.last, c.began = rows[n-2].Sort(), &last, p.began
	}
}
