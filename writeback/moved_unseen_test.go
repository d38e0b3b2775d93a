package writeback

import (
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// Who renames what waits to be sent, and finds that it has given way to another client's object, moves that one, and is told how long it is: what is
// added to it does not take its place.
func TestRenamedWhenItHasGivenWay(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = 1 << 40
	s := r.open()
	r.put("a", "theirs")
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: ossclient.Version{Key: "a"}}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	told := r.confirmed[0]
	r.mu.Unlock()
	if told.Key != "b" || told.Object.Size != 6 || told.Source.ETag == "" {
		t.Errorf("told %+v", told)
	}
	f := must(s.Edit("b", Seen{Version: told.Object.Version}, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte(", ours"), f.Size()); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("b", "theirs, ours")
}
