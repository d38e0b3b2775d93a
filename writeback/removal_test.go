package writeback

import (
	"maps"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// A removal that has waited for long, such as in the journal of a mount that was not there, is of what was removed, and not of what another client has put
// there since.
// SEMANTICS 5.2
func TestRemovedLongAgo(t *testing.T) {
	for _, x := range []struct {
		what    string
		believe time.Duration
		policy  Conflict
		stays   bool
	}{
		{"late", 0, KeepBoth, true},
		{"late, and nothing to keep", 0, Fail, true},
		{"late, but whatever it is", 0, Overwrite, false},
		{"just now", time.Hour, KeepBoth, false},
	} {
		r := newRig(t)
		r.opt.Delay, r.opt.OnConflict, r.opt.Believe = 1<<40, x.policy, x.believe
		s := r.open()
		want := map[string]string{}
		for _, key := range []string{"changed", "same", "gone"} {
			if err := s.Remove(Key(key), Seen{Version: r.put(key, "old")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.put("changed", "theirs")
		if x.stays {
			want["changed"] = "theirs"
		}
		if err := r.bucket.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		s = r.open()
		r.flush(s)
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("%s: the bucket has %q, want %q", x.what, got, want)
		}
		if _, pending := s.Lookup("changed"); pending || s.Status().Conflicts != int64(len(want)) {
			t.Errorf("%s: pending %v, %d conflicts", x.what, pending, s.Status().Conflicts)
		}
		if x.stays {
			r.wantTold("changed", "theirs")
		}
	}
}

// A rename of what waits here leaves its old name to what another client has put there: it has moved something else.
func TestRenamedFromWhatOthersHavePut(t *testing.T) {
	for _, tree := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay, r.opt.Believe = 1<<40, time.Hour
		s := r.open()
		base := r.put("d/a", "old")
		f := must(s.Create("d/a", fileAttr(), base))(t)
		r.grow(f, "ours", 0)
		r.close(f)
		r.put("d/a", "theirs")
		var err error
		if tree {
			err = s.RenameTree(t.Context(), "d/", "e/", Seen{})
		} else {
			err = s.Rename(t.Context(), "d/a", "e/a", RenameSource{}, Seen{})
		}
		if err != nil {
			t.Fatal(err)
		}
		r.flush(s)
		if got := r.all(); !maps.Equal(got, map[string]string{"d/a": "theirs", "e/a": "ours"}) {
			t.Errorf("tree %v: the bucket has %q", tree, got)
		}
	}
}

// The old name of an object that was renamed is looked at by the process that finds its removal in the journal: it may have been sent already, and another
// client have put something there since. The process that made the copy does not look, as long as that is fresh.
// SEMANTICS 5.2
func TestOldNameIsLookedAtAgain(t *testing.T) {
	for _, tree := range []bool{false, true} {
		for _, policy := range []Conflict{KeepBoth, Overwrite} {
			r := newRig(t)
			r.opt.Delay, r.opt.Believe, r.opt.OnConflict = 1<<40, time.Hour, policy
			s := r.open()
			base := r.put("d/a", "moved")
			s.Hold("d/a") // it is not deleted meanwhile
			var err error
			if tree {
				err = s.RenameTree(t.Context(), "d/", "e/", Seen{})
			} else {
				err = s.Rename(t.Context(), "d/a", "e/a", RenameSource{Version: base, Attr: fileAttr()}, Seen{})
			}
			if err != nil {
				t.Fatal(err)
			}
			e := s.get("d/a")
			copied := time.Unix(0, e.when)
			if !s.sure(e, copied) || s.sure(e, copied.Add(copiedFor)) != (policy == Overwrite) {
				t.Errorf("tree %v, policy %d: sure at once %v, later %v", tree, policy, s.sure(e, copied), s.sure(e, copied.Add(copiedFor)))
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.put("d/a", "theirs")
			r.flush(r.open())
			want := map[string]string{"e/a": "moved", "d/a": "theirs"}
			if policy == Overwrite {
				delete(want, "d/a")
			}
			if got := r.all(); !maps.Equal(got, want) {
				t.Errorf("tree %v, policy %d: the bucket has %q, want %q", tree, policy, got, want)
			}
		}
	}
}

// So it is by the process that completes a rename which a crash interrupted: nobody waits for it.
// SEMANTICS 5.2
func TestOldNameOfACompletedRename(t *testing.T) {
	r, mem, s := onMem(t)
	r.opt.Believe = time.Hour
	m := &move{from: "a", to: "b", source: r.put("a", "moved"), attr: packAttr(&attr.Attr{})}
	if begun, _, err := s.beginObject(t.Context(), m, Seen{}); begun == nil || err != nil {
		t.Fatal(begun, err)
	}
	r.opt.Bucket = &copyHook{r.bucket, func(_ ossclient.CopyRequest, after bool) {
		if after {
			r.put("a", "theirs")
		}
	}}
	_, next := r.killed(mem)
	r.flush(next)
	if got := r.all(); !maps.Equal(got, map[string]string{"a": "theirs", "b": "moved"}) {
		t.Errorf("the bucket has %q", got)
	}
}

// A removal by one who has seen nothing but ours there, which a conflict had just moved away, is of another client's object when it holds still, and of
// nothing when it is late.
// SEMANTICS 5.2
func TestRemovedAfterItGaveWay(t *testing.T) {
	for believe, want := range map[time.Duration]string{0: "theirs", time.Hour: ""} {
		r := newRig(t)
		r.opt.Delay, r.opt.OnConflict, r.opt.Believe = 1<<40, KeepBoth, believe
		s := r.open()
		r.write(s, "a", "ours")
		r.put("a", "theirs")
		r.flush(s) // ours is beside it
		if err := s.Remove("a", Seen{}); err != nil {
			t.Fatal(err)
		}
		r.flush(s)
		if got := r.all(); len(got) != 1+min(1, len(want)) || got["a"] != want {
			t.Errorf("within %v: the bucket has %q", believe, got)
		}
	}
}

// What was sent before the removal, and no answer to it heard, is removed.
func TestRemovedWhatWasNotHeardOf(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = 1 << 40
	s := r.open()
	r.write(s, "a", "sent")
	e := s.get("a")
	s.mu.Lock()
	s.tried["a"] = &trial{seq: e.seq, size: e.size, sum: crc.Update(0, []byte("sent"))}
	s.mu.Unlock()
	r.put("a", "sent")
	if err := s.Remove("a", Seen{}); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	if got := r.all(); len(got) != 0 {
		t.Errorf("the bucket has %q", got)
	}
}

// wantTold sees that the last that was told of a key is what another client has put there.
func (r *rig) wantTold(key Key, content string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var last Confirmation
	for _, c := range r.confirmed {
		if c.Key == key {
			last = c
		}
	}
	if !last.Foreign || last.Deleted || last.Object.Size != int64(len(content)) {
		r.t.Errorf("%s: told %+v", key, last)
	}
}
