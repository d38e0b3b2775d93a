package namespace

import (
	"testing"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

const ordinary = attr.TypeFile | 0o644

// A directory is there as long as anything is in it, though all that was in its first subdirectory has been removed. What the listings
// in memory tell is not asked for.
func TestDirectoryOfWhichAPartWasRemoved(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	w.bucket.put("d/a/f", "x", ordinary)
	w.bucket.put("d/b/f", "x", ordinary)
	for _, dir := range []ossclient.Key{"", "d/", "d/a/", "d/b/"} {
		if _, err := w.entries(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	w.bucket.count("List")
	there := func(want bool) {
		t.Helper()
		if e, err := w.tree.Lookup(t.Context(), "", "d"); (err == nil) != want {
			t.Errorf("%+v, %v, want it there: %v", e, err, want)
		}
	}
	w.removeOwn("d/a/f")
	there(true)
	w.removeOwn("d/b/f")
	there(false)
	if n := w.bucket.count("List"); n != 0 {
		t.Errorf("%d LIST, want none", n)
	}
}

// While the bucket is asked what is left of a directory, something is made in it, and has arrived when the answer comes.
func TestMadeInADirectoryWhileItIsAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	w.bucket.put("d/f", "x", ordinary)
	w.bucket.put("e", "x", ordinary)
	if _, err := w.entries(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.removeOwn("d/f")
	w.tree.Refresh("d/")
	asked := false
	w.bucket.between = func() {
		w.bucket.between, asked = nil, true
		w.create("d/g", "x", ordinary)
		w.send("d/g")
	}
	if e, err := w.tree.Lookup(t.Context(), "", "d"); err != nil || !e.Dir || !asked {
		t.Errorf("got %+v, %v; asked %v", e, err, asked)
	}
}

// A new directory is empty though its own object arrives while the bucket is asked.
func TestEmptyWhileItsOwnObjectArrives(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	w.create("d/", "", attr.TypeDir|0o755)
	w.bucket.between = func() {
		w.bucket.between = nil
		w.send("d/")
	}
	if empty, err := w.tree.Empty(t.Context(), "d/"); !empty || err != nil {
		t.Errorf("got %v, %v", empty, err)
	}
}

// A part of a listing tells of a name when the places of both are in it, that of a file and that of a directory.
func TestSpanCovers(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	part := w.tree.collect("d/", "b")
	part.add(&page{upto: "m-"}, nil, "m-")
	for name, want := range map[string]bool{"a": false, "b": false, "b-": true, "c": true, "l": true, "m": false, "m-": false, "n": false} {
		if got := w.tree.spans.find("d/", name) != nil; got != want {
			t.Errorf("%q up to a file: %v, want %v", name, got, want)
		}
	}
	part.add(&page{upto: "m/"}, nil, "m/")
	for name, want := range map[string]bool{"b": false, "l": true, "m": true, "m-": true, "m0": false, "n": false} {
		if got := w.tree.spans.find("d/", name) != nil; got != want {
			t.Errorf("%q up to a directory: %v, want %v", name, got, want)
		}
	}
	part.add(&page{}, nil, "")
	if w.tree.spans.find("d/", "n") == nil || w.tree.spans.find("d/", "b") != nil {
		t.Error("the last part does not tell of what it has, or of what comes before")
	}
	w.tree.Forget("d/x")
	if w.tree.spans.find("d/", "l") != nil {
		t.Error("what was forgotten is told of still")
	}
}
