package writeback

import (
	"sync"
	"testing"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Attributes of an open file are set, and sent, after somebody who is about to rename it has looked: what is told of the copy has them.
func TestMovedFileHasTheAttributesThatWereSetLast(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	told := map[Key]attr.Attr{}
	r.opt.Confirmed = func(c Confirmation) {
		mu.Lock()
		defer mu.Unlock()
		told[c.Key] = c.Attr
	}
	s := r.open()
	old := fileAttr()
	f, err := s.Create("a", old, ossclient.Version{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	if _, err := f.WriteAt(t.Context(), []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	looked := RenameSource{Version: r.version("a"), Attr: old}
	newer := fileAttr()
	newer.SetMode(attr.TypeFile | 0o611)
	if err := f.SetAttr(newer); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	if err := s.Rename(t.Context(), "a", "b", looked, Seen{}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := told["b"].Mode; got != newer.Mode {
		t.Errorf("told mode %o, want %o", got, newer.Mode)
	}
}
