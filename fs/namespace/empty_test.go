package namespace

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
)

// SEMANTICS 6.1: a program that removes one directory after the other has the bucket asked while it removes the files, once
// for each directory, and what the answer shows is what is there when they are gone.
func TestEmptyIsAskedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.latency = 15 * time.Millisecond
		for d := range 4 {
			for f := range 3 {
				w.bucket.put(key(fmt.Sprintf("d%d/f%d", d, f)), "x", attr.TypeFile|0o644)
			}
		}
		remove := func(d int) {
			for f := range 3 {
				w.removeOwn(key(fmt.Sprintf("d%d/f%d", d, f)))
				w.tree.Removed(key(fmt.Sprintf("d%d/", d)))
				time.Sleep(10 * time.Millisecond) // as long as a program may take
			}
		}
		empty := func(d int, want bool) {
			t.Helper()
			got, err := w.tree.Empty(t.Context(), key(fmt.Sprintf("d%d/", d)))
			if got != want || err != nil {
				t.Errorf("directory %d is empty: %v, %v, want %v", d, got, err, want)
			}
		}
		remove(0)
		start := time.Now()
		empty(0, true)
		if took := time.Since(start); took == 0 {
			t.Error("the first directory was not asked for when it was to be removed")
		}
		remove(1)
		w.send("d1/f0") // while the question is under way, or after it
		start = time.Now()
		empty(1, true)
		if took := time.Since(start); took != 0 {
			t.Errorf("the second one was waited for, %v", took)
		}
		if n := w.bucket.count("List"); n != 2 {
			t.Errorf("%d LIST requests for two directories, want one each", n)
		}
		remove(2)
		w.create("d2/mine", "x", attr.TypeFile|0o644)
		empty(2, false)
		w.removeOwn("d2/mine")
		w.bucket.put("d2/foreign", "x", attr.TypeFile|0o644)
		empty(2, false)
		w.bucket.remove("d2/foreign")
		empty(2, true)
		remove(3)
		w.bucket.put("d3/foreign", "x", attr.TypeFile|0o644)
		time.Sleep(checkAge) // what was asked is too old
		empty(3, false)
	})
}

// A program that removes files and no directories costs no questions, nor does one that removes files beside a directory
// which it has removed cost more than one.
func TestRemovingFilesAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/e/", "", attr.TypeDir|0o755)
		remove := func(want int) {
			t.Helper()
			for i := range 100 {
				w.tree.Removed(key(fmt.Sprintf("d/%d/", i%10)))
				w.tree.Removed("d/")
				w.tree.Removed("")
			}
			synctest.Wait()
			if n := w.bucket.count("List"); n != want {
				t.Errorf("%d LIST requests, want %d", n, want)
			}
		}
		remove(0)
		if empty, err := w.tree.Empty(t.Context(), "d/e/"); !empty || err != nil {
			t.Fatal(empty, err)
		}
		remove(1 + 1) // that of the removed one, and one ahead
	})
}

// An answer that was put ahead of a rmdir is not used when the directory was refreshed since.
// SEMANTICS 6.1
func TestRefreshOfADirectoryThatIsToBeRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/a/f", "x", attr.TypeFile|0o644)
		w.removeOwn("d/a/f")
		if empty, err := w.tree.Empty(t.Context(), "d/a/"); !empty || err != nil {
			t.Fatal(empty, err)
		}
		w.bucket.put("d/b/f", "x", attr.TypeFile|0o644)
		w.removeOwn("d/b/f")
		w.tree.Removed("d/b/")
		synctest.Wait()
		if n := w.bucket.count("List"); n != 2 {
			t.Fatalf("%d LIST, want one ahead", n)
		}
		w.bucket.put("d/b/foreign", "x", attr.TypeFile|0o644)
		w.tree.Refresh("d/")
		if empty, err := w.tree.Empty(t.Context(), "d/b/"); empty || err != nil {
			t.Errorf("with a file of another client: empty %v, %v", empty, err)
		}
	})
}
