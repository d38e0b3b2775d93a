package writeback

import (
	"context"
	"fmt"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// A file whose object we copied twice in a row reads from the last copy, whichever of the two who tell it comes first: from the
// one before it would be ESTALE.
// SEMANTICS 2.1, 2.3
func TestRebaseTakesTheLast(t *testing.T) {
	r := newRig(t)
	s := r.open()
	var files []*File
	for i := range 200 {
		v := ossclient.Version{Key: Key(fmt.Sprint("f", i)), ETag: "first", Size: 10}
		f := must(s.Edit(v.Key, Seen{Version: v}, fileAttr(), nil))(t)
		files = append(files, f)
		f.mu.RLock() // somebody reads
		s.change.Lock()
		for _, tag := range []ossclient.ETag{"second", "third"} {
			v.ETag = tag
			s.rebaseLocked(f, v)
		}
		s.change.Unlock()
		f.mu.RUnlock()
	}
	if err := s.Close(context.Background()); err != nil { // it waits for those who tell
		t.Fatal(err)
	}
	for _, f := range files {
		if f.base.ETag != "third" {
			t.Fatalf("%s reads from the %s version, want the third", f.key, f.base.ETag)
		}
	}
}

// The same while the mount works: attributes of an open file are sent, and its object renamed, again and again; each time it is
// read from what is there.
func TestReadAfterItsObjectWasCopied(t *testing.T) {
	r := newRig(t)
	s := r.open()
	content := noise(2<<20, 1)
	v := r.put("a0", content)
	f := must(s.Edit("a0", Seen{Version: v}, fileAttr(), nil))(t)
	defer f.Release()
	p := make([]byte, 1000)
	for i := range 20 {
		a := fileAttr()
		a.SetMode(a.Mode ^ uint32(i&1))
		if err := f.SetAttr(a); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(t.Context(), f.Key()); err != nil {
			t.Fatal(err)
		}
		from, to := f.Key(), Key(fmt.Sprint("a", i+1))
		if err := s.Rename(t.Context(), from, to, RenameSource{Version: r.version(string(from)), Attr: a}, Seen{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(t.Context(), p, int64(i)*1000); err != nil || string(p) != content[i*1000:(i+1)*1000] {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}

// What is written is on top of the version that the bucket has by our doing, also when nobody has told the file yet.
func TestWriteIsOnTopOfTheLast(t *testing.T) {
	r := newRig(t)
	s := r.open()
	v := r.put("a", "content")
	f := must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t)
	defer f.Release()
	last := ossclient.Version{Key: "a", ETag: "a later one", Size: v.Size}
	s.mu.Lock()
	f.confirmed = &last
	s.mu.Unlock()
	if _, err := f.WriteAt(t.Context(), []byte("C"), 0); err != nil {
		t.Fatal(err)
	}
	if st, ok := s.Lookup("a"); !ok || st.Base != last {
		t.Errorf("on top of %v (%v), want %v", st.Base, ok, last)
	}
}
