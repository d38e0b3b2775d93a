package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/tests/harness"
)

// pathsByContent walks a mount whose files contain their keys.
func pathsByContent(t *testing.T, top string) map[string]string {
	t.Helper()
	paths := map[string]string{}
	must(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		body, err := os.ReadFile(path)
		paths[string(body)] = path
		return err
	}))
	return paths
}

// SEMANTICS 3.1, 3.2: what lies under an odd key is a file like others: it is written, renamed away and back, and removed, and
// each time the bucket has just that key. OSS has no keys that begin with a slash.
func TestOddKeysAreFilesLikeOthers(t *testing.T) {
	b := harness.Unmounted(t)
	long := strings.Repeat("l", 300)
	keys := []string{
		"a", "a/b", "s//t", "s///u", "s/./u", "s/../v", "s/.", "s/..", "s/" + long, "s/" + long + "/below", "s/\x01\n\t\x7f",
		"s/%oss:key=.", "s/%oss:file=x", "s/ ", "s/\\",
	}
	for _, k := range keys {
		must(t, b.Server.Put(harness.Bucket, k, []byte(k), nil))
	}
	b.Attach()
	has := func(when, key string, want []byte) {
		t.Helper()
		b.Flush()
		found := slices.Contains(b.Server.Keys(harness.Bucket), key)
		if found != (want != nil) {
			t.Errorf("%s: the bucket has %q: %v", when, key, found)
			return
		}
		if found {
			_, body := b.Object(key)
			wantBytes(t, when+": "+key, body, want)
		}
	}
	for key, path := range pathsByContent(t, b.Dir) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.WriteString(" and more")
		must(t, err)
		must(t, f.Close())
		whole := []byte(key + " and more")
		has("written", key, whole)
		must(t, os.Rename(path, b.Path("renamed")))
		has("renamed", key, nil)
		has("renamed", "renamed", whole)
		wantFile(t, b.Path("renamed"), whole)
		must(t, os.Rename(b.Path("renamed"), path))
		has("renamed back", key, whole)
		has("renamed back", "renamed", nil)
		wantFile(t, path, whole)
		must(t, os.Remove(path))
		has("removed", key, nil)
		must(t, os.WriteFile(path, []byte(key), 0o644))
		has("made anew", key, []byte(key))
	}
	b.Afresh()
	paths := pathsByContent(t, b.Dir)
	for _, key := range keys {
		if paths[key] == "" {
			t.Errorf("%q is not found by another mount", key)
		}
	}
	if len(paths) != len(keys) {
		t.Errorf("%d files, want %d", len(paths), len(keys))
	}
}
