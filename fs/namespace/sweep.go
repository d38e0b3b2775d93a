package namespace

import (
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// sweep takes the pages of a flat listing apart into the listings of the directories that they show. A directory is
// complete when all its keys come after the key that the sweep began after, and another key has followed.
type sweep struct {
	t      *Tree
	filled func(dir ossclient.Key) // hears of each directory that is complete
	after  ossclient.Key
	open   []*openDir // the directories that the last key is in, the outermost first
}

// openDir is a directory of which more may come.
type openDir struct {
	dir ossclient.Key
	b   *cache.Builder // nil: it is not complete, or too large

	whole bool              // its beginning was seen, and so the fields below tell of its own object
	self  *ossclient.Object // nil: there is none
	began uint64
	asked time.Time

	large bool // it was waited for in vain
}

// restart drops what is not complete and begins after another key, one within the directory top, of which not all is seen so.
func (s *sweep) restart(top, after ossclient.Key) {
	s.after = after
	s.open = append(s.open[:0], &openDir{dir: top})
}

// page takes a page in. The request for it was sent at asked, as event number began.
func (s *sweep) page(objects []ossclient.Object, began uint64, asked time.Time) {
	for _, d := range s.open {
		if d.b != nil {
			d.b.Page(began)
		}
	}
	for i := range objects {
		o := &objects[i]
		for len(s.open) > 1 && !names.Within(s.open[len(s.open)-1].dir, o.Key) {
			s.pop()
		}
		s.add(o, began, asked)
	}
}

func (s *sweep) add(o *ossclient.Object, began uint64, asked time.Time) {
	d := s.open[len(s.open)-1]
	for o.Key != d.dir {
		component, isDir := names.Child(d.dir, o.Key)
		if !isDir {
			row := cache.RowOf(component, o)
			d.add(&row, s.t)
			return
		}
		d.add(&cache.Row{Component: component, Dir: true}, s.t)
		d = &openDir{dir: names.Join(d.dir, component, true)}
		if d.dir > s.after {
			d.b = cache.NewBuilder(d.dir, asked)
			d.b.Page(began)
			d.whole, d.began, d.asked = true, began, asked
		}
		s.open = append(s.open, d)
	}
	self := *o
	d.self = &self
	if d.b != nil {
		d.b.Self(cache.RowOf("", o))
	}
}

func (d *openDir) add(r *cache.Row, t *Tree) {
	if d.b == nil {
		return
	}
	if d.b.Add(r); d.b.Bytes() > t.listings.Largest() {
		d.b = nil
	}
}

// pop closes the innermost directory, and remembers it if it is complete.
func (s *sweep) pop() {
	d := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	if d.b != nil {
		s.t.keep(d.b.Listing())
		s.filled(d.dir)
	}
}

// end takes in that nothing follows in the directories that are open, the outermost apart.
func (s *sweep) end() {
	for len(s.open) > 0 {
		s.pop()
	}
}
