package stream

import (
	"slices"
	"sync"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	// aheadLimit is the largest file that is fetched before it is opened, in bytes.
	aheadLimit = 1 << 20
	// maxDepth is how many files are fetched ahead at most.
	maxDepth = 64
	// trailStart is how many files in order make a trail.
	trailStart = 3
	// peek is how many following files are remembered of a file that may begin a trail.
	peek = 8
	// maxTrails is how many trails are remembered in all.
	maxTrails = 128
	// lateAlone and lateCrowd are for how many further files one that was passed over is still expected:
	// when files come one by one, and when several programs read by turns.
	lateAlone, lateCrowd = 16, 2 * maxDepth
	// givenKept is of how many files a trail remembers that it has given them up.
	givenKept = 256
	// wasteFloor is how many bytes a trail may waste before that is held against it.
	wasteFloor = 128 << 10
	// trailTimeout is how long a trail waits for its next file.
	trailTimeout = 3 * time.Second
)

// trails finds the programs that read the files of a directory in its order, and fetches the next files
// before they are opened:
//
//  1. The first read of a file at offset 0 is the event; opening, listing and stat are none.
//  2. A file that a trail expects moves that trail on; any other begins a trail of its own, which expects
//     the files that follow it (Hint.Next). Several programs may walk one directory at a time.
//  3. After trailStart files a trail fetches ahead: never more files than were read before, at most maxDepth.
//  4. A file that was passed over may still come: programs work by turns. If it does not, it was wasted.
//     A trail that wastes more than a tenth of what it helped with ends, and so does its place: the files
//     that follow do not begin a new one until trailTimeout has passed.
//  5. What comes after it was given up was no waste: the program that has taken it stood still, as most of several
//     do on a machine with fewer processors. A trail that ended for such files goes on.
//
// Its lock comes before File.mu.
type trails struct {
	pool *Pool

	mu     sync.Mutex // guards the fields below
	list   []*trail   // in no order
	recent recent
	helped int64 // bytes read that were fetched ahead
	wasted int64 // bytes fetched ahead and never read
}

// trail is one program's way through a directory.
type trail struct {
	dir      string
	expected []ossclient.Version // the files to come, next first
	passed   []late              // files that others came before, oldest first
	ahead    map[ossclient.Version]*File
	tried    int     // the first so many of expected need no fetch any more
	run      int     // files read in order
	given    []given // files that were given up unread, oldest first
	crowd    bool    // a passed file came later: several read by turns
	over     bool    // it wasted too much
	seen     time.Time

	helped, wasted int64 // bytes
}

// given is a file that was given up.
type given struct {
	version ossclient.Version
	wasted  int64 // what was fetched of it
}

type late struct {
	version ossclient.Version
	until   int // the run at which it is not expected any more
}

// follow notes that f is read from its beginning, and fetches what comes next. No lock is held.
func (s *trails) follow(f *File) {
	if f.hint.Next == nil {
		return
	}
	t, want := s.step(f)
	if want == 0 {
		return
	}
	next := f.hint.Next(want)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.list, t) {
		t.expected = slices.DeleteFunc(slices.Clone(next), func(v ossclient.Version) bool { return v.Size == 0 })
		t.tried = 0
		s.fetch(t)
	}
}

// step moves the trail on that expected f, or begins one, and says how many more versions it wants to know.
func (s *trails) step(f *File) (t *trail, want int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := f.Version()
	if f.hint.PageCache {
		if s.recent.has(v) {
			s.recent.forget()
		}
		s.recent.add(v)
	}
	t, at := s.find(f.hint.Dir, v)
	if t == nil {
		return s.begin(f.hint.Dir), peek
	}
	t.run++
	t.seen = time.Now()
	f.trail.Store(t)
	t.regain(v)
	if at < 0 {
		t.crowd = true
		t.passed = slices.DeleteFunc(t.passed, func(l late) bool { return l.version == v })
	} else {
		patience := lateAlone
		if t.crowd {
			patience = lateCrowd
		}
		for _, skipped := range t.expected[:at] {
			t.passed = append(t.passed, late{skipped, t.run + patience})
		}
		t.expected, t.tried = t.expected[at+1:], max(t.tried-at-1, 0)
	}
	if a := t.ahead[v]; a != nil { // f holds its blocks by now
		delete(t.ahead, v)
		f.helped.Store(true)
		_ = a.Close() // it is open
	}
	s.lapse(t)
	if at >= 0 && len(t.expected) < t.depth()+peek/2 {
		return t, 2*t.depth() + peek
	}
	s.fetch(t)
	return t, 0
}

// find gives the trail that expects v and its place there, or -1 if it was passed over before.
func (s *trails) find(dir string, v ossclient.Version) (*trail, int) {
	for _, t := range s.list {
		if t.dir != dir {
			continue
		}
		if at := slices.Index(t.expected, v); at >= 0 {
			return t, at
		}
		if slices.ContainsFunc(t.passed, func(l late) bool { return l.version == v }) ||
			slices.ContainsFunc(t.given, func(g given) bool { return g.version == v }) {
			return t, -1
		}
	}
	return nil, 0
}

func (s *trails) begin(dir string) *trail {
	if len(s.list) >= maxTrails {
		s.end(slices.MinFunc(s.list, func(a, b *trail) int { return a.seen.Compare(b.seen) }))
	}
	t := &trail{dir: dir, run: 1, seen: time.Now(), ahead: map[ossclient.Version]*File{}}
	s.list = append(s.list, t)
	return t
}

// depth is how many files t may have ahead: a power of two below what was read.
func (t *trail) depth() int {
	depth := 2
	for depth < maxDepth && 2*depth < t.run {
		depth *= 2
	}
	return depth
}

// fetch begins the GETs of the next files, as far as connections and memory go.
func (s *trails) fetch(t *trail) {
	if t.run < trailStart || t.over {
		return
	}
	for ; t.tried < len(t.expected) && len(t.ahead) < t.depth(); t.tried++ {
		v := t.expected[t.tried]
		if v.Size > aheadLimit || t.ahead[v] != nil || s.recent.has(v) {
			continue
		}
		f := s.pool.Open(v, Hint{})
		started, ok := f.fetchWhole()
		if !started {
			_ = f.Close() // it is open
		}
		if !ok {
			return
		}
		if started {
			t.ahead[v] = f
		}
	}
}

// lapse gives up the passed files that are not expected any more, and the trail if they are too many.
func (s *trails) lapse(t *trail) {
	for len(t.passed) > 0 && t.passed[0].until < t.run {
		s.give(t, t.passed[0].version)
		t.passed = t.passed[1:]
	}
	s.judge(t)
}

// give gives up a file that may come all the same.
func (s *trails) give(t *trail, v ossclient.Version) {
	if len(t.given) >= givenKept {
		t.given = t.given[1:]
	}
	before := t.wasted
	s.discard(t, v)
	t.given = append(t.given, given{v, t.wasted - before})
}

// regain notes that v is read, which was no waste if it was given up.
func (t *trail) regain(v ossclient.Version) {
	if i := slices.IndexFunc(t.given, func(g given) bool { return g.version == v }); i >= 0 {
		t.wasted -= t.given[i].wasted
		t.given = slices.Delete(t.given, i, i+1)
	}
}

// judge ends the trail's fetching when it wastes too much, for as long as it does.
func (s *trails) judge(t *trail) {
	before := t.over
	if t.over = t.wasted > wasteFloor && t.wasted*10 > t.helped; !t.over || before {
		return
	}
	for v := range t.ahead {
		s.give(t, v)
	}
}

// discard gives up a file that was fetched ahead, if it was.
func (s *trails) discard(t *trail, v ossclient.Version) {
	f := t.ahead[v]
	if f == nil {
		return
	}
	delete(t.ahead, v)
	t.wasted += v.Size
	s.wasted += v.Size
	_ = f.Close() // it is open
}

// end forgets a trail.
func (s *trails) end(t *trail) {
	for v := range t.ahead {
		s.discard(t, v)
	}
	s.list = slices.DeleteFunc(s.list, func(o *trail) bool { return o == t })
}

// closed notes how much of f was read.
func (s *trails) closed(f *File) {
	t := f.trail.Load()
	if t == nil || !f.helped.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	read := min(f.volume.Load(), f.Version().Size)
	t.helped += read
	s.helped += read
	t.wasted += f.Version().Size - read
	s.wasted += f.Version().Size - read
	s.judge(t)
}

// expire ends the trails that nobody follows any more, or all of them.
func (s *trails) expire(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range slices.Clone(s.list) {
		if all || time.Since(t.seen) > trailTimeout {
			s.end(t)
		}
	}
}

// fetchWhole begins the GET of the whole, small file and holds it. started: it is on its way or there
// already; ok: there was room for it. What the store of ranges has needs no GET.
func (f *File) fetchWhole() (started, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.object
	w := newWindow(0, 0)
	f.windows = append(f.windows, w)
	o.lock()
	defer o.unlock()
	ok = o.fetchLocked(0, o.blocks, manner{limit: o.blocks, ahead: true})
	for i := range o.blocks {
		o.keepLocked(w, i)
	}
	return len(w.holds) > 0, ok
}
