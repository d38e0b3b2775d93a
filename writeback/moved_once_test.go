package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// Attributes that wait when their object is renamed are stored by the copy that this makes, and by nothing else.
func TestAttributesOfWhatIsMovedAreSentOnce(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	v := r.put("a", "content")
	a := fileAttr()
	a.SetMtime(time.Unix(1, 0))
	if err := s.SetAttr("a", Seen{Version: v}, Rest{}, a); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: v, Attr: fileAttr()}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.want("b", "content")
	o, _ := r.server.Object(ossservertest.Bucket, "b")
	if got := o.Header.Get("X-Oss-Meta-Mtime"); got != "1" {
		t.Errorf("b has the mtime %q, want 1", got)
	}
	if n := r.server.Counts()["CopyObject"]; n != 1 {
		t.Errorf("%d copies, want 1", n)
	}
}

// What is made anew where a delete was about to be sent waits as long as anything new does.
// SEMANTICS 1.6
func TestMadeAnewBeforeTheDeleteWaits(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	v := r.put("a", "before")
	if err := s.Remove("a", Seen{Version: v}); err != nil {
		t.Fatal(err)
	}
	l := s.loop
	if err := l.ask(func() { l.enqueue(s.get("a"), false) }); err != nil {
		t.Fatal(err)
	}
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, "anew", 0)
	r.close(f)
	if err := l.ask(func() { l.since = time.Time{} }); err != nil { // no more waiting for company
		t.Fatal(err)
	}
	var left, sent int
	if err := l.ask(func() { left, sent = l.absent.len(), len(l.active)+l.small.len() }); err != nil {
		t.Fatal(err)
	}
	if left > 0 || sent > 0 || s.get("a") == nil {
		t.Errorf("%d wait for company, and %d are sent, want none", left, sent)
	}
	r.want("a", "before")
	r.flush(s)
	r.want("a", "anew")
}
