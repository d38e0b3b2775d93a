package namespace

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

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
// stays with it, and jumps when the reader has jumped.
type walk struct {
	t   *Tree
	dir ossclient.Key

	turn   chan struct{} // a token, for who asks for pages; it guards the fields below
	sweep  sweep
	token  string        // of the next page
	pos    ossclient.Key // the last key seen; the pages so far are complete up to it
	last   ossclient.Key // pos before the last page; empty: that was the first since a jump
	begun  bool
	ended  bool      // there are no keys after pos
	asked  time.Time // when the last page was asked for
	credit int       // how many pages may be fetched for the sake of directories' own objects
	misses int       // how many directories in a row were not found complete

	mu     sync.Mutex      // guards the fields below
	marks  []ossclient.Key // the last keys of the pages that the reader has not passed yet
	window int             // how many pages may be fetched ahead
	ahead  bool            // a goroutine fetches ahead
	filled []ossclient.Key // directories filled whose files were not asked for yet, in order
}

const (
	// walkWindow is how many pages are fetched ahead at most.
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
		w = &walk{t: t, dir: dir, turn: make(chan struct{}, 1), credit: markerCredit}
		w.sweep = sweep{t: t, filled: w.fills}
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

// take waits for the turn to ask for pages.
func (w *walk) take(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *walk) give() { <-w.turn }

// open makes the listing of dir known, if the walk comes by it soon; false if dir is to be listed by itself.
func (w *walk) open(ctx context.Context, dir ossclient.Key) (bool, error) {
	if err := w.take(ctx); err != nil {
		return false, err
	}
	defer w.give()
	patience := walkPatience
	switch {
	case w.opened(dir) != nil && w.opened(dir).large:
		patience = 0
	case !w.follows(dir):
		patience = 1
	}
	for ; patience > 0 && w.t.fresh(dir) == nil; patience-- {
		if _, _, err := w.fetch(dir); err != nil {
			return false, err
		}
		if !w.filling(dir) {
			break
		}
	}
	if w.t.fresh(dir) == nil {
		if d := w.opened(dir); d != nil { // what is below it is still of use
			d.large = true
		}
		if w.misses++; w.misses >= walkMisses {
			w.t.dropWalk(w)
		}
		return false, nil
	}
	w.served()
	w.reached(dir)
	return true, nil
}

// served notes that an answer came from the walk. The turn is ours.
func (w *walk) served() {
	w.misses = 0
	w.credit = min(w.credit+1, creditKept)
}

// opened is what the walk has of a directory that it is in the midst of, or nil. The turn is ours.
func (w *walk) opened(dir ossclient.Key) *openDir {
	if !w.begun {
		return nil
	}
	for _, d := range w.sweep.open {
		if d.dir == dir {
			return d
		}
	}
	return nil
}

// filling says whether the listing of dir is being filled. The turn is ours.
func (w *walk) filling(dir ossclient.Key) bool {
	d := w.opened(dir)
	return d != nil && d.b != nil
}

// follows says whether the next page is likely to show dir. The turn is ours.
func (w *walk) follows(dir ossclient.Key) bool {
	return w.begun && !w.ended && (w.filling(dir) || dir > w.pos && w.next(dir))
}

// fetch asks for the next page, or, when dir is not what comes next, for the page that begins with it. The request
// is the tree's own: whoever waits for it, the page serves others too. The turn is ours.
func (w *walk) fetch(dir ossclient.Key) (*ossclient.Page, uint64, error) {
	req := ossclient.ListRequest{Prefix: w.dir, Token: w.token}
	if dir != "" && !w.follows(dir) {
		req.Token, req.StartAfter = "", before(dir)
		w.sweep.restart(w.dir, req.StartAfter)
		w.begun, w.ended, w.pos = true, false, ""
	}
	began, asked := w.t.recents.tick(), w.t.now()
	page, err := w.t.o.Bucket.List(w.t.ctx, req)
	if err != nil {
		w.begun = false // the next one begins anew
		return nil, 0, err
	}
	w.asked = asked
	w.sweep.page(page.Objects, began, asked)
	if n := len(page.Objects); n > 0 {
		w.last, w.pos = w.pos, page.Objects[n-1].Key
		w.mu.Lock()
		w.marks = append(w.marks, w.pos)
		w.mu.Unlock()
	}
	w.token = page.Next
	if w.token == "" {
		w.ended = true
		w.sweep.end()
	}
	return &page, began, nil
}

// before is a key before everything in dir, and after everything that comes before dir.
func before(dir ossclient.Key) ossclient.Key {
	if dir == "" {
		return ""
	}
	return ossclient.Key(strings.TrimSuffix(string(dir), "/")) + ".\U0010FFFF"
}

// next says whether the directory before dir, among those of the directory that both are in, has just been
// passed, so that the next page is likely to show dir. The turn is ours.
func (w *walk) next(dir ossclient.Key) bool {
	parent, component := names.Split(dir)
	l := w.t.listings.Get(parent)
	if l == nil {
		return false
	}
	_, at, ok := l.Find(component, true)
	if !ok {
		return false
	}
	if at == 0 {
		return w.pos <= dir && names.Within(parent, w.pos)
	}
	row := l.At(at - 1)
	return w.justPassed(names.Join(parent, row.Component, row.Dir))
}

// justPassed says whether the walk has been at key, and is not in the midst of much that is below it. The turn is ours.
func (w *walk) justPassed(key ossclient.Key) bool {
	return w.begun && key <= w.pos && (!names.IsDir(key) || !names.Within(key, w.pos) || w.small(key))
}

// small says whether what the walk has seen of a directory so far began in the last page. The turn is ours.
func (w *walk) small(dir ossclient.Key) bool { return w.last == "" || !names.Within(dir, w.last) }

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
	describe := w.window > 1
	w.mu.Unlock()
	if start {
		w.t.work.Go(w.fetchAhead)
	}
	if describe {
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
			w.t.describeListing(l)
		}
	}
}

// describeListing begins to find the attributes of all objects of a listing.
func (t *Tree) describeListing(l *cache.Listing) {
	objects := make([]ossclient.Object, 0, l.Len())
	for i := range l.Len() {
		if row := l.At(i); !row.Dir {
			objects = append(objects, row.Object(names.Join(l.Dir, row.Component, false)))
		}
	}
	if l.Len() > 0 {
		t.describePage(objects, l.Began(l.Len()-1))
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

// fetchAhead fetches pages until the window is full.
func (w *walk) fetchAhead() {
	for {
		if w.take(w.t.ctx) != nil {
			break
		}
		w.mu.Lock()
		full := len(w.marks) >= w.window
		w.mu.Unlock()
		if full || w.ended || !w.begun {
			w.give()
			break
		}
		_, _, err := w.fetch("")
		w.give()
		if err != nil { // who needs the page asks again and hears of it
			break
		}
	}
	w.mu.Lock()
	w.ahead = false
	w.mu.Unlock()
}
