package namespace

import (
	"context"
	"sort"
	"strings"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// run is a part of a walk: the pages of a flat listing, one after the other, from one directory up to another. A walk has
// one that goes where the reader goes, and may have others ahead of it.
type run struct {
	w *walk
	// Where it begins and ends, both directories, and for how many of the walk's it is; of the main run they say nothing.
	// An empty until is the end of the walk's directory.
	from, until ossclient.Key
	dirs        int

	turn  chan struct{} // a token, for who asks for pages; it guards the fields below
	sweep sweep
	token string        // of the next page
	pos   ossclient.Key // the last key seen; the pages so far are complete up to it
	last  ossclient.Key // pos before the last page; empty: that was the first since a jump
	begun bool
	ended bool      // there are no keys after pos that this run is for
	asked time.Time // when the last page was asked for
	keys  int       // how many came since it began
}

func (w *walk) newRun(from, until ossclient.Key, dirs int) *run {
	r := &run{w: w, from: from, until: until, dirs: dirs, turn: make(chan struct{}, 1)}
	r.sweep = sweep{t: w.t, filled: w.fills}
	return r
}

// end is where the run ends: of the main one that is where the others begin.
func (r *run) end() ossclient.Key {
	if r == r.w.main {
		return r.w.plans.mainEnd()
	}
	return r.until
}

// take waits for the turn to ask for pages.
func (r *run) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) give() { <-r.turn }

// apart does what serves others too, and stops waiting for it when ctx ends: it goes on then, with its turn.
func apart[T any](ctx context.Context, t *Tree, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	t.work.Go(func() {
		value, err := do()
		done <- answer{value, err}
	})
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// open makes the listing of dir known, if the run comes by it soon; false if dir is to be listed by itself.
func (r *run) open(ctx context.Context, dir ossclient.Key) (bool, error) {
	if err := r.take(ctx); err != nil {
		return false, err
	}
	defer r.give()
	patience, ask := walkPatience, dir
	switch {
	case r.opened(dir) != nil && r.opened(dir).large, r != r.w.main && (r.ended || r.begun && dir <= r.pos && !r.filling(dir)):
		patience = 0
	case r != r.w.main:
		ask = "" // it does not jump
	case !r.follows(dir):
		patience = 1
	}
	for ; patience > 0 && r.w.t.fresh(dir) == nil; patience-- {
		if _, _, err := r.fetch(ask); err != nil {
			return false, err
		}
		if !r.filling(dir) && (ask != "" || r.ended || r.pos >= dir) {
			break
		}
	}
	if r.w.t.fresh(dir) != nil {
		return true, nil
	}
	if d := r.opened(dir); d != nil { // what is below it is still of use
		d.large = true
	}
	return false, nil
}

// opened is what the run has of a directory that it is in the midst of, or nil. The turn is ours.
func (r *run) opened(dir ossclient.Key) *openDir {
	if !r.begun {
		return nil
	}
	for _, d := range r.sweep.open {
		if d.dir == dir {
			return d
		}
	}
	return nil
}

// filling says whether the listing of dir is being filled. The turn is ours.
func (r *run) filling(dir ossclient.Key) bool {
	d := r.opened(dir)
	return d != nil && d.b != nil
}

// follows says whether the next page is likely to show dir. The turn is ours.
func (r *run) follows(dir ossclient.Key) bool {
	return r.begun && !r.ended && (r.filling(dir) || dir > r.pos && r.next(dir))
}

// fetch asks for the next page, or, when dir is not what comes next, for the page that begins with it. The request
// is the tree's own: whoever waits for it, the page serves others too. The turn is ours.
func (r *run) fetch(dir ossclient.Key) (*ossclient.Page, uint64, error) {
	w := r.w
	req := ossclient.ListRequest{Prefix: w.dir, Token: r.token}
	if !r.begun && dir == "" {
		dir = r.from
	}
	if dir != "" && !r.follows(dir) {
		if r == w.main {
			w.restart(dir)
		}
		req.Token, req.StartAfter = "", before(dir)
		r.sweep.restart(w.dir, req.StartAfter)
		r.begun, r.ended, r.pos, r.last, r.keys = true, false, "", "", 0
	}
	began, asked := w.t.recents.tick(), w.t.now()
	page, err := w.t.o.Bucket.List(w.t.ctx, req)
	if err != nil {
		r.begun = false // the next one begins anew
		return nil, 0, err
	}
	r.asked = asked
	r.cut(&page)
	r.sweep.page(page.Objects, began, asked)
	if n := len(page.Objects); n > 0 {
		r.last, r.pos = r.pos, page.Objects[n-1].Key
		r.keys += n
	}
	r.token = page.Next
	if r.token == "" {
		r.ended = true
		r.sweep.end()
	}
	w.arrived(r)
	return &page, began, nil
}

// cut makes a page end where the run does.
func (r *run) cut(page *ossclient.Page) {
	until := r.end()
	if until == "" {
		return
	}
	all := page.Objects
	n := sort.Search(len(all), func(i int) bool { return all[i].Key >= until })
	if n < len(all) {
		page.Objects, page.Next = all[:n], ""
	}
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
func (r *run) next(dir ossclient.Key) bool {
	parent, component := names.Split(dir)
	l := r.w.t.listings.Get(parent)
	if l == nil {
		return false
	}
	_, at, ok := l.Find(component, true)
	if !ok {
		return false
	}
	if at == 0 {
		return r.pos <= dir && names.Within(parent, r.pos)
	}
	row := l.At(at - 1)
	return r.justPassed(names.Join(parent, row.Component, row.Dir))
}

// justPassed says whether the run has been at key, and is not in the midst of much that is below it. The turn is ours.
func (r *run) justPassed(key ossclient.Key) bool {
	return r.begun && key <= r.pos && (!names.IsDir(key) || !names.Within(key, r.pos) || r.small(key))
}

// small says whether what the run has seen of a directory so far began in the last page. The turn is ours.
func (r *run) small(dir ossclient.Key) bool { return r.last == "" || !names.Within(dir, r.last) }

// self is what the run knows of a directory's own object, and since when; nil when it has not seen its place, or that is
// too long ago. The turn is ours.
func (r *run) self(key ossclient.Key) (*call, uint64) {
	t := r.w.t
	if l := t.fresh(key); l != nil {
		return t.selfOf(l), l.First()
	}
	d := r.opened(key)
	if d == nil || !d.whole || t.now().Sub(d.asked) >= t.o.TTL || t.overtaken(key, d.began) {
		return nil, 0
	}
	c := answered(nil)
	if d.self != nil {
		c = t.describe(*d.self, d.began)
	}
	return c.since(d.began).upTo(d.asked.Add(t.o.TTL)), d.began
}

// reach fetches the page that shows the beginning of dir, which comes after prev. When that has just been passed there is
// no page, but, if the run has seen it, the answer for the directory's own object.
func (r *run) reach(ctx context.Context, prev, dir ossclient.Key) (*ossclient.Page, uint64, *call, error) {
	if err := r.take(ctx); err != nil {
		return nil, 0, nil, err
	}
	defer r.give()
	if r.filling(dir) { // it was reached before, for somebody else
		c, _ := r.self(dir)
		return nil, 0, c, nil
	}
	if prev != "" && dir > r.pos && !r.ended && r.justPassed(prev) {
		dir = ""
	}
	page, began, err := r.fetch(dir)
	return page, began, nil, err
}
