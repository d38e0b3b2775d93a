package writeback

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// Two files that wait are exchanged, and one is added to where it is then, or moved on. When a loss of power takes the other one, and so the
// exchange, what came later goes with it: both names would have the same staged file, and one lose it to the other.
// SEMANTICS 1.2
func TestExchangeThatIsPassedOver(t *testing.T) {
	first, other := noise(60000, 1), noise(50000, 2)
	type bucket struct{ a, b, c string }
	for name, tt := range map[string]struct {
		then func(t *testing.T, s *Store, f *File) error
		want []bucket
	}{
		"added to": {func(t *testing.T, _ *Store, f *File) error {
			_, err := f.WriteAt(t.Context(), []byte("added"), int64(len(first)))
			return errors.Join(err, f.Commit())
		}, []bucket{{a: first}, {a: first, b: other}, {a: other, b: first}, {a: other, b: first + "added"}}},
		"overwritten": {func(t *testing.T, _ *Store, f *File) error {
			_, err := f.WriteAt(t.Context(), []byte("changed"), 0)
			return errors.Join(err, f.Commit())
		}, []bucket{{}, {b: other}, {b: "changed" + first[7:]}, {a: first}, {a: first, b: other}, {a: other, b: first}, {a: other, b: "changed" + first[7:]}}},
		"renamed": {func(t *testing.T, s *Store, _ *File) error {
			return s.Rename(t.Context(), "b", "c", RenameSource{}, Seen{})
		}, []bucket{{a: first}, {a: first, b: other}, {a: other, b: first}, {a: other, c: first}}},
	} {
		t.Run(name, func(t *testing.T) {
			passed := 0
			afterPowerCuts(t, 40, func(r *rig, s *Store) *File {
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, first, 0)
				return f
			}, func(r *rig, s *Store, f *File) error {
				r.quiet(s)
				r.write(s, "b", other)
				side := func(from, to Key) Side { return Side{RenameSource{Version: ossclient.Version{Key: from}}, to} }
				err := s.Exchange(t.Context(), side("a", "b"), side("b", "a"), "aside", func(error) {})
				return errors.Join(err, tt.then(t, s, f), s.journal.Ahead())
			}, func(r *rig, seed uint64) {
				var got bucket
				got.a, _ = r.body("a")
				got.b, _ = r.body("b")
				got.c, _ = r.body("c")
				for _, want := range tt.want {
					if got == want {
						if got.a == first {
							passed++
						}
						return
					}
				}
				t.Errorf("seed %d: a has %d bytes, b %d, c %d", seed, len(got.a), len(got.b), len(got.c))
			})
			if passed == 0 && name != "overwritten" {
				t.Error("the exchange was never passed over, and this test tests nothing")
			}
		})
	}
}

// A file that waits is renamed, and cut where it is then. A loss of power finds what was renamed overwritten, and what was closed after it
// whole: the old name is not left with bytes that were never its.
// SEMANTICS 1.2
func TestRenamedAndCutInAPowerCut(t *testing.T) {
	content := noise(60000, 1)
	cut := 0
	afterPowerCuts(t, 40, func(r *rig, s *Store) *File {
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		return f
	}, func(r *rig, s *Store, f *File) error {
		r.quiet(s)
		err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})
		return errors.Join(err, f.Truncate(t.Context(), 20000), f.Commit(), s.journal.Ahead())
	}, func(r *rig, seed uint64) {
		a, _ := r.body("a")
		b, _ := r.body("b")
		switch {
		case a == "" && b == content[:20000]:
			cut++
		case (a == "" || a == content) && b == "", a == "" && b == content:
		default:
			t.Errorf("seed %d: a has %d bytes, b %d", seed, len(a), len(b))
		}
	})
	if cut == 0 {
		t.Error("what was closed last was never found, and this test tests nothing")
	}
}

// A file is made anew, gives way to what another client has put there, and that is renamed. When a loss of power brings back the file before, what is
// renamed is not that: the other client's object is not overwritten with it.
// SEMANTICS 1.2, 5.2
func TestRenamedByAnother(t *testing.T) {
	back := 0
	afterPowerCuts(t, 40, func(r *rig, s *Store) *File {
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, "before", 0)
		return f
	}, func(r *rig, s *Store, _ *File) error {
		r.quiet(s)
		theirs := r.put("a", "theirs")
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, noise(60000, 1), 0)
		err := f.Commit()
		_, moved := s.giveWay(s.get("a"), f, ossclient.Object{Version: theirs})
		_, begun := s.journalMove(&move{from: "a", to: "b", source: theirs}, Seen{})
		return errors.Join(err, moved, begun, s.journal.Ahead())
	}, func(r *rig, seed uint64) {
		objects := slices.Collect(maps.Values(r.all()))
		if !slices.Contains(objects, "theirs") {
			t.Errorf("seed %d: the bucket has %.40q", seed, r.all())
		}
		if slices.Contains(objects, "before") {
			back++
		}
	})
	if back == 0 {
		t.Error("the file before never came back, and this test tests nothing")
	}
}
