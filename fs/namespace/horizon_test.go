package namespace

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// An answer to a request that was on its way while more was confirmed than is remembered is not used: it may lack what we have
// made, and show what we have removed.
func TestLookupBeyondTheHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.tree.recents.limit = 1
		done := true
		during := func(op string, do func()) { // the bucket's answer is of before
			if !done {
				t.Errorf("no %s was on its way, and this test tests nothing", op)
			}
			done = false
			w.bucket.count(op)
			w.tree.Refresh("") // nor is anything remembered
			w.bucket.between = func() {
				if w.bucket.mu.Lock(); done || w.bucket.requests[op] == 0 {
					w.bucket.mu.Unlock()
					return
				}
				done = true
				w.bucket.mu.Unlock()
				do()
				w.create("other", "", attr.TypeFile|0o644)
				w.send("other") // and the one before is remembered no more
			}
		}
		gone := func(name string) {
			t.Helper()
			if e, err := w.tree.Lookup(t.Context(), "d/", name); !errors.Is(err, ossclient.ErrNotExist) {
				t.Errorf("%s was removed meanwhile: %d bytes, %v", name, e.Size, err)
			}
		}
		w.bucket.put("d/file", "x", attr.TypeFile|0o644)
		during("Head", func() { w.removeOwn("d/file"); w.send("d/file") })
		gone("file")
		w.bucket.put("d/dir/f", "x", attr.TypeFile|0o644)
		during("List", func() { w.removeOwn("d/dir/f"); w.send("d/dir/f") })
		gone("dir")
		during("Head", func() { w.create("d/new", "22", attr.TypeFile|0o644); w.send("d/new") })
		e, err := w.tree.Lookup(t.Context(), "d/", "new")
		if err != nil || e.Size != 2 {
			t.Errorf("what was made meanwhile: %d bytes, %v", e.Size, err)
		}
		w.bucket.put("d/dir/f", "x", attr.TypeFile|0o644)
		w.tree.Refresh("")
		e, err = w.tree.Lookup(t.Context(), "d/", "dir")
		if err != nil {
			t.Fatal(err)
		}
		during("List", func() { w.removeOwn("d/dir/f"); w.send("d/dir/f") })
		if e, err = w.tree.Stat(t.Context(), e); !errors.Is(err, ossclient.ErrNotExist) || !done {
			t.Errorf("what was removed meanwhile has status %+v, %v", e, err)
		}
	})
}

// So it is for the pages of a listing.
func TestListingBeyondTheHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.tree.recents.limit = 1
		w.bucket.put("d/kept", "x", attr.TypeFile|0o644)
		w.during("List", func() {
			w.create("d/new", "x", attr.TypeFile|0o644)
			w.send("d/new")
			w.create("other", "", attr.TypeFile|0o644)
			w.send("other") // and the one before is remembered no more
		})
		for range 2 { // the second from memory
			list, err := w.entries(t.Context(), "d/")
			if err != nil || len(list) != 2 || list[1].Name != "new" {
				t.Errorf("%d entries, %v, want two: one was made meanwhile", len(list), err)
			}
		}
	})
}
