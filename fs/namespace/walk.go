package namespace

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// walk is a flat listing of all that is below a directory, page after page, for a program that goes through its
// subdirectories: a page of keys fills many small directories at once. It is begun when
//
//   - a directory with some subdirectories is listed, for the flat listing shows which of them have objects
//     of their own; or
//   - a second subdirectory is opened after one that comes before it.
//
// It goes on where the reader goes on: a page at a time at first, then further ahead the longer the reader
// stays with it, and jumps when the reader has jumped.
type walk struct {
	t   *Tree
	dir ossclient.Key

	turn  chan struct{} // a token, for who asks for pages; it guards the fields below
	sweep sweep
	token string        // of the next page
	pos   ossclient.Key // the last key seen; the pages so far are complete up to it
	last  ossclient.Key // pos before the last page; empty: that was the first since a jump
	begun bool
	ended bool // there are no keys after pos

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
		w = &walk{t: t, dir: dir, turn: make(chan struct{}, 1)}
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
	for up := parent; ; up, _ = names.Split(up) {
		if w := t.walks.byDir[up]; w != nil {
			t.walks.mu.Unlock()
			return w
		}
		if up == t.o.Root || up == "" {
			break
		}
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
	if !w.follows(dir) {
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
		w.t.dropWalk(w)
		return false, nil
	}
	w.reached(dir)
	return true, nil
}

// filling says whether the listing of dir is being filled. The turn is ours.
func (w *walk) filling(dir ossclient.Key) bool {
	return w.begun && slices.ContainsFunc(w.sweep.open, func(d *openDir) bool { return d.dir == dir && d.b != nil })
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

// markers finds out which of the directories, children of dir in order, have an object of their own, and answers
// the calls. A flat page tells of many of them at once if they are small, and of directories of about a page it fetches
// all that a reader may want next; if they are larger, or such ones are many, it asks for their objects alone.
func (t *Tree) markers(ctx context.Context, dir ossclient.Key, keys []ossclient.Key, calls []*call, began uint64) {
	w := t.walkOf(dir)
	poor, large := 0, false
	for i := 0; i < len(keys); {
		if l := t.fresh(keys[i]); l != nil {
			t.answer(calls[i], t.selfOf(l))
			i++
			continue
		}
		if large || poor >= 2 && len(keys)-i > fewDirs {
			t.answer(calls[i], t.inquire(ossclient.Object{Version: ossclient.Version{Key: keys[i]}}, began))
			i++
			continue
		}
		prev := ossclient.Key("")
		if i > 0 {
			prev = keys[i-1]
		}
		page, number, err := w.reach(ctx, prev, keys[i])
		if err != nil {
			for ; i < len(keys); i++ {
				calls[i].err = err
				close(calls[i].done)
			}
			return
		}
		if page == nil {
			t.answer(calls[i], t.inquire(ossclient.Object{Version: ossclient.Version{Key: keys[i]}}, began))
			i++
			continue
		}
		n := t.fromPage(page, number, keys[i:], calls[i:])
		if poor++; n >= enoughDirs {
			poor = 0
		}
		i += n
		large = large || n == 0
	}
}

const (
	// enoughDirs is how many directories a flat page has to tell of to be worth it.
	enoughDirs = 4
	// fewDirs are so few that a page for each is listed.
	fewDirs = 32
)

// reach fetches the page that shows the beginning of dir, which comes after prev; nil when that has just been passed.
func (w *walk) reach(ctx context.Context, prev, dir ossclient.Key) (*ossclient.Page, uint64, error) {
	if err := w.take(ctx); err != nil {
		return nil, 0, err
	}
	defer w.give()
	if w.filling(dir) { // it was reached before, for somebody else
		return nil, 0, nil
	}
	if prev != "" && dir > w.pos && !w.ended && w.justPassed(prev) {
		return w.fetch("")
	}
	return w.fetch(dir)
}

// fromPage answers the calls that a page tells of and returns how many these are; none when there is more before the
// first than expected.
func (t *Tree) fromPage(page *ossclient.Page, began uint64, keys []ossclient.Key, calls []*call) int {
	last := ossclient.Key("")
	if page.Next != "" {
		last = page.Objects[len(page.Objects)-1].Key
	}
	objects := page.Objects
	n := 0
	for ; n < len(keys) && (last == "" || keys[n] <= last); n++ {
		for len(objects) > 0 && objects[0].Key < keys[n] {
			objects = objects[1:]
		}
		if len(objects) > 0 && objects[0].Key == keys[n] {
			t.answer(calls[n], t.describe(objects[0], began))
		} else {
			t.answer(calls[n], answered(nil))
		}
	}
	return n
}

// selfOf begins to find the attributes of a listed directory's own object.
func (t *Tree) selfOf(l *cache.Listing) *call {
	if l.Self == nil {
		return answered(nil)
	}
	return t.describe(l.Self.Object(l.Dir), l.First())
}

// answer makes c end as from ends.
func (t *Tree) answer(c, from *call) {
	finish := func() {
		c.meta, c.err = from.meta, from.err
		close(c.done)
	}
	select {
	case <-from.done:
		finish()
	default:
		t.work.Go(func() {
			<-from.done
			finish()
		})
	}
}
