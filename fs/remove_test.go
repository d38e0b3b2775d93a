package fs

import (
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// What is removed from, or renamed in, a directory that others have deleted meanwhile makes it no directory again: nothing is done before it is known that the
// directory is there, since one that is only a prefix gets an object of its own before its last entry goes.
func TestRemovalInADirectoryThatIsGone(t *testing.T) {
	for what, change := range map[string]func(d *node) syscall.Errno{
		"unlink": func(d *node) syscall.Errno { return d.Unlink(t.Context(), "f") },
		"rename": func(d *node) syscall.Errno { return d.Rename(t.Context(), "f", d.m.root, "g", 0) },
	} {
		m, server := withoutKernel(t, "d/f", "stays")
		d := find(t, m.root, "d")
		find(t, d, "f")
		if _, err := m.tree.Empty(t.Context(), "d/"); err != nil {
			t.Fatal(err)
		}
		l := m.tree.List(t.Context(), "d/", "") // what is in it is known, and believed
		for e, err := l.Next(t.Context()); err == nil && e.Name != ""; e, err = l.Next(t.Context()) {
		}
		l.Close()
		if err := server.Delete(ossservertest.Bucket, "d/f"); err != nil {
			t.Fatal(err)
		}
		m.tree.Forget("d")
		d.expire()
		if e := change(d); e != syscall.ESTALE {
			t.Errorf("%s: got %v, want %v", what, e, syscall.ESTALE)
		}
		if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
			t.Fatal(err)
		}
		if keys := server.Keys(ossservertest.Bucket); len(keys) != 1 {
			t.Errorf("%s: the bucket has %q", what, keys)
		}
	}
}

// The object of a removed file stays in the bucket as long as somebody reads it, though removals are sent at once, and goes when that is over.
// SEMANTICS 6.4
func TestRemovedFileWaitsForItsReaders(t *testing.T) {
	m, server := withOptions(t, func(o *Options) { o.WriteBack = time.Millisecond })
	gone := func(key string) func() bool {
		return func() bool { _, there := server.Object(ossservertest.Bucket, key); return !there }
	}
	for _, key := range []string{"read", "other"} {
		if err := server.Put(ossservertest.Bucket, key, []byte("bytes of it"), nil); err != nil {
			t.Fatal(err)
		}
	}
	f, _, e := find(t, m.root, "read").Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT) // there is no kernel to be given pages
	if e != 0 {
		t.Fatal(e)
	}
	h := f.(*handle)
	for _, name := range []string{"read", "other"} {
		if e := m.root.Unlink(t.Context(), name); e != 0 {
			t.Fatal(e)
		}
	}
	eventually(t, "what nobody reads is removed", gone("other"))
	got, e := h.Read(t.Context(), make([]byte, 100), 0)
	if e != 0 || got.Size() != len("bytes of it") {
		t.Errorf("the removed file: %v", e)
	} else {
		got.Done()
	}
	h.Release(t.Context())
	eventually(t, "what was read is removed", gone("read"))
}

// eventually waits for what is done in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: that did not come", what)
		}
	}
}

// A removal that cannot be journaled has removed nothing: the file is found by its name as before.
func TestRemovalIsRefused(t *testing.T) {
	m, _ := withoutKernel(t, "file")
	n := find(t, m.root, "file")
	if err := m.store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := m.root.Unlink(t.Context(), "file"); e == 0 {
		t.Fatal("it was removed")
	}
	if find(t, m.root, "file") != n || n.gone {
		t.Error("the name has another node, or none")
	}
}
