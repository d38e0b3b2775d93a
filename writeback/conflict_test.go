package writeback

import (
	"context"
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
	if err := s.Remove("a", Seen{Version: theirs}); err != nil {
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

// getHook is a Bucket in which something happens before each read of an object.
type getHook struct {
	*ossclient.Bucket
	before func()
}

func (b *getHook) Get(ctx context.Context, g ossclient.GetRequest) (*ossclient.Body, error) {
	b.before()
	return b.Bucket.Get(ctx, g)
}

// An edit is kept beside what another client has put there, and that is changed once more before the copy is sent: it is sent all the same, over
// what is there then. When it was deleted there is nothing that the edit could be sent over.
// SEMANTICS 5.2
func TestEditBesideWhatChangesAgain(t *testing.T) {
	for next, want := range map[string]string{"their next, a long one": "EDITr next, a long", "short": "EDITt" + strings.Repeat("\x00", 13), "": ""} {
		r, n := newRig(t), 0
		b := &getHook{r.bucket, func() {}}
		r.opt.Delay, r.opt.Bucket = time.Hour, b
		s := r.open()
		f := must(s.Edit("a", Seen{Version: r.put("a", "what was there, 18")}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("EDIT"), 0); err != nil {
			t.Fatal(err)
		}
		r.closed(f)
		r.close(f)
		r.put("a", "theirs, 18 of them")
		b.before = func() {
			switch n++; {
			case n != 2:
			case next == "":
				if err := r.server.Delete(ossservertest.Bucket, "a"); err != nil {
					t.Error(err)
				}
			default:
				r.put("a", next)
			}
		}
		err := s.Flush(t.Context(), "", nil)
		all := r.all()
		if next == "" {
			if err == nil || len(all) != 0 {
				t.Errorf("what it is made of is gone: the bucket has %q (%v)", all, err)
			}
			continue
		}
		if err != nil || all["a"] != next || all["a beside"] != want {
			t.Errorf("after %q the bucket has %q (%v)", next, all, err)
		}
	}
}
