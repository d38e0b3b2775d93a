package namespace

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Lookups of a name that the index knows, one for each mount, whatever stands around it in the bucket.
func TestLookupOfAKnownName(t *testing.T) {
	between := []string{"d/a-1", "d/a-2", "d/a-3", "d/a-4", "d/a-5", "d/a-6", "d/a-7", "d/a-8", "d/a-9"}
	tests := []struct {
		name    string
		keys    []string
		removed string // after the index has learned of it
		want    ossclient.Key
		dir     bool
		max     int64
	}{
		{"file", []string{"d/a"}, "", "d/a", false, 1},
		{"directory", []string{"d/a/", "d/a/x"}, "", "d/a/", true, 1},
		{"both", []string{"d/a", "d/a/"}, "", "d/a/", true, 1},
		{"no object of its own", []string{"d/a", "d/a/x"}, "", "d/a/", true, 1},
		{"others behind", []string{"d/a", "d/a0", "d/ab"}, "", "d/a", false, 1},
		{"much between, file", append([]string{"d/a"}, between...), "", "d/a", false, 2},
		{"much between, directory", append([]string{"d/a/"}, between...), "", "d/a/", true, 2},
		{"much between, both", append([]string{"d/a", "d/a/x"}, between...), "", "d/a/", true, 2},
		{"file gone", []string{"d/a", "d/ab"}, "d/a", "", false, 1},
		{"file gone, directory there", []string{"d/a", "d/a/x"}, "d/a", "d/a/", true, 1},
		{"directory gone", []string{"d/a/", "d/a"}, "d/a/", "d/a", false, 1},
		{"gone, much between", append([]string{"d/a"}, between...), "d/a", "", false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			defer w.close(t)
			for _, key := range tt.keys {
				mode := uint32(attr.TypeFile | 0o604)
				if isDirKey(ossclient.Key(key)) {
					mode = attr.TypeDir | 0o711
				}
				o := w.bucket.put(ossclient.Key(key), "", mode)
				w.tree.remember(&meta{object: o, attr: attr.FromMetadata(o.Metadata)}, cache.IdentityOf(&o), w.tree.recents.tick())
			}
			w.bucket.remove(ossclient.Key(tt.removed))
			e, err := w.tree.Lookup(t.Context(), "d/", "a")
			if tt.want == "" {
				if !errors.Is(err, ossclient.ErrNotExist) {
					t.Errorf("%v, %v, want none", e.Key, err)
				}
			} else if err != nil || e.Key != tt.want || e.Dir != tt.dir {
				t.Errorf("%q, directory %t, %v, want %q", e.Key, e.Dir, err, tt.want)
			}
			if n := w.bucket.count("List") + w.bucket.count("Head"); int64(n) > tt.max {
				t.Errorf("%d requests, want at most %d", n, tt.max)
			}
		})
	}
}

// A directory's own object that came with a flat page is as new as the page: what we change later is shown.
func TestMarkerFromAPageIsOverlaid(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	for d := range 6 {
		key := ossclient.Key(fmt.Sprintf("top/d%d/", d))
		w.bucket.put(key, "", attr.TypeDir|0o711)
		w.bucket.put(key+"f", "", attr.TypeFile|0o604)
	}
	look := func(name string, want uint32) {
		t.Helper()
		e, err := w.tree.Lookup(t.Context(), "top/", name)
		if err != nil || e.Attr.Mode != want {
			t.Errorf("%s: mode %o, %v, want %o", name, e.Attr.Mode, err, want)
		}
	}
	for d := range 6 {
		look(fmt.Sprintf("d%d", d), attr.TypeDir|0o711)
	}
	for _, d := range []string{"d2", "d5"} {
		key := ossclient.Key("top/" + d + "/")
		w.create(key, "", attr.TypeDir|0o700)
		look(d, attr.TypeDir|0o700)
		w.send(key)
		look(d, attr.TypeDir|0o700)
	}
}

// A link in the index that leads nowhere, as a change of its attributes left it there once, is asked for.
func TestLinkThatTheIndexHasWithoutATarget(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	file := uint32(attr.TypeFile | 0o604)
	for _, key := range []ossclient.Key{"d/a", "d/b"} {
		o := w.bucket.put(key, "to", file)
		var link attr.Attr
		link.SetMode(attr.TypeLink | 0o777)
		w.tree.remember(&meta{object: o, attr: link}, cache.IdentityOf(&o), w.tree.recents.tick())
	}
	if e, err := w.tree.Lookup(t.Context(), "d/", "a"); err != nil || e.Attr.Mode != file {
		t.Errorf("lookup: mode %o, %v, want what the bucket says, %o", e.Attr.Mode, err, file)
	}
	list, err := w.entries(t.Context(), "d/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Attr.Mode != file {
			t.Errorf("listing: %s has mode %o, want what the bucket says, %o", e.Name, e.Attr.Mode, file)
		}
	}
}
