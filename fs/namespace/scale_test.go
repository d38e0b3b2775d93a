package namespace

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// hugeBucket is a bucket of very many keys that never change. Its keys are one text, so that they hardly count as memory
// of the tree's.
type hugeBucket struct {
	*fakeBucket
	keys  []ossclient.Key // sorted
	lists atomic.Int64
	wait  time.Duration
	now   atomic.Int64 // requests being answered
	most  atomic.Int64 // of them at once
}

func newHugeBucket(dirs, files int) *hugeBucket {
	b := &hugeBucket{fakeBucket: newFakeBucket()}
	for d := range dirs {
		for f := range files {
			b.keys = append(b.keys, ossclient.Key(fmt.Sprintf("d%05d/f%07d", d, f)))
		}
	}
	return b
}

func (b *hugeBucket) seek(k ossclient.Key) int {
	return sort.Search(len(b.keys), func(i int) bool { return b.keys[i] >= k })
}

func (b *hugeBucket) List(ctx context.Context, r ossclient.ListRequest) (ossclient.Page, error) {
	b.lists.Add(1)
	now := b.now.Add(1)
	defer b.now.Add(-1)
	for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
	}
	time.Sleep(b.wait)
	limit := r.MaxKeys
	if limit == 0 {
		limit = 1000
	}
	from := max(r.Prefix, r.StartAfter+"\x00", ossclient.Key(r.Token))
	if r.StartAfter == "" {
		from = max(r.Prefix, ossclient.Key(r.Token))
	}
	var p ossclient.Page
	for i := b.seek(from); i < len(b.keys); {
		k := b.keys[i]
		if !strings.HasPrefix(string(k), string(r.Prefix)) {
			break
		}
		if len(p.Objects)+len(p.Prefixes) == limit {
			p.Next = string(k)
			break
		}
		if j := strings.Index(string(k[len(r.Prefix):]), "/"); r.Delimiter != "" && j >= 0 {
			k = k[:len(r.Prefix)+j+1]
			p.Prefixes = append(p.Prefixes, k)
			i = b.seek(k[:len(k)-1] + "0")
			continue
		}
		p.Objects = append(p.Objects, b.object(i))
		i++
	}
	return p, nil
}

func (b *hugeBucket) object(i int) ossclient.Object {
	return ossclient.Object{
		Version: ossclient.Version{Key: b.keys[i], ETag: "0123456789ABCDEF0123456789ABCDEF", Size: int64(i)}, LastModified: time.Unix(1_700_000_000, 0),
		Type: ossclient.Normal, StorageClass: "Standard",
	}
}

func (b *hugeBucket) Head(ctx context.Context, key ossclient.Key) (ossclient.Object, error) {
	if i := b.seek(key); i < len(b.keys) && b.keys[i] == key {
		return b.object(i), nil
	}
	return b.fakeBucket.Head(ctx, key)
}

func newHugeTree(tb testing.TB, b *hugeBucket) *Tree {
	tb.Helper()
	t, end := hugeTree(tb, b)
	tb.Cleanup(end)
	return t
}

// hugeTree is newHugeTree whose end is the caller's: within a bubble of synctest it has to come before the test's.
func hugeTree(tb testing.TB, b *hugeBucket) (*Tree, func()) {
	tb.Helper()
	index, err := cache.OpenIndex("", 1<<20, nil)
	if err != nil {
		tb.Fatal(err)
	}
	t := New(Options{Bucket: b, Overlay: newFakeOverlay(), Index: index, TTL: time.Minute, NoHead: true, Defaults: attr.Defaults{FileMode: 0o644, DirMode: 0o755}})
	return t, func() {
		t.Close()
		if err := index.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// heap is the memory in use after a collection, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// drain reads a directory to its end and returns the keys of the directories in it, how many entries there were, and the most memory
// that was in use, looking after each so many entries.
func drain(tb testing.TB, t *Tree, dir ossclient.Key, every int) (dirs []ossclient.Key, n int, most int64) {
	tb.Helper()
	c := t.List(tb.Context(), dir, "")
	defer c.Close()
	last := ""
	for {
		e, err := c.Next(tb.Context())
		if err == io.EOF {
			return dirs, n, most
		}
		if err != nil {
			tb.Fatal(err)
		}
		if e.Mark() <= last {
			tb.Fatalf("%q after %q", e.Mark(), last)
		}
		last = e.Mark()
		if n++; every > 0 && n%every == 0 {
			most = max(most, heap())
		}
		if e.Dir {
			dirs = append(dirs, e.Key)
		}
	}
}

// One directory of very many entries: its pages go by, and memory does not grow with it.
func TestMemoryOfALargeDirectory(t *testing.T) {
	const files = 1_000_000
	b := newHugeBucket(1, files)
	tree := newHugeTree(t, b)
	before := heap()
	_, n, most := drain(t, tree, "d00000/", 50_000)
	t.Logf("%d entries, %d requests, %d MiB", n, b.lists.Load(), (most-before)>>20)
	if n != files || b.lists.Load() > files/1000+1 {
		t.Errorf("%d entries with %d requests, want %d with %d", n, b.lists.Load(), files, files/1000)
	}
	if most-before > 64<<20 {
		t.Errorf("%d MiB, want at most 64", (most-before)>>20)
	}
}

// A program that looks at what it lists, a little behind its reading, costs no requests of its own: not while the directory is
// being listed, nor when it is too large to be remembered.
func TestLookupsBehindAListing(t *testing.T) {
	const files, behind = 30_000, 300
	for name, memory := range map[string]int64{"remembered": DefaultMemory, "too large": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			b := newHugeBucket(1, files)
			tree := newHugeTree(t, b)
			tree.listings = cache.NewListings(memory)
			c := tree.List(t.Context(), "d00000/", "")
			defer c.Close()
			var seen []string
			for {
				e, err := c.Next(t.Context())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if seen = append(seen, e.Name); len(seen) <= behind {
					continue
				}
				if _, err := tree.Lookup(t.Context(), "d00000/", seen[len(seen)-behind]); err != nil {
					t.Fatal(err)
				}
			}
			lists := b.lists.Load()
			for _, name := range []string{seen[0], seen[files/2]} { // long passed
				if _, err := tree.Lookup(t.Context(), "d00000/", name); err != nil {
					t.Error(err)
				}
			}
			if n := lists; len(seen) != files || n > files/1000+1 {
				t.Errorf("%d entries with %d requests, want %d with %d", len(seen), n, files, files/1000)
			}
		})
	}
}

// A walk over very many directories.
func TestWalkOfManyDirectories(t *testing.T) {
	const dirs, files = 600, 100
	b := newHugeBucket(dirs, files)
	tree := newHugeTree(t, b)
	before := heap()
	below, n, _ := drain(t, tree, "", 0)
	for _, d := range below {
		_, m, _ := drain(t, tree, d, 0)
		n += m
	}
	used := heap() - before
	t.Logf("%d entries, %d requests, %d MiB", n, b.lists.Load(), used>>20)
	if want := dirs*files + dirs; n != want {
		t.Errorf("%d entries, want %d", n, want)
	}
	if limit := int64(dirs * files / 1000 * 11 / 10); b.lists.Load() > limit {
		t.Errorf("%d requests, want at most %d", b.lists.Load(), limit)
	}
}

// A walk has several ranges of keys in flight, here in a network of 15 ms: a page after the other would take 3 s. Nothing is
// missed or seen twice where the ranges meet, also when directories are large or small all at once, or one is skipped.
func TestWalkInRanges(t *testing.T) {
	tests := []struct {
		name        string
		dirs, files int
		large       int           // so many directories have 30 times as many files
		skip        int           // each so many directories one is not read; 0: all are
		limit       time.Duration // for the walk
		requests    int64
	}{
		{"even", 2000, 100, 0, 0, 900 * time.Millisecond, 235},
		{"uneven", 600, 100, 10, 0, 1500 * time.Millisecond, 150},
		{"skipping", 1000, 100, 0, 7, time.Second, 160},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { walkInRanges(t, tt.dirs, tt.files, tt.large, tt.skip, tt.limit, tt.requests) })
		})
	}
}

func walkInRanges(t *testing.T, dirs, files, large, skip int, limit time.Duration, requests int64) {
	b := newHugeBucket(0, 0)
	b.wait = 15 * time.Millisecond
	want := 0
	for d := range dirs {
		n := files
		if large > 0 && d%(dirs/large) == dirs/large/2 {
			n *= 30
		}
		for f := range n {
			b.keys = append(b.keys, ossclient.Key(fmt.Sprintf("d%05d/f%07d", d, f)))
		}
		if skip == 0 || d%skip != 0 {
			want += n
		}
	}
	tree, end := hugeTree(t, b)
	defer end()
	start := time.Now()
	below, _, _ := drain(t, tree, "", 0)
	seen := 0
	for i, d := range below {
		if skip == 0 || i%skip != 0 {
			_, n, _ := drain(t, tree, d, 0)
			seen += n
		}
	}
	took := time.Since(start)
	t.Logf("%d entries, %d requests, %d at once, %v", seen, b.lists.Load(), b.most.Load(), took)
	if len(below) != dirs || seen != want {
		t.Errorf("%d directories and %d entries, want %d and %d", len(below), seen, dirs, want)
	}
	if took > limit || b.lists.Load() > requests {
		t.Errorf("%v and %d requests, want at most %v and %d", took, b.lists.Load(), limit, requests)
	}
}

// BenchmarkFind is a find over 1,000,000 keys in 10,000 directories, with 15 ms for each request.
func BenchmarkFind(b *testing.B) {
	bucket := newHugeBucket(10_000, 100)
	bucket.wait = 15 * time.Millisecond
	for b.Loop() {
		bucket.lists.Store(0)
		tree := newHugeTree(b, bucket)
		before := heap()
		below, _, _ := drain(b, tree, "", 0)
		for _, d := range below {
			drain(b, tree, d, 0)
		}
		b.ReportMetric(float64(bucket.lists.Load()), "requests")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
	}
}

// BenchmarkListMillion is a directory of 1,000,000 entries with 15 ms for each request.
func BenchmarkListMillion(b *testing.B) {
	bucket := newHugeBucket(1, 1_000_000)
	bucket.wait = 15 * time.Millisecond
	for b.Loop() {
		tree := newHugeTree(b, bucket)
		before := heap()
		_, _, most := drain(b, tree, "d00000/", 50_000)
		b.ReportMetric(float64(most-before)/(1<<20), "MiB")
	}
}
