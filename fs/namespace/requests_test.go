package namespace

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// service is a tree of a bucket on a real server.
type service struct {
	*ossservertest.Server
	bucket *ossclient.Bucket
	index  *cache.Index
	tree   *Tree
	walked int // entries seen
}

func newService(t testing.TB, latency time.Duration) *service {
	t.Helper()
	s := &service{Server: ossservertest.NewTest(t, ossserver.Options{Latency: latency})}
	s.bucket = s.Client(t)
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
	s.ResetCounts()
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

func (s *service) requests() (n int64) {
	for _, c := range s.Counts() {
		n += c
	}
	return n
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

// The table of speed: a walk of 20,000 files in 400 directories.
func TestWalkRequests(t *testing.T) {
	shapes := map[string]func(int) string{
		"flat":   func(d int) string { return fmt.Sprintf("d%03d/", d) },
		"nested": func(d int) string { return fmt.Sprintf("a%02d/b%02d/", d/20, d%20) },
	}
	for shape, name := range shapes {
		t.Run(shape, func(t *testing.T) {
			s := newService(t, 0)
			const dirs, files = 400, 50
			s.fill(t, dirs, files, name)
			for _, tt := range []struct {
				name string
				max  int64
			}{{"attributes unknown", 20_230}, {"attributes in the index", 30}} {
				s.mount()
				s.walked = 0
				start := time.Now()
				s.walk(t, "")
				n := s.requests()
				t.Logf("%s: %d entries, %d requests %v, %v", tt.name, s.walked, n, s.Counts(), time.Since(start))
				if n > tt.max {
					t.Errorf("%s: %d requests, want at most %d", tt.name, n, tt.max)
				}
				want := dirs*files + dirs
				if shape == "nested" {
					want += 20
				}
				if s.walked != want {
					t.Errorf("%s: %d entries, want %d", tt.name, s.walked, want)
				}
			}
		})
	}
}
