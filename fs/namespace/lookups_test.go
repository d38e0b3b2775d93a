package namespace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// sourceTree is the directories and files of a deep tree like that of a program's sources: one subdirectory is
// larger than all others together.
func sourceTree() (files []string) {
	add := func(dir string, n int) {
		for i := range n {
			files = append(files, fmt.Sprintf("%sf%03d.go", dir, i))
		}
	}
	add("dst/", 20)
	for p := range 38 {
		pkg := fmt.Sprintf("dst/p%02d/", p)
		add(pkg, 20)
		subs := 14
		if p == 5 {
			subs = 150
			add(pkg+"vendor/example.com/x/tools/internal/", 5)
		}
		for s := range subs {
			sub := fmt.Sprintf("%ss%03d/", pkg, s)
			add(sub, 10)
			add(sub+"testdata/", 3)
			if s%8 == 0 {
				add(sub+"internal/deep/", 4)
			}
		}
	}
	return files
}

// node is a directory as a program knows it that has the same tree elsewhere.
type node struct {
	files, dirs []string
	below       map[string]*node
}

func (n *node) insert(path []string) {
	for ; len(path) > 1; path = path[1:] {
		if n.below[path[0]] == nil {
			if n.below == nil {
				n.below = make(map[string]*node)
			}
			n.below[path[0]] = &node{}
			n.dirs = append(n.dirs, path[0])
		}
		n = n.below[path[0]]
	}
	n.files = append(n.files, path[0])
}

// look looks names up in the order of rsync: the files of a directory, the directories in it, then what is in each.
func (n *node) look(t testing.TB, s *service, dir ossclient.Key) {
	t.Helper()
	find := func(name string, mode uint32) {
		e, err := s.tree.Lookup(t.Context(), dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.walked++; e.Attr.Mode != mode {
			t.Fatalf("%s: mode %o, want %o", e.Key, e.Attr.Mode, mode)
		}
	}
	for _, name := range n.files {
		find(name, attr.TypeFile|0o604)
	}
	for _, name := range n.dirs {
		find(name, attr.TypeDir|0o711)
	}
	for _, name := range n.dirs {
		n.below[name].look(t, s, names.Join(dir, name, true))
	}
}

// A second rsync of a tree that has not changed, on a new mount that knows the attributes: a request for each thousand
// keys, and three for the names before it is clear that all of them are wanted.
func TestLookupTreeRequests(t *testing.T) {
	s := newService(t, 0)
	top, keys := &node{}, 0
	made := map[string]bool{}
	for _, f := range sourceTree() {
		s.put(t, f, attr.TypeFile|0o604)
		keys++
		path := strings.Split(f, "/")
		top.insert(path)
		dir := ""
		for _, c := range path[:len(path)-1] {
			if dir += c + "/"; !made[dir] {
				made[dir] = true
				s.put(t, dir, attr.TypeDir|0o711)
				keys++
			}
		}
	}
	s.learn(t, attr.TypeFile|0o604, attr.TypeDir|0o711)
	s.mount()
	top.look(t, s, "")
	n, heads := s.requests(), s.bucket.heads.Load()
	t.Logf("%d entries in %d directories, %d requests, %d of them HEAD", s.walked, len(made), n, heads)
	if s.walked != keys {
		t.Errorf("%d entries, want %d", s.walked, keys)
	}
	if limit := int64((keys+999)/1000 + 3); n > limit || heads > 0 {
		t.Errorf("%d requests, %d of them HEAD, want at most %d and none", n, heads, limit)
	}
}

// A program that looks up all files of a tree whose attributes nobody knows, in order: each is asked for once, and many at
// a time.
func TestLookupsAskAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 15 * time.Millisecond
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.latency = latency
		top, files := &node{}, 0
		for d := range 10 {
			for f := range 100 {
				k := fmt.Sprintf("d%d/f%03d", d, f)
				w.bucket.put(key(k), "x", attr.TypeFile|0o604)
				top.insert(strings.Split(k, "/"))
				files++
			}
		}
		start := time.Now()
		for _, d := range top.dirs {
			for _, f := range top.below[d].files {
				if e, err := w.tree.Lookup(t.Context(), key(d+"/"), f); err != nil || e.Attr.Mode != attr.TypeFile|0o604 {
					t.Fatalf("%s/%s: mode %o, %v", d, f, e.Attr.Mode, err)
				}
			}
		}
		if took := time.Since(start); took > time.Duration(files)*latency/8 {
			t.Errorf("%d lookups took %v, want what it takes when 8 are asked at once", files, took)
		}
		synctest.Wait()
		if n := w.bucket.count("Head"); n != files {
			t.Errorf("%d HEAD requests, want %d", n, files)
		}
	})
}

// Lookups that go nowhere in particular have nothing asked ahead, and an end of those in order costs no more than they did.
func TestLookupsHereAndThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		for f := range 900 {
			w.bucket.put(key(fmt.Sprintf("d/f%03d", f)), "x", attr.TypeFile|0o604)
		}
		look := func(most int, list ...int) {
			t.Helper()
			for _, f := range list {
				if _, err := w.tree.Lookup(t.Context(), "d/", fmt.Sprintf("f%03d", f)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := w.bucket.count("Head"); n > most {
				t.Errorf("lookups of %v: %d HEAD requests, want at most %d", list, n, most)
			}
		}
		if _, err := w.tree.list(t.Context(), "d/", lookupPages); err != nil { // a reader would have asked for them all
			t.Fatal(err)
		}
		here := []int{5, 300, 120, 700, 430, 90, 600, 250}
		look(len(here), here...)
		look(4+8, 800, 801, 802)
	})
}

// Lookups in a directory that is too large to be listed for two of them, such as those of files that are about to be made in
// it: it is listed when there are many, without one of them waiting for that, and again when the listing is too old.
func TestLookupsInLargeDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, files, lookups = 15 * time.Millisecond, 12_000, 500
		w := newWorld(t, nil)
		defer w.close(t)
		for f := range files {
			w.bucket.put(key(fmt.Sprintf("d/f%05d", f)), "x", attr.TypeFile|0o604)
		}
		w.bucket.latency = latency
		for _, limit := range []struct {
			wait     time.Duration // of one lookup
			requests int           // 10 pages in vain, 12 more, and two for each lookup before all are there
		}{{11 * latency, 10 + 12 + 2*(16+12)}, {latency, 12 + 2*(16+12)}} {
			for f := range lookups {
				start := time.Now()
				if _, err := w.tree.Lookup(t.Context(), "d/", fmt.Sprintf("new%d", f)); !gone(err) {
					t.Fatalf("lookup of a file that is not there: %v", err)
				}
				if took := time.Since(start); took > limit.wait {
					t.Fatalf("lookup %d waited %v, want at most %v", f, took, limit.wait)
				}
			}
			if e, err := w.tree.Lookup(t.Context(), "d/", "f11999"); err != nil || e.Size != 1 {
				t.Errorf("lookup of a file that is there: %+v, %v", e, err)
			}
			if n := w.bucket.count("List") + w.bucket.count("Head"); n > limit.requests+1 {
				t.Errorf("%d requests for %d lookups, want at most %d", n, lookups, limit.requests+1)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// Who looks something up is let go when its context ends, also where the answer is to come from a page that is fetched for
// others too.
// SEMANTICS 2.6
func TestLookupsEndWithTheirContext(t *testing.T) {
	for name, looks := range map[string][][2]string{
		"a directory's own object": {{"", "d1"}, {"", "d2"}},
		"a directory's listing":    {{"d2/", "f"}, {"d3/", "f"}, {"d4/", "f"}},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { lookupsEnd(t, looks) }) })
	}
}

func lookupsEnd(t *testing.T, looks [][2]string) {
	w := newWorld(t, nil)
	defer w.close(t)
	for d := range 9 {
		w.bucket.put(key(fmt.Sprintf("d%d/", d)), "", attr.TypeDir|0o711)
		w.bucket.put(key(fmt.Sprintf("d%d/f", d)), "x", attr.TypeFile|0o604)
	}
	if _, err := w.tree.list(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	w.bucket.mu.Lock()
	w.bucket.latency = 50 * time.Second
	w.bucket.mu.Unlock()
	for _, look := range looks {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		start := time.Now()
		_, err := w.tree.Lookup(ctx, key(look[0]), look[1])
		if took := time.Since(start); took > time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q in %q: %v after %v, want its deadline after 1s", look[1], look[0], err, took)
		}
		cancel()
	}
}

// What is confirmed of a file answers for it, whatever waits to be sent whose names begin with its.
func TestStatOfAConfirmedFileAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.create("d/f", "1", attr.TypeFile|0o644)
		e, err := w.tree.Lookup(t.Context(), "d/", "f")
		if err != nil {
			t.Fatal(err)
		}
		w.send("d/f")
		w.create("d/f.o", "22", attr.TypeFile|0o644)
		w.bucket.count("List")
		w.bucket.count("Head")
		if e, err = w.tree.Stat(t.Context(), e); err != nil || e.Size != 1 || e.Staged {
			t.Errorf("%d bytes, staged: %v, %v", e.Size, e.Staged, err)
		}
		if n := w.bucket.count("List") + w.bucket.count("Head"); n != 0 {
			t.Errorf("%d requests, want none", n)
		}
	})
}
