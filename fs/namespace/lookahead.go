package namespace

import (
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// trailStep is how many rows further on a lookup may be and still be the next one: programs pass over some files.
	trailStep = 16
	// trailSure is how many lookups in order it takes before anything is asked ahead.
	trailSure = 2
	// trailsKept bounds the directories whose lookups are followed.
	trailsKept = 256
)

// trail is a program that looks up the files of a directory in the order of their names, as rsync does in a tree that it
// has the names of. What comes next is asked for ahead: the further, the longer the program has kept to the order, so that
// no more than as many questions are in vain as were of use.
type trail struct {
	last  string // the component looked up last
	ahead string // the component up to which has been asked; empty: nothing was
	n     int    // lookups in order
}

// trails are those of a tree.
type trails struct {
	mu    sync.Mutex // guards the fields below; a leaf
	byDir map[ossclient.Key]*trail
	n     int // lookups in order in the directory before
}

// step notes a lookup and says which rows of the listing to ask for.
func (s *trails) step(l *cache.Listing, component string) (from, to int) {
	at := l.Seek(component)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byDir[l.Dir]
	if x == nil {
		if s.byDir == nil || len(s.byDir) >= trailsKept {
			s.byDir = make(map[ossclient.Key]*trail)
		}
		x = &trail{last: component, n: 1}
		if firstFile(l, at) { // another directory of the same program
			x.n = max(s.n/2, 1)
		}
		s.byDir[l.Dir] = x
	} else if !x.follow(l, component, at) {
		return 0, 0
	}
	s.n = x.n
	if x.n < trailSure {
		return 0, 0
	}
	from = at + 1
	if x.ahead != "" {
		from = max(from, l.Seek(x.ahead+"\x00"))
	}
	to = min(at+1+min(1<<min(x.n, 16), headsAtOnce), l.Len())
	if from < to {
		x.ahead = l.At(to - 1).Component
	}
	return from, to
}

// follow notes a lookup at a row; false when it is none of the next.
func (x *trail) follow(l *cache.Listing, component string, at int) bool {
	last := l.Seek(x.last)
	switch {
	case component == x.last:
		return false
	case component < x.last || at > last+trailStep:
		*x = trail{last: component, n: 1}
		return false
	}
	x.last = component
	x.n++
	return true
}

// firstFile says whether a row has only directories before it.
func firstFile(l *cache.Listing, at int) bool {
	if at > trailStep {
		return false
	}
	for i := range at {
		if row := l.At(i); !row.Dir {
			return false
		}
	}
	return true
}

// sure says whether the lookups in the directory before this one, or in this one, were in order.
func (s *trails) sure() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n >= trailSure
}

// follows says whether the lookups in a directory are followed.
func (s *trails) follows(dir ossclient.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byDir[dir] != nil
}

// lookAhead begins to ask for the attributes of what a program is likely to look up next, when it has looked up something
// in dir that the bucket is asked for, or was before: the next files of dir and, behind its end, the directories that the
// walk comes to.
func (t *Tree) lookAhead(dir ossclient.Key, component string, b *base) {
	if t.o.NoHead || component == "" || t.heads.waiting() >= headsAhead {
		return
	}
	if b.file == nil {
		if b.dir && t.trails.sure() {
			t.lookFurther(dir)
		}
		return
	}
	select {
	case <-b.file.done:
		if !t.trails.follows(dir) {
			return
		}
	default:
	}
	l := t.known(dir)
	if l == nil {
		l = t.spans.find(dir, component)
	}
	if l == nil {
		return
	}
	from, to := t.trails.step(l, component)
	if from < to {
		t.describeListing(l, from, to)
	}
	if to == l.Len() {
		t.lookFurther(dir)
	}
}

// lookFurther begins to ask for the attributes of the directories behind dir, as far as the walk has filled them.
func (t *Tree) lookFurther(dir ossclient.Key) {
	t.walks.mu.Lock()
	w := t.walks.above(t.o.Root, dir)
	t.walks.mu.Unlock()
	if w != nil {
		w.describeAhead(dir)
	}
}
