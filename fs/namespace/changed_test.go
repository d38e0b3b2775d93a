package namespace

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// key is a key.
func key(s string) ossclient.Key { return ossclient.Key(s) }

// What others change is told when the directory is listed again, and what we change is not.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Change
		w := newWorld(t, func(o *Options) { o.Changed = func(c Change) { told = append(told, c) } })
		defer w.close(t)
		for _, k := range []string{"d/gone", "d/kept", "d/other", "d/own"} {
			w.bucket.put(key(k), "old", attr.TypeFile|0o644)
		}
		list := func() {
			if _, err := w.entries(t.Context(), "d/"); err != nil {
				t.Fatal(err)
			}
		}
		list()
		w.bucket.remove("d/gone")
		w.bucket.put("d/new", "new", 0)
		w.bucket.put("d/other", "other", 0)
		w.bucket.put("d/sub/x", "x", 0)
		w.create("d/own", "mine", attr.TypeFile|0o600)
		w.create("d/made", "mine", attr.TypeFile|0o600)
		w.send("d/own")
		list()
		if len(told) != 0 {
			t.Errorf("told %v while what was listed is believed", told)
		}
		time.Sleep(time.Minute)
		list()
		want := []Change{
			{"d/", "gone", "d/gone", Gone}, {"d/", "new", "d/new", Appeared}, {"d/", "other", "d/other", Modified}, {"d/", "sub", "d/sub/", Appeared},
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("changes told (-want +got):\n%s", diff)
		}
		told = nil
		w.bucket.remove("d/new")
		if err := w.tree.Refresh(t.Context(), "d/"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Change{{"d/", "new", "d/new", Gone}}, told); diff != "" {
			t.Errorf("changes told by refresh (-want +got):\n%s", diff)
		}
	})
}

// A lookup costs nothing where a listing, or an overlay, knows the answer.
func TestLookupsWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/a", "a", attr.TypeFile|0o644)
		if _, err := w.entries(t.Context(), "d/"); err != nil {
			t.Fatal(err)
		}
		w.bucket.count("List")
		w.bucket.count("Head")
		ask := func(dir, name string, want bool) {
			t.Helper()
			_, err := w.tree.Lookup(t.Context(), key(dir), name)
			if (err == nil) != want {
				t.Errorf("lookup of %s in %s: %v, want it there: %v", name, dir, err, want)
			}
			synctest.Wait() // for questions put and not waited for
			if l, h := w.bucket.count("List"), w.bucket.count("Head"); l+h != 0 {
				t.Errorf("lookup of %s in %s cost %d LIST and %d HEAD", name, dir, l, h)
			}
		}
		ask("d/", "a", true)
		ask("d/", "none", false)
		ask("d/none/", "deep", false)
		w.create("d/made/", "", attr.TypeDir|0o755) // a directory made by us is known completely
		ask("d/", "made", true)
		ask("d/made/", "x", false)
		w.create("d/made/x", "x", attr.TypeFile|0o644)
		ask("d/made/", "x", true)
		w.send("d/made/")
		w.send("d/made/x")
		ask("d/", "made", true)
		ask("d/made/", "x", true)
		ask("d/made/", "y", false)
		w.removeOwn("d/a")
		ask("d/", "a", false)
		w.send("d/a")
		ask("d/", "a", false)
		if _, err := w.entries(t.Context(), "d/"); err != nil { // what was removed is not asked for either
			t.Fatal(err)
		}
		ask("d/", "a", false)
	})
}

// Many lookups in one directory list it.
func TestLookupsListADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		for c := 'a'; c <= 'z'; c++ {
			w.bucket.put(key("d/"+string(c)), "x", attr.TypeFile|0o644)
		}
		for c := 'a'; c <= 'z'; c++ {
			if _, err := w.tree.Lookup(t.Context(), "d/", string(c)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.tree.Lookup(t.Context(), "d/", string(c)+"-none"); err == nil {
				t.Fatal("found what is not there")
			}
		}
		if n := w.bucket.count("List"); n > lookupsBeforeList {
			t.Errorf("%d LIST requests, want at most %d", n, lookupsBeforeList)
		}
	})
}

// SEMANTICS 5.1: a directory's own attributes, changed by another client, are seen after the TTL, though the listing that
// tells of them and the one that shows the directory are of different times.
func TestDirectoryAttributesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/", "", attr.TypeDir|0o711)
		w.bucket.put("d/f", "x", attr.TypeFile|0o644)
		look := func() Entry {
			t.Helper()
			e, err := w.tree.Lookup(t.Context(), "", "d")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		list := func(dir string) {
			t.Helper()
			if _, err := w.entries(t.Context(), key(dir)); err != nil {
				t.Fatal(err)
			}
		}
		list("")
		time.Sleep(50 * time.Second)
		list("d/")
		time.Sleep(5 * time.Second)
		w.bucket.put("d/", "", attr.TypeDir|0o700)
		changed := time.Now()
		time.Sleep(6 * time.Second)
		list("") // anew, with what the listing of d/ told of it
		for e := look(); e.Attr.Mode != attr.TypeDir|0o700; e = look() {
			if since := time.Since(changed); since > time.Minute {
				t.Fatalf("%v after the change the mode is still %o", since, e.Attr.Mode)
			}
			if until := e.Until.Sub(changed); until > time.Minute { // the kernel does not ask before that
				t.Fatalf("what was shown is believed until %v after the change", until)
			}
			time.Sleep(max(time.Until(e.Until), time.Second))
		}
	})
}
