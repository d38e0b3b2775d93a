package namespace

import (
	"context"
	"slices"
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// walk is a flat listing of all that is below a directory, page after page, for a program that goes through its
// subdirectories: a page of keys fills many small directories at once. It is begun when
//
//   - a directory with some subdirectories is listed, for the flat listing shows which of them have objects
//     of their own;
//   - a directory is looked up in one that is listed, with others behind it, for the same reason; or
//   - a second subdirectory is opened after one that comes before it.
//
// It goes on where the reader goes on: a page at a time at first, then further ahead the longer the reader
// stays with it, and jumps when the reader has jumped. When the subdirectories are known, what is ahead of the reader
// is divided among several runs, each for a range of them, which ask at the same time ([walk.plan]).
type walk struct {
	t    *Tree
	dir  ossclient.Key
	main *run // it goes where the reader goes

	mu     sync.Mutex      // guards the fields below; a leaf
	credit int             // how many pages may be fetched for the sake of directories' own objects
	misses int             // how many directories in a row were not found complete
	start  ossclient.Key   // where the main run began
	head   ossclient.Key   // how far it has come; empty: it has just begun
	keys   int             // how many came since
	marks  []ossclient.Key // the last keys of its pages that the reader has not passed yet
	window int             // how many pages may be fetched ahead
	ahead  bool            // a goroutine fetches ahead
	filled []ossclient.Key // directories filled whose files were not asked for yet, in order
	plans  plans
}

const (
	// walkWindow is how many pages are fetched ahead at most by the main run.
	walkWindow = 16
	// walkPatience is how many pages are fetched for one directory before it is listed by itself.
	walkPatience = 4
	// walkMisses is how many directories in a row may be listed by themselves before a walk is given up.
	walkMisses = 4
	// headsAhead is how many questions for attributes may wait when more are put ahead.
	headsAhead = 4 * headsAtOnce
	// filledKept bounds the directories remembered whose files may be asked for ahead.
	filledKept = 1 << 14
	// walksKept bounds the number of walks remembered.
	walksKept = 64
)

// walks are those going on, by directory.
type walks struct {
	mu     sync.Mutex // guards the fields below
	byDir  map[ossclient.Key]*walk
	opened map[ossclient.Key]ossclient.Key // the subdirectory of each directory that was last opened
}

// walkOf is the walk of dir, begun if need be.
func (t *Tree) walkOf(dir ossclient.Key) *walk {
	t.walks.mu.Lock()
	defer t.walks.mu.Unlock()
	w := t.walks.byDir[dir]
	if w == nil {
		if t.walks.byDir == nil || len(t.walks.byDir) >= walksKept {
			t.walks.byDir = make(map[ossclient.Key]*walk)
		}
		w = &walk{t: t, dir: dir, credit: markerCredit}
		w.main = w.newRun("", "", 0)
		t.walks.byDir[dir] = w
	}
	return w
}

// drop forgets a walk that has come to its end, or serves nobody.
func (t *Tree) dropWalk(w *walk) {
	t.walks.mu.Lock()
	defer t.walks.mu.Unlock()
	if t.walks.byDir[w.dir] == w {
		delete(t.walks.byDir, w.dir)
	}
}

// opening notes that dir is opened, and finds the walk that it is part of; nil when there is none.
func (t *Tree) opening(dir ossclient.Key) *walk {
	if dir == t.o.Root || t.o.TTL <= 0 || !names.Within(t.o.Root, dir) {
		return nil
	}
	parent, _ := names.Split(dir)
	t.walks.mu.Lock()
	if w := t.walks.above(t.o.Root, parent); w != nil {
		t.walks.mu.Unlock()
		return w
	}
	if t.walks.opened == nil || len(t.walks.opened) >= countsKept {
		t.walks.opened = make(map[ossclient.Key]ossclient.Key)
	}
	last := t.walks.opened[parent]
	t.walks.opened[parent] = dir
	t.walks.mu.Unlock()
	if last == "" || last >= dir {
		return nil
	}
	return t.walkOf(parent)
}

// above finds the walk of dir, or else of the nearest directory above it; nil when there is none. mu is held.
func (s *walks) above(root, dir ossclient.Key) *walk {
	for ; ; dir, _ = names.Split(dir) {
		if w := s.byDir[dir]; w != nil || dir == root || dir == "" {
			return w
		}
	}
}

// open makes the listing of dir known, if the walk comes by it soon; false if dir is to be listed by itself.
func (w *walk) open(ctx context.Context, dir ossclient.Key) (bool, error) {
	r := w.main
	if other := w.plans.covering(dir); other != nil {
		r = other
	}
	ok, err := apart(ctx, w.t, func() (bool, error) { return r.open(ctx, dir) })
	if err != nil {
		return false, err
	}
	if !ok {
		w.mu.Lock()
		w.misses++
		drop := w.misses >= walkMisses
		w.mu.Unlock()
		if drop {
			w.t.dropWalk(w)
			w.plans.forget()
		}
		return false, nil
	}
	w.served()
	w.reached(dir)
	return true, nil
}

// served notes that an answer came from the walk.
func (w *walk) served() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.misses = 0
	w.credit = min(w.credit+1, creditKept)
}

// spend takes one of the pages that may be fetched for directories' own objects.
func (w *walk) spend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.credit <= 0 {
		return false
	}
	w.credit--
	return true
}

// arrived notes that a run has got a page. The run's turn is ours.
func (w *walk) arrived(r *run) {
	if r != w.main {
		if r.ended {
			w.plans.ended(r)
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = r.keys
	if r.pos != "" {
		w.marks = append(w.marks, r.pos)
		w.head = r.pos
	}
}

// restart notes that the main run jumps to dir: what was planned ahead of it is of no use.
func (w *walk) restart(dir ossclient.Key) {
	w.mu.Lock()
	w.marks, w.start, w.head, w.keys = nil, dir, "", 0
	w.mu.Unlock()
	w.plans.forget()
}

// reached notes that the reader is at dir, and fetches ahead if it is time.
func (w *walk) reached(dir ossclient.Key) {
	w.mu.Lock()
	passed := 0
	for passed < len(w.marks) && w.marks[passed] < dir {
		passed++
	}
	if passed > 0 || w.window == 0 {
		w.marks = w.marks[passed:]
		w.window = min(max(2*w.window, 1), walkWindow)
	}
	start := !w.ahead && len(w.marks) <= w.window/2
	if start {
		w.ahead = true
	}
	far := w.window > 1
	w.mu.Unlock()
	if far {
		w.plan(dir)
	}
	if start {
		w.t.work.Go(w.fetchAhead)
	}
	if far {
		w.describeAhead(dir)
	}
}

// describeAhead begins to ask for the attributes of files in the directories that a reader at dir comes to next.
func (w *walk) describeAhead(dir ossclient.Key) {
	for w.t.heads.waiting() < headsAhead {
		w.mu.Lock()
		at, found := slices.BinarySearch(w.filled, dir)
		if found {
			at++
		}
		w.filled = w.filled[at:]
		if len(w.filled) == 0 {
			w.mu.Unlock()
			return
		}
		next := w.filled[0]
		w.filled = w.filled[1:]
		w.mu.Unlock()
		if l := w.t.fresh(next); l != nil {
			w.t.selfOf(l)
			w.t.describeListing(l, 0, l.Len())
		}
	}
}

// describeListing begins to find the attributes of the objects in some rows of a listing.
func (t *Tree) describeListing(l *cache.Listing, from, to int) {
	objects := make([]ossclient.Object, 0, to-from)
	for i := from; i < to; i++ {
		row := l.At(i)
		if key := names.Join(l.Dir, row.Component, false); !row.Dir && !t.settled(key, l.Began(i)) {
			objects = append(objects, row.Object(key))
		}
	}
	if len(objects) > 0 {
		t.describePage(objects, l.Began(from))
	}
}

// fills notes that the listing of dir was filled.
func (w *walk) fills(dir ossclient.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, found := slices.BinarySearch(w.filled, dir); !found && len(w.filled) < filledKept {
		w.filled = slices.Insert(w.filled, at, dir)
	}
}

// fetchAhead fetches the main run's pages until the window is full.
func (w *walk) fetchAhead() {
	for {
		if w.main.take(w.t.ctx) != nil {
			break
		}
		w.mu.Lock()
		full := len(w.marks) >= w.window
		w.mu.Unlock()
		if full || w.main.ended || !w.main.begun {
			w.main.give()
			break
		}
		_, _, err := w.main.fetch("")
		w.main.give()
		if err != nil { // who needs the page asks again and hears of it
			break
		}
	}
	w.mu.Lock()
	w.ahead = false
	w.mu.Unlock()
}
