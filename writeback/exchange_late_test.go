package writeback

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// stuck is an exchange of left and right, two files or two directories of a file x, that OSS refuses for good to finish and to take back: nothing
// may be copied to a key that begins with denied. The Store has no pending state.
func (r *rig) stuck(s *Store, tail, denied string) {
	r.t.Helper()
	for _, name := range []string{"left", "right"} {
		if tail == "/" {
			r.put(name+tail, "")
			r.put(name+"/x", "was "+name)
		} else {
			r.put(name, "was "+name)
		}
	}
	side := func(name, to string) Side {
		return Side{RenameSource{Version: r.version(name + tail), Attr: fileAttr()}, Key(to + tail)}
	}
	a, b := side("left", "right"), side("right", "left")
	r.server.SetFaults(ossserver.Fault{Op: "CopyObject", KeyPrefix: denied, Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	var told error
	err := s.Exchange(r.t.Context(), a, b, Key("aside"+tail), func(err error) { told = err })
	if !errors.Is(err, ossclient.ErrPermission) || !errors.Is(told, ossclient.ErrPermission) {
		r.t.Errorf("got %v, and told of %v", err, told)
	}
}

// later is the next Open of what a Store leaves, when nothing is refused any more; all is sent, and no move is left.
func (r *rig) later(s *Store) {
	r.t.Helper()
	if err := s.Close(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.server.SetFaults()
	next := r.open()
	r.flush(next)
	if n := next.Status().Moves; n != 0 {
		r.t.Errorf("the journal has %d moves left", n)
	}
}

// done are things that a program may do to a name when an exchange has failed, and what is at the name then.
var done = map[string]func(r *rig, s *Store, key string) (content string){
	"nothing": func(*rig, *Store, string) string { return "" },
	"copied, and the answer was lost": func(r *rig, s *Store, key string) string {
		r.flush(s)
		r.put(key, "was "+strings.TrimSuffix(key, "/x"))
		return ""
	},
	"made anew": func(r *rig, s *Store, key string) string {
		r.write(s, key, "new")
		return "new"
	},
	"made anew, and sent": func(r *rig, s *Store, key string) string {
		r.write(s, key, "new")
		r.flush(s)
		return "new"
	},
	"made anew, sent, and changed": func(r *rig, s *Store, key string) string {
		r.write(s, key, "new")
		r.flush(s)
		if err := s.SetAttr(Key(key), Seen{Version: r.version(key)}, Rest{}, fileAttr()); err != nil {
			r.t.Fatal(err)
		}
		return "new"
	},
}

// What a program puts at the name of what an exchange could neither move nor take back is newer than that: it stays, and what is taken back at last is
// beside it. What is free is as it was.
// SEMANTICS 1.1, 6.3
func TestMadeAnewWhereAnExchangeIsTakenBackLate(t *testing.T) {
	for name, do := range done {
		for _, policy := range []Conflict{KeepBoth, Overwrite, Fail} {
			for _, denied := range []string{"left", "right"} {
				for _, tail := range []string{"", "/"} {
					t.Run(strings.Join([]string{denied + tail, name, []string{"keep both", "overwrite", "fail"}[policy]}, ", "), func(t *testing.T) {
						r := newRig(t)
						r.opt.Delay, r.opt.OnConflict = time.Hour, policy
						s := r.open()
						r.stuck(s, tail, denied)
						want := map[string]string{"left": "was left", "right": "was right"}
						file := denied
						if tail == "/" {
							want = map[string]string{"left/": "", "right/": "", "left/x": "was left", "right/x": "was right"}
							file += "/x"
						}
						if content := do(r, s, file); content != "" {
							want[file+" beside"], want[file] = want[file], content
						}
						r.later(s)
						if got := r.all(); !maps.Equal(got, want) {
							t.Errorf("the bucket has %q, want %q", got, want)
						}
					})
				}
			}
		}
	}
}

// What was written, through a file that is open, to what is aside is not left there when the bucket has it, nor when it has not taken it.
// SEMANTICS 1.1, 6.3
func TestWrittenAsideOfAnExchangeThatIsTakenBackLate(t *testing.T) {
	for _, sent := range []bool{false, true} {
		for _, anew := range []bool{false, true} {
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			f := must(s.Edit("left", Seen{Version: r.put("left", "was left")}, fileAttr(), nil))(t)
			r.stuck(s, "", "left")
			if _, err := f.WriteAt(t.Context(), []byte("IS"), 0); err != nil {
				t.Fatal(err)
			}
			r.close(f)
			if sent {
				r.flush(s)
			}
			want := map[string]string{"left": "ISs left", "right": "was right"}
			if anew {
				want["left beside"], want["left"] = want["left"], "new"
				r.write(s, "left", "new")
			}
			r.later(s)
			if got := r.all(); !maps.Equal(got, want) {
				t.Errorf("sent: %v, made anew: %v: the bucket has %q, want %q", sent, anew, got, want)
			}
		}
	}
}

// Where one side is already at the other's name, and is replaced there by a program, there is nothing to be taken back of it.
// SEMANTICS 1.1, 6.3
func TestReplacedWhereAnExchangeIsTakenBackLate(t *testing.T) {
	for _, sent := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay = time.Hour
		s := r.open()
		r.stuck(s, "", "right")
		f := must(s.Create("left", fileAttr(), r.version("left")))(t)
		if _, err := f.WriteAt(t.Context(), []byte("new"), 0); err != nil {
			t.Fatal(err)
		}
		r.close(f)
		if sent {
			r.flush(s)
		}
		r.later(s)
		want := map[string]string{"left": "new", "left beside": "was left"}
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("sent: %v: the bucket has %q, want %q", sent, got, want)
		}
	}
}

// A rename that a crash interrupted, and the next Open could not complete, does not replace what was put at its new name since.
// SEMANTICS 1.1, 6.2
func TestMadeAnewWhereARenameIsCompletedLate(t *testing.T) {
	for _, tree := range []bool{false, true} {
		r := newRig(t)
		mem := disktest.New()
		r.opt.Disk, r.opt.Delay = mem, time.Hour
		s := r.open()
		var err error
		if v := r.put("a/x", "older"); tree {
			_, _, err = s.beginTree(t.Context(), &move{from: "a/", to: "b/", tree: true, attr: packAttr(&attr.Attr{})}, nil)
		} else {
			_, _, err = s.beginObject(t.Context(), &move{from: "a/x", to: "b/x", source: v, attr: packAttr(&attr.Attr{})}, Seen{})
		}
		if err != nil {
			t.Fatal(err)
		}
		r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
		_, s = r.killed(mem)
		r.write(s, "b/x", "new")
		r.later(s)
		want := map[string]string{"b/x": "new", "b/x beside": "older"}
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("a directory: %v: the bucket has %q, want %q", tree, got, want)
		}
	}
}

// A directory's own object has no name beside it: the newer one stays.
// SEMANTICS 1.1, 6.3
func TestDirectoryMadeAnewWhereAnExchangeIsTakenBackLate(t *testing.T) {
	for _, sent := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay = time.Hour
		s := r.open()
		r.stuck(s, "/", "left")
		var private attr.Attr
		private.SetMode(attr.TypeDir | 0o700)
		if err := s.Put("left/", private, "", ossclient.Version{}); err != nil {
			t.Fatal(err)
		}
		if sent {
			r.flush(s)
		}
		r.later(s)
		want := map[string]string{"left/": "", "left/x": "was left", "right/": "", "right/x": "was right"}
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("sent: %v: the bucket has %q, want %q", sent, got, want)
		}
		o := must(r.bucket.Head(t.Context(), "left/"))(t)
		if a := attr.FromMetadata(o.Metadata); a.Mode != private.Mode {
			t.Errorf("sent: %v: the directory has mode %o, want %o", sent, a.Mode, private.Mode)
		}
	}
}

// What is pending below a directory that is moved late is put beside what is newer, whether that is pending or sent, and whatever the Options say.
// SEMANTICS 1.1, 6.3
func TestPendingBelowADirectoryThatIsMovedLate(t *testing.T) {
	for _, sent := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay, r.opt.OnConflict = time.Hour, Overwrite
		s := r.open()
		r.write(s, "d/x", "new")
		if sent {
			r.flush(s)
		}
		w := swap{pending: map[string]string{"aside/": "", "aside/x": "older"}}
		w.prepare(r, s)
		if !sent {
			w = swap{pending: map[string]string{"d/": ""}}
			w.prepare(r, s)
		}
		m := &move{id: 1, from: "aside/", to: "d/", tree: true, attr: packAttr(&attr.Attr{}), waiting: true, back: true, late: true}
		if err := s.commitOps(op{code: opMove, move: m}); err != nil {
			t.Fatal(err)
		}
		r.later(s)
		want := map[string]string{"d/": "", "d/x": "new", "d/x beside": "older"}
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("sent: %v: the bucket has %q, want %q", sent, got, want)
		}
	}
}

// What a late rename was to replace all along is replaced.
// SEMANTICS 6.2
func TestReplacedByARenameThatIsCompletedLate(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	s := r.open()
	if _, _, err := s.beginObject(t.Context(), &move{from: "a", to: "b", source: r.put("a", "moved"), attr: packAttr(&attr.Attr{})}, Seen{Version: r.put("b", "replaced")}); err != nil {
		t.Fatal(err)
	}
	r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	_, s = r.killed(mem)
	r.later(s)
	if got := r.all(); !maps.Equal(got, map[string]string{"b": "moved"}) {
		t.Errorf("the bucket has %q", got)
	}
}
