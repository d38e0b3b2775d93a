package fs

import (
	"syscall"
	"testing"

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
