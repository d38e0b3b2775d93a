package writeback

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// What others put back as it was, with the ETag that it had before we deleted or replaced it, is what a caller means who has seen it there since:
// it is what is edited, replaced, removed, renamed, and given other attributes.
// SEMANTICS 5.2
func TestPutBackByAnother(t *testing.T) {
	const content = "content, which is the longer one"
	type change struct {
		do   func(r *rig, s *Store, seen Seen) error
		want map[string]string
	}
	changes := map[string]change{
		"edit": {func(r *rig, s *Store, seen Seen) error {
			f, err := s.Edit("a", seen, fileAttr(), nil)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(r.t.Context(), []byte(", added"), f.Size())
			r.close(f)
			return err
		}, map[string]string{"a": content + ", added"}},
		"replace": {func(r *rig, s *Store, seen Seen) error {
			r.write(s, "new", "new")
			return s.Rename(r.t.Context(), "new", "a", RenameSource{}, seen)
		}, map[string]string{"a": "new"}},
		"replace by an object": {func(r *rig, s *Store, seen Seen) error {
			v := r.put("new", "new")
			return s.Rename(r.t.Context(), "new", "a", RenameSource{Version: v, Attr: fileAttr()}, seen)
		}, map[string]string{"a": "new"}},
		"remove, late": {func(_ *rig, s *Store, seen Seen) error { return s.Remove("a", seen) }, map[string]string{}},
		"rename": {func(r *rig, s *Store, seen Seen) error {
			err := s.Rename(r.t.Context(), "a", "b", RenameSource{Version: seen.Version, At: seen.At, Attr: fileAttr()}, Seen{})
			if got := r.confirmed[len(r.confirmed)-2].Object.Size; got != int64(len(content)) { // the last is that the old one is gone
				r.t.Errorf("told of %d bytes, want %d", got, len(content))
			}
			return err
		}, map[string]string{"b": content}},
		"exchange": {func(r *rig, s *Store, seen Seen) error {
			v := r.put("b", "other")
			side := func(v ossclient.Version, to Key) Side {
				return Side{RenameSource{Version: v, At: seen.At, Attr: fileAttr()}, to}
			}
			return s.Exchange(r.t.Context(), side(seen.Version, "b"), side(v, "a"), "aside", func(error) {})
		}, map[string]string{"a": "other", "b": content}},
		"attributes": {func(_ *rig, s *Store, seen Seen) error { return s.SetAttr("a", seen, Rest{}, fileAttr()) }, map[string]string{"a": content}},
	}
	for before, ours := range map[string]func(r *rig, s *Store, v ossclient.Version){
		"deleted": func(r *rig, s *Store, v ossclient.Version) {
			if err := s.Remove("a", Seen{Version: v}); err != nil {
				r.t.Fatal(err)
			}
		},
		"replaced": func(r *rig, s *Store, v ossclient.Version) {
			f := must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(r.t)
			if err := f.Truncate(r.t.Context(), 5); err != nil {
				r.t.Fatal(err)
			}
			r.close(f)
		},
	} {
		for name, c := range changes {
			t.Run(before+", "+name, func(t *testing.T) {
				r := newRig(t)
				r.opt.OnConflict, r.opt.Believe = Fail, 0 // what is taken for another's is seen
				s := r.open()
				v := r.put("a", content)
				ours(r, s, v)
				r.flush(s)
				if back := r.put("a", content); back != v {
					t.Fatalf("it is %v, was %v, and this test tests nothing", back, v)
				}
				if err := c.do(r, s, Seen{v, s.Now()}); err != nil {
					t.Fatal(err)
				}
				r.flush(s)
				if got := r.all(); !maps.Equal(got, c.want) {
					t.Errorf("the bucket has %q, want %q", got, c.want)
				}
			})
		}
	}
}

// Who looked while content of ours was nowhere but here, and edits it when the bucket has got it, edits what the bucket has.
func TestEditOfWhatWasSeenPending(t *testing.T) {
	r := newRig(t)
	s := r.open()
	seen := Seen{ossclient.Version{Key: "a"}, s.Now()}
	r.write(s, "a", "content")
	r.flush(s)
	f := must(s.Edit("a", seen, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte(", added"), f.Size()); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	if got, want := r.all(), map[string]string{"a": "content, added"}; !maps.Equal(got, want) {
		t.Errorf("the bucket has %q, want %q", got, want)
	}
}

// Who looked before something was deleted here does not edit an empty file in its place.
func TestEditOfWhatIsDeletedSince(t *testing.T) {
	r := newRig(t)
	s := r.open()
	seen := Seen{r.put("a", "content"), s.Now()}
	if err := s.Remove("a", seen); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	if f, err := s.Edit("a", seen, fileAttr(), nil); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("got %v, %v, want %v", f, err, ossclient.ErrNotExist)
	}
}

// Each of several changes counts for those alone who looked before it: what the first one replaced, and others brought back, is not what the second
// one replaced.
func TestPutBackBetweenTwoChanges(t *testing.T) {
	r := newRig(t)
	s := r.open()
	old := r.put("a", "content")
	replace := func(by string, v ossclient.Version) {
		f := must(s.Edit("a", Seen{v, s.Now()}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte(by), 0); err != nil {
			t.Fatal(err)
		}
		r.close(f)
		r.flush(s)
	}
	replace("CONTENT", old)
	r.put("a", "content")
	seen := Seen{old, s.Now()}
	replace("another", r.put("a", "theirs!"))
	f := must(s.Edit("a", seen, fileAttr(), nil))(t)
	defer f.Release()
	if got, want := *f.confirmed, old; got != want {
		t.Errorf("it is an edit of %v, want %v: what was seen was replaced by others", got, want)
	}
}

// What was seen before two states of ours reached the bucket, of which the first was never confirmed, is renamed all the same.
func TestRenameAfterAnUnheardAnswer(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	b := &stored{Bucket: r.bucket}
	r.opt.Bucket = b
	s := r.open()
	seen := r.put("a", "content")
	f := must(s.Edit("a", Seen{Version: seen}, fileAttr(), nil))(t)
	write := func(content string) {
		if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
			t.Error(err)
		}
	}
	write("CON")
	puts := 0
	b.has = func() {
		if puts++; puts > 1 {
			return
		}
		b.unheard = true // and it is written to
		write("Con")
		if err := f.Commit(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Sync(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	f.Release()
	if puts != 2 {
		t.Fatalf("sent %d times, want 2: this test tests nothing", puts)
	}
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: seen, Attr: fileAttr()}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.want("b", "Content")
}
