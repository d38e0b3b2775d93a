package writeback

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// all is what the bucket has, with one name for all that was kept beside a.
func (r *rig) all() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for _, key := range r.server.Keys(ossservertest.Bucket) {
		body, _ := r.body(key)
		if before, _, beside := strings.Cut(key, ".conflict-"); beside {
			key = before + " beside"
		}
		all[key] += body
	}
	return all
}

// What is renamed to a name at which another client has put something since the caller looked does not take it away.
// SEMANTICS 5.2
func TestRenamedOntoWhatOthersHavePut(t *testing.T) {
	renames := map[string]struct {
		from, to string
		do       func(s *Store, a, saw ossclient.Version) error
	}{
		"object": {"a", "b", func(s *Store, a, saw ossclient.Version) error {
			return s.Rename(t.Context(), "a", "b", RenameSource{Version: a}, Seen{Version: saw})
		}},
		"with other attributes": {"a", "b", func(s *Store, a, saw ossclient.Version) error {
			if err := s.SetAttr("a", Seen{Version: a}, Rest{}, fileAttr()); err != nil {
				return err
			}
			return s.Rename(t.Context(), "a", "b", RenameSource{Version: a}, Seen{Version: saw})
		}},
		"directory": {"d/a", "e/a", func(s *Store, _, _ ossclient.Version) error {
			return s.RenameTree(t.Context(), "d/", "e/", Seen{})
		}},
	}
	for name, x := range renames {
		for policy, want := range map[Conflict]map[string]string{
			KeepBoth:  {x.to: "ours", x.to + " beside": "theirs"},
			Overwrite: {x.to: "ours"},
			Fail:      {x.from: "ours", x.to: "theirs"},
		} {
			for saw, before := range map[string]string{"nothing": "", "an older version": "older"} {
				if name == "directory" && before != "" {
					continue // the directory that is replaced is empty
				}
				t.Run(name+" "+string(rune('0'+policy))+" "+saw, func(t *testing.T) {
					r := newRig(t)
					r.opt.OnConflict, r.opt.Delay = policy, 1<<40
					s := r.open()
					var seen ossclient.Version
					if before != "" {
						seen = r.put(x.to, before)
					}
					a := r.put(x.from, "ours")
					r.put(x.to, "theirs")
					err := x.do(s, a, seen)
					if failed := errors.As(err, new(*ConflictError)); failed != (policy == Fail) || err != nil && !failed {
						t.Errorf("got %v", err)
					}
					r.flush(s)
					if got := r.all(); !maps.Equal(got, want) {
						t.Errorf("the bucket has %q, want %q", got, want)
					}
					if got := s.Status().Conflicts; got != int64(len(want)-1) && policy != Fail {
						t.Errorf("%d conflicts", got)
					}
				})
			}
		}
	}
}

// What the caller saw at the name is replaced, for one HEAD; where he saw nothing there is none.
func TestRenamedOntoWhatWasSeen(t *testing.T) {
	for _, exists := range []bool{false, true} {
		r := newRig(t)
		r.opt.Believe = time.Minute
		s := r.open()
		a := r.put("a", "ours")
		var seen ossclient.Version
		want := map[string]int64{"CopyObject": 1, "DeleteMultipleObjects": 1}
		if exists {
			seen = r.put("b", "older")
			want["HeadObject"] = 1
		}
		r.server.ResetCounts()
		if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: a, Class: "Standard"}, Seen{Version: seen}); err != nil {
			t.Fatal(err)
		}
		r.counts(want)
		if got := r.all(); !maps.Equal(got, map[string]string{"b": "ours"}) {
			t.Errorf("the bucket has %q", got)
		}
	}
}

// What is there by an attempt of ours of which no answer was heard is replaced, too.
func TestRenamedOntoWhatWasNotHeardOf(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = 1 << 40
	s := r.open()
	a := r.put("a", "ours")
	r.write(s, "b", "sent")
	e := s.get("b")
	s.mu.Lock()
	s.tried["b"] = &trial{seq: e.seq, size: e.size, sum: crc.Update(0, []byte("sent"))}
	s.mu.Unlock()
	r.put("b", "sent")
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: a}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	if got := r.all(); !maps.Equal(got, map[string]string{"b": "ours"}) {
		t.Errorf("the bucket has %q", got)
	}
}

// A rename that a crash has interrupted, before its copy or after it, goes on without another look at what it was to replace.
func TestRenameOntoWhatWasSeenAfterACrash(t *testing.T) {
	for _, copied := range []bool{false, true} {
		r := newRig(t)
		s := r.open()
		a, seen := r.put("a", "ours"), r.put("b", "older")
		m, release, err := s.beginObject(t.Context(), &move{from: "a", to: "b", source: a, attr: packAttr(&attr.Attr{})}, Seen{Version: seen})
		if err != nil {
			t.Fatal(err)
		}
		if copied {
			if _, err := s.copyObject(t.Context(), m.source, "", m.to, false); err != nil {
				t.Fatal(err)
			}
		}
		release()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = r.open()
		r.flush(s)
		if got := r.all(); !maps.Equal(got, map[string]string{"b": "ours"}) || s.Status().Conflicts != 0 {
			t.Errorf("copied %v: the bucket has %q", copied, slices.Sorted(maps.Keys(got)))
		}
	}
}

// Who replaces a file that is open to be written to has seen what is open, and not what others have put there since, though that was told of.
// SEMANTICS 5.2
func TestRenamedOntoWhatIsOpen(t *testing.T) {
	for name, source := range map[string]func(r *rig, s *Store) ossclient.Version{
		"an object":  func(r *rig, _ *Store) ossclient.Version { return r.put("b", "new") },
		"what waits": func(r *rig, s *Store) ossclient.Version { r.write(s, "b", "new"); return ossclient.Version{Key: "b"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			f := must(s.Edit("a", Seen{Version: r.put("a", "ours")}, fileAttr(), nil))(t)
			defer f.Release()
			theirs := r.put("a", "theirs")
			if err := s.Rename(t.Context(), "b", "a", RenameSource{Version: source(r, s), Attr: fileAttr()}, Seen{Version: theirs}); err != nil {
				t.Fatal(err)
			}
			r.flush(s)
			all := r.all()
			if len(all) != 2 || !slices.Contains(slices.Collect(maps.Values(all)), "new") || !slices.Contains(slices.Collect(maps.Values(all)), "theirs") {
				t.Errorf("the bucket has %q", all)
			}
		})
	}
}
