package namespace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// during has something done once, between the look of a request of an operation at the bucket and its answer.
func (w *world) during(op string, do func()) {
	w.bucket.count(op)
	done := false
	w.bucket.between = func() {
		w.bucket.mu.Lock()
		now := !done && w.bucket.requests[op] > 0
		done = done || now
		w.bucket.mu.Unlock()
		if now {
			do()
		}
	}
}

// What is confirmed while the bucket is asked counts, and not the answer.
func TestConfirmedWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/f", "1", attr.TypeFile|0o644)
		change := func(body string) func() {
			return func() { w.create("d/f", body, attr.TypeFile|0o600); w.send("d/f") }
		}
		w.during("Head", change("22"))
		e, err := w.tree.Lookup(t.Context(), "d/", "f")
		if err != nil || e.Size != 2 || e.Attr.Mode != attr.TypeFile|0o600 {
			t.Errorf("lookup: %d bytes, mode %o, %v, want those that were sent meanwhile", e.Size, e.Attr.Mode, err)
		}
		w.tree.Refresh("")
		w.during("List", change("333"))
		if list, err := w.entries(t.Context(), "d/"); err != nil || len(list) != 1 || list[0].Size != 3 {
			t.Errorf("listing: %+v, %v", list, err)
		}
		w.tree.Refresh("")
		w.during("List", func() { w.removeOwn("d/f"); w.send("d/f") })
		if _, err := w.tree.Stat(t.Context(), e); !errors.Is(err, ossclient.ErrNotExist) {
			t.Errorf("of what was removed meanwhile: %v", err)
		}
	})
}

// Attributes that are confirmed while the bucket is asked for those before are what the index knows, though the object has the same ETag, size and
// time, and not the answer that comes later.
// SEMANTICS 4.1
func TestIndexKeepsWhatIsConfirmedWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/f", "1", attr.TypeFile|0o644)
		o, err := w.bucket.Head(t.Context(), "d/f")
		if err != nil {
			t.Fatal(err)
		}
		var newer attr.Attr
		newer.SetMode(attr.TypeFile | 0o600)
		w.during("Head", func() { w.tree.Confirmed(Confirmation{Key: "d/f", Object: o, Attr: newer, Exact: true}) })
		if _, err := w.tree.Lookup(t.Context(), "d/", "f"); err != nil {
			t.Fatal(err)
		}
		if r, ok := w.tree.indexed(&o); ok && r.Attr.Mode != newer.Mode {
			t.Errorf("the index has mode %o, want %o", r.Attr.Mode, newer.Mode)
		}
	})
}

// A question that is on its way is not shared by who asks after a refresh.
func TestQuestionOfBeforeARefreshIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/f", "1", attr.TypeFile|0o644)
		late := make(chan struct{})
		w.during("Head", func() { <-late })
		first := make(chan int64)
		go func() {
			e, _ := w.tree.Lookup(t.Context(), "d/", "f")
			first <- e.Size
		}()
		synctest.Wait()
		w.bucket.put("d/f", "22", attr.TypeFile|0o644)
		w.tree.Refresh("d/")
		second := make(chan int64, 1)
		go func() {
			e, _ := w.tree.Lookup(t.Context(), "d/", "f")
			second <- e.Size
		}()
		synctest.Wait()
		close(late)
		if n := <-second; n != 2 {
			t.Errorf("who asked after the refresh got %d bytes, want 2", n)
		}
		if n := <-first; n == 0 {
			t.Error("who asked before it got nothing")
		}
	})
}

// What the overlay and the confirmations have of one name is shown as a listing would show it.
func TestOneNameOfOurs(t *testing.T) {
	const file, dir = attr.TypeFile | 0o600, attr.TypeDir | 0o700
	attributes := func(w *world, key ossclient.Key, mode uint32) {
		st := State{Key: key, Kind: Attributes}
		st.Attr.SetMode(mode)
		w.overlay.set(st)
	}
	tests := []struct {
		name  string
		there string // in the bucket
		do    func(w *world)
		want  ossclient.Key
		mode  uint32
		size  int64
	}{
		{"file and directory, staged", "", func(w *world) { w.create("d/a", "1", file); w.create("d/a/x", "1", file) }, "d/a/", attr.TypeDir | 0o755, 0},
		{"file sent, directory staged", "", func(w *world) { w.create("d/a", "1", file); w.send("d/a"); w.create("d/a/x", "1", file) }, "d/a/", attr.TypeDir | 0o755, 0},
		{"file and directory, sent", "", func(w *world) {
			w.create("d/a", "1", file)
			w.send("d/a")
			w.create("d/a/x", "1", file)
			w.send("d/a/x")
		}, "d/a/", attr.TypeDir | 0o755, 0},
		{"attributes of a sent file", "", func(w *world) {
			c := Confirmation{Key: "d/a", Object: w.bucket.put("d/a", "22", file)}
			c.Attr.SetMode(file)
			w.tree.Confirmed(c)
			attributes(w, "d/a", attr.TypeFile|0o640)
		}, "d/a", attr.TypeFile | 0o640, 2},
		{"attributes of a sent directory", "", func(w *world) { w.create("d/a/", "", dir); w.send("d/a/"); attributes(w, "d/a/", attr.TypeDir|0o750) }, "d/a/", attr.TypeDir | 0o750, 0},
		{"attributes of a file of the bucket", "d/a", func(w *world) { attributes(w, "d/a", attr.TypeFile|0o640) }, "d/a", attr.TypeFile | 0o640, 3},
		{"directory whose object goes", "d/a/", func(w *world) { w.create("d/a/x", "1", file); w.send("d/a/x"); w.removeOwn("d/a/") }, "d/a/", attr.TypeDir | 0o755, 0},
		{"directory whose object is gone", "", func(w *world) {
			w.create("d/a/", "", dir)
			w.send("d/a/")
			w.create("d/a/x", "1", file)
			w.removeOwn("d/a/")
			w.send("d/a/")
		}, "d/a/", attr.TypeDir | 0o755, 0},
		{"copied, attributes unknown", "", func(w *world) {
			o := w.bucket.put("d/a", "1", file)
			w.tree.Confirmed(Confirmation{Key: "d/a", Object: o, Source: ossclient.Version{Key: "b", ETag: "another"}})
		}, "d/a", file, 1},
		{"copied and sent, attributes unknown", "", func(w *world) {
			o := w.bucket.put("d/a/", "", dir)
			w.tree.Confirmed(Confirmation{Key: "d/a/", Object: o, Source: ossclient.Version{Key: "b/", ETag: "another"}})
		}, "d/a/", dir, 0},
	}
	for _, tt := range tests {
		for _, listed := range []string{"", "before", "after"} {
			t.Run(tt.name+" listed "+listed, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, nil)
					defer w.close(t)
					list := func() []Entry {
						list, err := w.entries(t.Context(), "d/")
						if err != nil {
							t.Fatal(err)
						}
						return list
					}
					if tt.there != "" {
						w.bucket.put(key(tt.there), "333", 0)
					}
					if listed == "before" {
						list()
					}
					tt.do(w)
					if listed == "after" || listed == "before" {
						found := false
						for _, e := range list() {
							if found = found || e.Key == tt.want; e.Key == tt.want && (e.Attr.Mode != tt.mode || e.Size != tt.size) {
								t.Errorf("listing: mode %o, %d bytes, want %o, %d", e.Attr.Mode, e.Size, tt.mode, tt.size)
							}
						}
						if !found {
							t.Errorf("%s is not listed", tt.want)
						}
					}
					e, err := w.tree.Lookup(t.Context(), "d/", "a")
					if err != nil || e.Key != tt.want || e.Attr.Mode != tt.mode || e.Size != tt.size {
						t.Errorf("lookup: %q, mode %o, %d bytes, %v, want %q, %o, %d", e.Key, e.Attr.Mode, e.Size, err, tt.want, tt.mode, tt.size)
					}
					if e, err = w.tree.Stat(t.Context(), e); err != nil || e.Attr.Mode != tt.mode || e.Size != tt.size {
						t.Errorf("stat: mode %o, %d bytes, %v, want %o, %d", e.Attr.Mode, e.Size, err, tt.mode, tt.size)
					}
				})
			})
		}
	}
}

// The kernel believes an answer as long as what it came from is believed, and no longer.
func TestAnswerIsBelievedAsLongAsItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.bucket.put("d/listed", "1", attr.TypeFile|0o644)
		start := time.Now()
		if _, err := w.entries(t.Context(), "d/"); err != nil {
			t.Fatal(err)
		}
		w.create("e/sent", "1", attr.TypeFile|0o644)
		w.create("e/made/", "", attr.TypeDir|0o755)
		w.send("e/sent")
		w.send("e/made/")
		time.Sleep(50 * time.Second)
		for _, x := range [][2]string{{"d/", "listed"}, {"e/", "sent"}, {"e/", "made"}} {
			e, err := w.tree.Lookup(t.Context(), key(x[0]), x[1])
			if err != nil || e.Until.Sub(start) != time.Minute {
				t.Errorf("%s: believed for %v from the beginning, %v, want %v", x[1], e.Until.Sub(start), err, time.Minute)
			}
		}
	})
}

// refusing is a bucket that lists its objects, and says no more of them.
type refusing struct{ *fakeBucket }

func (b refusing) Head(_ context.Context, key ossclient.Key) (ossclient.Object, error) {
	return ossclient.Object{}, &ossclient.Error{Op: "HeadObject", Key: key, Kind: ossclient.ErrPermission}
}

// Who may list a bucket, and not read its objects, sees them with the attributes that the mount has for all.
func TestListingWithoutPermissionToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Bucket = refusing{o.Bucket.(*fakeBucket)} })
		defer w.close(t)
		w.bucket.put("d/f", "22", attr.TypeFile|0o600)
		list, err := w.entries(t.Context(), "d/")
		if err != nil || len(list) != 1 || list[0].Size != 2 || list[0].Attr.Mode != attr.TypeFile|0o644 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
