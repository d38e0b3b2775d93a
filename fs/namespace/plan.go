package namespace

import (
	"sync"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// runsAtOnce is how many runs may be ahead of the reader.
	runsAtOnce = 8
	// firstRuns is how many may be at first; twice as many each time that the reader has passed one.
	firstRuns = 2
	// runPages is for how many pages a run is planned at most: the last page of each is partly in vain.
	runPages = 16
	// firstRunPages is for how many the first run is planned; each of those after it has twice as many.
	firstRunPages = 4
	pageKeys      = 1000
)

// plans are the runs of a walk besides the main one, each for a range of the directories in the walk's. They follow one
// another, and the first one follows the main run.
type plans struct {
	mu    sync.Mutex    // guards the fields below; a leaf
	runs  []*run        // those that the reader has not passed, in order
	first ossclient.Key // where the main run ends; empty: nothing was planned
	next  ossclient.Key // where the last run ends, and another would begin; empty: none would
	keys  int           // how many were seen by runs that have come to their end, and
	dirs  int           // the directories that these were for
	pages int           // for how many pages the next run is planned
	most  int           // how many runs may be ahead now

	list *cache.Listing // the directories, when they were looked through last, and
	at   int            // how many of its rows are known not to need a run
}

// mainEnd is where the main run ends.
func (p *plans) mainEnd() ossclient.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// covering is the run that dir belongs to; nil when that is the main one, or none.
func (p *plans) covering(dir ossclient.Key) *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.runs {
		if r.from <= dir && (r.until == "" || dir < r.until) {
			return r
		}
	}
	return nil
}

// forget drops all plans. Runs under way end with their page.
func (p *plans) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs, p.first, p.next, p.keys, p.dirs, p.list = nil, "", "", 0, 0, nil
}

// wanted says whether a run is still ahead of the reader, or under him.
func (p *plans) wanted(r *run) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.runs {
		if q == r {
			return true
		}
	}
	return false
}

// ended notes what a run came to. Its turn is ours.
func (p *plans) ended(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys += r.keys
	p.dirs += r.dirs
}

// room drops the runs that a reader at dir has passed, and says whether there may be another.
func (p *plans) room(dir ossclient.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.runs) > 0 && p.runs[0].until != "" && p.runs[0].until <= dir {
		p.runs = p.runs[1:]
		p.most = min(2*p.most, runsAtOnce)
	}
	return p.first == "" || p.next != "" && len(p.runs) <= p.most
}

// plan begins runs ahead of a reader who is at dir, as long as there is room for more and the subdirectories are known. The
// first one begins behind the directory that the main run is in; how many directories are worth a page is known from what has come.
func (w *walk) plan(dir ossclient.Key) {
	for w.plans.room(dir) {
		l := w.t.fresh(w.dir)
		if l == nil {
			return
		}
		r := w.planRun(l)
		if r == nil {
			return
		}
		w.t.work.Go(r.ahead)
	}
}

// planRun plans the next run; nil when there is nothing left for one.
func (w *walk) planRun(l *cache.Listing) *run {
	w.mu.Lock()
	start, head, keys := w.start, w.head, w.keys
	w.mu.Unlock()
	p := &w.plans
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.next
	if p.first == "" {
		if head == "" {
			return nil
		}
		at := w.row(l, head)
		p.keys, p.dirs = keys, max(at-w.row(l, start), 1)
		if from = w.dirFrom(l, at+1); from == "" {
			return nil
		}
		p.pages, p.most = firstRunPages, firstRuns
	}
	perDir := max(p.keys/max(p.dirs, 1), 1)
	if p.list != l {
		p.list, p.at = l, 0
	}
	at := max(p.at, l.Seek(string(from[len(w.dir):])))
	for at < l.Len() && w.known(l, at) {
		at++
	}
	p.at = at
	if begin := w.dirFrom(l, at); p.first == "" && (begin == "" || (l.Len()-at)*perDir < firstRunPages*pageKeys) {
		return nil // the main run alone is as good
	}
	if p.first == "" {
		p.first = from
	}
	begin := w.dirFrom(l, at)
	p.next = ""
	if begin == "" {
		return nil
	}
	end := min(at+max(p.pages*pageKeys/perDir, 1), l.Len())
	p.next = w.dirFrom(l, end)
	p.pages = min(2*p.pages, runPages)
	r := w.newRun(begin, p.next, end-at)
	p.runs = append(p.runs, r)
	return r
}

// row is where in the listing of the walk's directory the directory stands that key is below of.
func (w *walk) row(l *cache.Listing, key ossclient.Key) int {
	component, _ := names.Child(w.dir, key)
	return l.Seek(component + "/")
}

// dirFrom is the first directory at or behind a row; empty when there is none.
func (w *walk) dirFrom(l *cache.Listing, at int) ossclient.Key {
	for ; at < l.Len(); at++ {
		if row := l.At(at); row.Dir {
			return names.Join(w.dir, row.Component, true)
		}
	}
	return ""
}

// known says whether a row needs no run: it is a file, or a directory that is listed.
func (w *walk) known(l *cache.Listing, at int) bool {
	row := l.At(at)
	return !row.Dir || w.t.fresh(names.Join(w.dir, row.Component, true)) != nil
}

// ahead fetches the pages of a run as long as it is wanted.
func (r *run) ahead() {
	for r.take(r.w.t.ctx) == nil {
		if r.ended || !r.w.plans.wanted(r) {
			r.give()
			return
		}
		_, _, err := r.fetch("")
		r.give()
		if err != nil { // who needs the page asks again and hears of it
			return
		}
	}
}
