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
