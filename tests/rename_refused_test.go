package tests

import (
	"fmt"
	"os"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
)

// The rename of a directory of which OSS refuses an object leaves two halves, and is over with that: what is put at either
// place afterwards is not moved, nor overwritten, by the next mount.
// SEMANTICS 6.2
func TestRefusedRenameIsOver(t *testing.T) {
	const files = 400
	b := harness.New(t)
	for i := range files {
		must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("a/%03d", i), []byte("old"), nil))
	}
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", KeyPrefix: "b/399", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if err := os.Rename(b.Path("a"), b.Path("b")); err == nil {
		t.Fatal("the rename succeeded")
	}
	b.Server.SetFaults()
	harness.Eventually(t, "the new directory", func() bool {
		_, err := os.Stat(b.Path("b"))
		return err == nil
	})
	if got := len(names(t, b.Path("a"))) + len(names(t, b.Path("b"))); got != files {
		t.Errorf("%d files in both directories, want %d", got, files)
	}
	must(t, os.WriteFile(b.Path("b", "399"), []byte("newer"), 0o644))
	must(t, os.WriteFile(b.Path("a", "later"), []byte("later"), 0o644))
	b.Flush()
	b.Remount()
	wantFile(t, b.Path("b", "399"), []byte("newer"))
	wantFile(t, b.Path("a", "later"), []byte("later"))
	wantFile(t, b.Path("a", "399"), []byte("old"))
}

// Who has files of a directory open when its rename fails writes on to them where they are by then: an object that was not copied has its name, and
// what waited to be sent has the new one.
// SEMANTICS 6.2
func TestOpenWhileARenameIsRefused(t *testing.T) {
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "a/object", []byte("old"), nil))
	open := func(name string) *os.File {
		f, err := os.OpenFile(b.Path(name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
		must(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	files := []*os.File{open("a/object"), nil}
	write := func(s string) {
		for _, f := range files {
			_, err := f.WriteString(s)
			must(t, err)
		}
	}
	_, err := files[0].WriteString(", sent")
	must(t, err)
	b.Flush()
	files[1] = open("a/waits")
	_, err = files[1].WriteString("new")
	must(t, err)
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if err := os.Rename(b.Path("a"), b.Path("b")); err == nil {
		t.Fatal("the rename succeeded")
	}
	b.Server.SetFaults()
	write(", written")
	harness.Eventually(t, "the kernel's hearing of it", func() bool {
		_, err := os.Stat(b.Path("a", "waits"))
		_, there := os.Stat(b.Path("b", "waits"))
		return os.IsNotExist(err) && there == nil
	})
	for _, name := range []string{"b/object", "a/waits"} {
		must(t, os.WriteFile(b.Path(name), []byte("another"), 0o644))
	}
	write(" on")
	for _, f := range files {
		must(t, f.Close())
	}
	b.Flush()
	for key, want := range map[string]string{"a/object": "old, sent, written on", "b/waits": "new, written on", "b/object": "another", "a/waits": "another"} {
		if _, body := b.Object(key); string(body) != want {
			t.Errorf("%s is %q, want %q", key, body, want)
		}
	}
}
