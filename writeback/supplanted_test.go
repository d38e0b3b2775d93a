package writeback

import (
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// A File gives its key up to another client's version when the bucket has had all of it, and not before: what is written, committed or not, or
// what it had itself is no reason to. Its users read on, and what they change afterwards is theirs alone.
func TestSupplanted(t *testing.T) {
	r := newRig(t)
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	defer f.Release()
	theirs := ossclient.Version{Key: "a", ETag: "theirs", Size: 3}
	keeps := func(what string, by ossclient.Version) {
		t.Helper()
		if f.Supplanted(by) {
			t.Errorf("%s: it gave its key up", what)
		}
	}
	write := func(text string) {
		t.Helper()
		if _, err := f.WriteAt(t.Context(), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	keeps("it is new", theirs)
	write("one")
	keeps("it is written to", theirs)
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	keeps("it waits to be sent", theirs)
	r.flush(s)
	keeps("it is what the bucket has", r.version("a"))
	keeps("another key", ossclient.Version{Key: "b", ETag: "theirs", Size: 3})
	write("two")
	keeps("it is written to again", theirs)
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	keeps("it waits again", theirs)
	r.flush(s)
	if theirs = r.put("a", "another client's"); !f.Supplanted(theirs) {
		t.Fatal("it keeps its key")
	}
	keeps("it has no key any more", r.put("a", "a third"))
	p := make([]byte, 3)
	if _, err := f.ReadAt(t.Context(), p, 0); err != nil || string(p) != "two" {
		t.Errorf("it reads %q (%v)", p, err)
	}
	write("six")
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.want("a", "a third")
}
