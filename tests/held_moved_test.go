package tests

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/tests/harness"
)

// What is written to an open file does not take the place of what others have put where the file was, though a rename of the directories has put
// that where the file is now.
// SEMANTICS 5.2
func TestHeldWhileItsDirectoryIsMovedWithNews(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0; o.WriteBack = time.Hour })
	put := func(key, content string) { must(t, b.Server.Put(harness.Bucket, key, []byte(content), nil)) }
	put("d/a", "theirs")
	put("e/a", "before")
	f, err := os.OpenFile(b.Path("e", "a"), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("ours"), 0)
	must(t, err)
	b.Flush()
	_, ours := b.Object("e/a")
	put("d/a", string(ours)) // another mount has exchanged the two
	put("e/a", "theirs")
	must(t, errors.Join(os.Rename(b.Path("d"), b.Path("f")), os.Rename(b.Path("e"), b.Path("d")), os.Rename(b.Path("f"), b.Path("e"))))
	_, err = f.WriteAt([]byte("more of ours"), 0)
	must(t, errors.Join(err, f.Close()))
	b.Flush()
	var contents []string
	for _, key := range b.Server.Keys(harness.Bucket) {
		_, body := b.Object(key)
		contents = append(contents, string(body))
	}
	for _, want := range []string{"theirs", "more of ours"} {
		if !slices.Contains(contents, want) {
			t.Errorf("the bucket has %q, want %q among it", contents, want)
		}
	}
}
