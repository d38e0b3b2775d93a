package writeback

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// The key of a conflict's copy is one that OSS and a directory take, however long the name is.
func TestConflictKey(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for _, key := range []string{"f", "d/f", "d/" + strings.Repeat("n", 255), strings.Repeat("d/", 450) + strings.Repeat("n", 100), "d/" + strings.Repeat("ä", 127)} {
		got := string(conflictKey(Key(key), "h/o\nst", now))
		dir, name := path.Split(got)
		if want, _ := path.Split(key); dir != want || len(got) > 1023 || len(name) > 255 || !utf8.ValidString(name) || !strings.HasSuffix(name, ".conflict-h_o_st-20231114T221320.000Z") {
			t.Errorf("%.20q of %d bytes: got %q", key, len(key), got)
		}
	}
}

// When the journal does not take it that ours is kept beside another client's object, ours stays where it is: it is tried again.
// SEMANTICS 5.2
func TestConflictThatIsNotJournaled(t *testing.T) {
	r, mem, s := onMem(t)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, "ours", 0)
	r.closed(f)
	theirs := must(r.bucket.Head(t.Context(), r.put("a", "theirs").Key))(t)
	mem.StopAt(0, nil)
	if err := s.keepBoth(s.get("a"), f, theirs); !errors.Is(err, disktest.ErrStopped) {
		t.Errorf("got %v, want the disk's error", err)
	}
	if f.Key() != "a" || s.Status().Conflicts != 0 {
		t.Errorf("ours is %s, and there are %d conflicts", f.Key(), s.Status().Conflicts)
	}
	f.Release()
	_ = s.Close(t.Context()) // its disk has stopped
	_, next := r.killed(mem)
	r.flush(next)
	r.want("a", "theirs")
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 2 {
		t.Errorf("the bucket has %q", keys)
	} else {
		r.want(keys[1], "ours")
	}
}

// What was refused because of another client's object is no reason to overwrite that client's next one, for whoever removes the name and makes it anew.
// SEMANTICS 5.2
func TestRemovedAndMadeAnewAfterAConflict(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", "ours")
	theirs := r.put("a", "theirs")
	r.flush(s)
	if err := s.Remove("a", theirs); err != nil {
		t.Fatal(err)
	}
	r.write(s, "a", "anew")
	r.put("a", "their next")
	r.flush(s)
	r.want("a", "their next")
	if all := r.all(); len(all) != 2 || !strings.Contains(all["a beside"], "ours") || !strings.Contains(all["a beside"], "anew") {
		t.Errorf("the bucket has %q", all)
	}
}

// Who saw that an object of ours is not there any more, and makes it anew, does not overwrite it when others have brought it back.
// SEMANTICS 5.2
func TestMadeAnewWhereOthersBringBackWhatWasOurs(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", "ours")
	r.flush(s)
	if err := r.server.Delete(ossservertest.Bucket, "a"); err != nil {
		t.Fatal(err)
	}
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, "anew", 0)
	r.closed(f)
	f.Release()
	r.put("a", "ours")
	r.flush(s)
	r.want("a", "ours")
	if all := r.all(); len(all) != 2 || all["a beside"] != "anew" {
		t.Errorf("the bucket has %q", all)
	}
}
