package namespace

import (
	"fmt"
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
		w.tree.Refresh("d/")
		list()
		if diff := cmp.Diff([]Change{{"d/", "new", "d/new", Gone}}, told); diff != "" {
			t.Errorf("changes told after a refresh (-want +got):\n%s", diff)
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

// A refresh counts for all that is below, for what is asked by lookups and by listings, for what we have made, and for what
// is on its way.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		want := func(dir, name string, size int64) {
			t.Helper()
			e, err := w.tree.Lookup(t.Context(), key(dir), name)
			if size < 0 && err == nil || size >= 0 && (err != nil || e.Size != size) {
				t.Errorf("%s in %s: %d bytes, %v; want %d, or none if negative", name, dir, e.Size, err, size)
			}
		}
		w.bucket.put("d/sub/f", "1", 0)
		w.bucket.put("e/f", "1", 0)
		w.create("g/own", "1", attr.TypeFile|0o644)
		w.send("g/own")
		for _, dir := range []string{"d/", "d/sub/", "e/"} {
			if _, err := w.entries(t.Context(), key(dir)); err != nil {
				t.Fatal(err)
			}
		}
		want("d/absent/", "f", -1)
		change := func(body string) {
			for _, k := range []string{"d/sub/f", "d/absent/f", "g/own", "e/f"} {
				w.bucket.put(key(k), body, 0)
			}
		}
		change("22")
		want("d/sub/", "f", 1)
		want("d/absent/", "f", -1)
		want("g/", "own", 1)
		w.tree.Refresh("d/absent/")
		if list, err := w.entries(t.Context(), "d/absent/"); len(list) != 1 || err != nil {
			t.Errorf("d/absent/ has %d entries, %v; want 1", len(list), err)
		}
		w.tree.Refresh("d/")
		want("d/sub/", "f", 2)
		want("d/absent/", "f", 2)
		w.tree.Refresh("g/")
		want("g/", "own", 2)
		if w.tree.fresh("e/") == nil {
			t.Error("what lies elsewhere is not believed any more")
		}
		w.tree.Refresh("")
		want("e/", "f", 2)
		if _, err := w.entries(t.Context(), "d/sub/"); err != nil {
			t.Fatal(err)
		}
		change("333")
		for i := range refreshesKept { // more than are told apart
			w.tree.Refresh(key(fmt.Sprintf("other%d/", i)))
		}
		want("d/sub/", "f", 3)
	})
}

// What is on its way when a directory is refreshed is asked for again.
func TestRefreshWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/f", "1", 0)
		if _, err := w.entries(t.Context(), "d/"); err != nil { // the index has its attributes
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		asked := false
		w.bucket.between = func() {
			if !asked {
				asked = true
				w.bucket.put("d/f", "22", 0)
				w.tree.Refresh("d/")
			}
		}
		if list, err := w.entries(t.Context(), "d/"); len(list) != 1 || list[0].Size != 2 || err != nil {
			t.Errorf("d/ has %v, %v; want a file of 2 bytes", list, err)
		}
		if e, err := w.tree.Lookup(t.Context(), "d/", "f"); e.Size != 2 || err != nil {
			t.Errorf("d/f: %d bytes, %v; want 2", e.Size, err)
		}
		if !asked {
			t.Error("nothing was on its way")
		}
	})
}

// A directory that was refreshed is not taken for absent by what the one above it showed before.
func TestRefreshOfAnAbsentDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("f", "", 0)
		if _, err := w.entries(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		w.bucket.put("d/f", "", 0)
		w.tree.Refresh("d/")
		if list, err := w.entries(t.Context(), "d/"); len(list) != 1 || err != nil {
			t.Errorf("d/ has %v, %v; want one file", list, err)
		}
	})
}

// After a refresh many lookups in one directory list it again.
func TestLookupsListARefreshedDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		for c := 'a'; c <= 'z'; c++ {
			w.bucket.put(key("d/"+string(c)), "x", attr.TypeFile|0o644)
		}
		for range 2 {
			for c := 'a'; c <= 'z'; c++ {
				if _, err := w.tree.Lookup(t.Context(), "d/", string(c)); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.bucket.count("List"); n > lookupsBeforeList {
				t.Errorf("%d LIST requests, want at most %d", n, lookupsBeforeList)
			}
			w.tree.Refresh("")
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
