package namespace

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/internal/attr"
)

// Attributes that we gave to directories are shown by a listing of the one above, though what their own listings, older than that,
// tell of their objects is believed still.
func TestListingShowsAttributesOfListedDirectories(t *testing.T) {
	for _, dirs := range []int{1, enoughDirs, 3 * enoughDirs} {
		for _, before := range []string{"listed", "looked up", "walked"} {
			t.Run(fmt.Sprintf("%d, %s", dirs, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { listedDirectories(t, dirs, before) })
			})
		}
	}
}

func listedDirectories(t *testing.T, dirs int, before string) {
	const mode = attr.TypeDir | 0o700
	w := newWorld(t, nil)
	defer w.close(t)
	for d := range dirs {
		w.bucket.put(key(fmt.Sprintf("top/d%02d/f", d)), "x", attr.TypeFile|0o644)
	}
	for d := range dirs {
		dir := fmt.Sprintf("d%02d", d)
		var err error
		switch before {
		case "listed":
			_, err = w.entries(t.Context(), key("top/"+dir+"/"))
		case "looked up":
			_, err = w.tree.Lookup(t.Context(), "top/", dir)
		case "walked":
			_, err = w.tree.Lookup(t.Context(), key("top/"+dir+"/"), "f")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for d := range dirs {
		dir := key(fmt.Sprintf("top/d%02d/", d))
		w.create(dir, "", mode)
		w.send(dir)
	}
	w.tree.Forget("top/x")
	list, err := w.entries(t.Context(), "top/")
	if err != nil || len(list) != dirs {
		t.Fatalf("%d directories, %v, want %d", len(list), err, dirs)
	}
	for _, e := range list {
		if e.Attr.Mode != mode || !e.Marker {
			t.Errorf("%s: mode %o, has an object: %v, want mode %o", e.Name, e.Attr.Mode, e.Marker, mode)
		}
	}
}
