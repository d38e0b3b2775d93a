package namespace

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// service is a tree of a bucket on a real server.
type service struct {
	*ossservertest.Server
	bucket *counting
	index  *cache.Index
	tree   *Tree
	walked int // entries seen
}

func newService(t testing.TB, latency time.Duration) *service {
	t.Helper()
	s := &service{Server: ossservertest.NewTest(t, ossserver.Options{Latency: latency})}
	s.bucket = &counting{Bucket: s.Client(t)}
	index, err := cache.OpenIndex("", 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.index = index
	s.mount()
	t.Cleanup(func() {
		s.tree.Close()
		if err := s.index.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mount makes a new tree, which remembers nothing but the index.
func (s *service) mount() {
	if s.tree != nil {
		s.tree.Close()
	}
	s.tree = New(Options{
		Bucket: s.bucket, Overlay: newFakeOverlay(), Index: s.index, TTL: time.Minute, Defaults: attr.Defaults{FileMode: 0o644, DirMode: 0o755},
	})
	s.bucket.lists.Store(0)
	s.bucket.heads.Store(0)
}

func (s *service) put(t testing.TB, key string, mode uint32) {
	t.Helper()
	h := http.Header{}
	if mode != 0 {
		h.Set("X-Oss-Meta-Mode", strconv.Itoa(int(mode)))
	}
	if err := s.Put(ossservertest.Bucket, key, nil, h); err != nil {
		t.Fatal(err)
	}
}

// fill makes files in directories, with an object for every second directory.
func (s *service) fill(t testing.TB, dirs, files int, name func(int) string) {
	t.Helper()
	for d := range dirs {
		if d%2 == 0 {
			s.put(t, name(d), attr.TypeDir|0o711)
		}
		for f := range files {
			s.put(t, fmt.Sprintf("%sf%03d", name(d), f), attr.TypeFile|0o604)
		}
	}
}

func (s *service) requests() int64 { return s.bucket.lists.Load() + s.bucket.heads.Load() }

// counting counts the questions put to the client; the server would count its second tries, too.
type counting struct {
	*ossclient.Bucket
	lists, heads atomic.Int64
}

func (c *counting) List(ctx context.Context, r ossclient.ListRequest) (ossclient.Page, error) {
	c.lists.Add(1)
	return c.Bucket.List(ctx, r)
}

func (c *counting) Head(ctx context.Context, key ossclient.Key) (ossclient.Object, error) {
	c.heads.Add(1)
	return c.Bucket.Head(ctx, key)
}

// walk reads a tree as ls -lR does: a directory whole, then the directories in it.
func (s *service) walk(t testing.TB, dir ossclient.Key) {
	t.Helper()
	c := s.tree.List(t.Context(), dir, "")
	var below []ossclient.Key
	for {
		e, err := c.Next(t.Context())
		if err != nil {
			break
		}
		s.walked++
		want := uint32(attr.TypeFile | 0o604)
		if e.Dir {
			want = attr.TypeDir | 0o755
			if e.Marker {
				want = attr.TypeDir | 0o711
			}
			below = append(below, e.Key)
		}
		if e.Attr.Mode != want {
			t.Fatalf("%s: mode %o, want %o", e.Key, e.Attr.Mode, want)
		}
	}
	c.Close()
	for _, d := range below {
		s.walk(t, d)
	}
}

// learn puts the attributes of all that the bucket has into the index, as a mount of old would have.
func (s *service) learn(t testing.TB, mode uint32, dirMode uint32) {
	t.Helper()
	for token := ""; ; {
		page, err := s.bucket.List(t.Context(), ossclient.ListRequest{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Objects {
			o := &page.Objects[i]
			var r cache.Record
			if r.Attr.SetMode(mode); isDirKey(o.Key) {
				r.Attr.SetMode(dirMode)
			}
			s.index.Put(o.Key, cache.IdentityOf(o), r)
		}
		if token = page.Next; token == "" {
			return
		}
	}
}

// The table of speed: a walk over 20,000 files in 400 directories.
func TestWalkRequests(t *testing.T) {
	tests := []struct {
		name        string
		dirs, files int
		dir         func(int) string
		above       int // directories above those
		learn       bool
		max         int64
	}{
		{"flat", 400, 50, func(d int) string { return fmt.Sprintf("d%03d/", d) }, 0, true, 30},
		{"nested", 400, 50, func(d int) string { return fmt.Sprintf("a%02d/b%02d/", d/20, d%20) }, 20, true, 30},
		{"large", 10, 1900, func(d int) string { return fmt.Sprintf("a%02d/", d) }, 0, true, 32},
		{"deep", 100, 20, func(d int) string { return fmt.Sprintf("a/b/c%02d/d/", d) }, 102, true, 12},
		{"unknown", 50, 20, func(d int) string { return fmt.Sprintf("d%03d/", d) }, 0, false, 1_025 + 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, 0)
			s.fill(t, tt.dirs, tt.files, tt.dir)
			if tt.learn {
				s.learn(t, attr.TypeFile|0o604, attr.TypeDir|0o711)
			}
			s.mount()
			start := time.Now()
			s.walk(t, "")
			n := s.requests()
			t.Logf("%d entries, %d requests, %v", s.walked, n, time.Since(start))
			if n > tt.max {
				t.Errorf("%d requests, want at most %d", n, tt.max)
			}
			if want := tt.dirs*tt.files + tt.dirs + tt.above; s.walked != want {
				t.Errorf("%d entries, want %d", s.walked, want)
			}
		})
	}
}

// rm -rf of 5,000 files in 50 directories leaves room for the deletions in its 70 requests: rmdir looks at the
// bucket each time.
func TestRemoveRequests(t *testing.T) {
	s := newService(t, 0)
	s.fill(t, 50, 100, func(d int) string { return fmt.Sprintf("top/d%02d/", d) })
	s.learn(t, attr.TypeFile|0o604, attr.TypeDir|0o711)
	s.mount()
	now := time.Now()
	s.tree.now = func() time.Time { return now } // an answer counts for a second: a slow machine would have some asked for again
	overlay := s.tree.o.Overlay.(*fakeOverlay)
	var remove func(dir ossclient.Key)
	remove = func(dir ossclient.Key) {
		overlay.set(State{Key: dir, Kind: Content}) // as fs does before the last entry goes
		c := s.tree.List(t.Context(), dir, "")
		defer c.Close()
		for {
			e, err := c.Next(t.Context())
			if err != nil {
				break
			}
			if e.Dir {
				remove(e.Key)
				continue
			}
			overlay.set(State{Key: e.Key, Kind: Absent, Base: e.Version})
			s.tree.Removed(dir)
		}
		if empty, err := s.tree.Empty(t.Context(), dir); !empty || err != nil {
			t.Fatalf("%s is not empty: %v", dir, err)
		}
		overlay.set(State{Key: dir, Kind: Absent})
		if _, err := s.tree.Lookup(t.Context(), "top/", string(dir[len("top/"):max(len("top/"), len(dir)-1)])); dir != "top/" && err == nil {
			t.Fatalf("%s is still there", dir)
		}
	}
	remove("top/")
	n := s.requests()
	t.Logf("%d requests, %d of them HEAD", n, s.bucket.heads.Load())
	if n > 63 {
		t.Errorf("%d requests, want at most 63, so that 7 are left to delete", n)
	}
}

// A large directory: its first entries at once, and a request for each thousand.
func TestLargeDirectoryRequests(t *testing.T) {
	s := newService(t, 0)
	const files = 20_000
	for i := range files {
		s.put(t, fmt.Sprintf("big/f%06d", i), attr.TypeFile|0o604)
	}
	s.learn(t, attr.TypeFile|0o604, 0)
	s.mount()
	s.walk(t, "big/")
	if n := s.requests(); n > files/1000+1 || s.walked != files {
		t.Errorf("%d entries with %d requests, want %d with at most %d", s.walked, n, files, files/1000+1)
	}
	s.mount()
	c := s.tree.List(t.Context(), "big/", "")
	if _, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := s.requests(); n > 4 {
		t.Errorf("%d requests for the first entry, want at most 4", n)
	}
	for _, name := range []string{"f000500", "f000999", "f019999"} { // no listing, then one
		if _, err := s.tree.Lookup(t.Context(), "big/", name); err != nil {
			t.Error(err)
		}
	}
}

// A program that looks up names which it has from elsewhere, as rsync does with a tree that it copied before.
func TestLookupWalkRequests(t *testing.T) {
	s := newService(t, 0)
	const dirs, files = 100, 100
	name := func(d int) string { return fmt.Sprintf("dst/d%03d", d) }
	s.fill(t, dirs, files, func(d int) string { return name(d) + "/" })
	s.learn(t, attr.TypeFile|0o604, attr.TypeDir|0o711)
	s.mount()
	look := func(path string) {
		dir, component := names.Split(ossclient.Key(path))
		if _, err := s.tree.Lookup(t.Context(), dir, component); err != nil {
			t.Fatal(err)
		}
	}
	look("dst")
	for d := range dirs {
		look(name(d))
		for f := range files {
			look(fmt.Sprintf("%s/f%03d", name(d), f))
		}
	}
	n := s.requests()
	t.Logf("%d requests, %d of them HEAD", n, s.bucket.heads.Load())
	if n > 30 {
		t.Errorf("%d requests, want at most 30", n)
	}
}
