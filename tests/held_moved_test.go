package tests

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/tests/harness"
)

// What is done with an open file does not take away what others have put where the file was, though a rename of the directories has put
// that where the file is now.
// SEMANTICS 5.2
func TestHeldWhileItsDirectoryIsMovedWithNews(t *testing.T) {
	for what, do := range map[string]func(path string, f *os.File) error{
		"written to": func(_ string, f *os.File) error {
			_, err := f.WriteAt([]byte("more of ours"), 0)
			return errors.Join(err, f.Close())
		},
		"removed": func(path string, f *os.File) error { return errors.Join(os.Remove(path), f.Close()) },
		"renamed over": func(path string, f *os.File) error {
			return errors.Join(os.WriteFile(path+"2", []byte("new"), 0o644), os.Rename(path+"2", path), f.Close())
		},
	} {
		t.Run(what, func(t *testing.T) { heldWhileItsDirectoryIsMoved(t, do) })
	}
}

func heldWhileItsDirectoryIsMoved(t *testing.T, do func(path string, f *os.File) error) {
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
	must(t, do(b.Path("d", "a"), f))
	b.Flush()
	if contents := contentsOf(b); !slices.Contains(contents, "theirs") {
		t.Errorf("the bucket has %q, want theirs among it", contents)
	}
}

// contentsOf is what the objects of the bucket have.
func contentsOf(b *harness.Bed) (list []string) {
	for _, key := range b.Server.Keys(harness.Bucket) {
		_, body := b.Object(key)
		list = append(list, string(body))
	}
	return list
}

// Who renames something to the name of a file that is open for writing means the file: what another client has put there meanwhile is kept.
// SEMANTICS 5.2
func TestRenamedOntoAHeldFileThatOthersReplaced(t *testing.T) {
	for _, sent := range []bool{false, true} {
		b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
		must(t, os.WriteFile(b.Path("new"), []byte("new"), 0o644))
		f, err := os.OpenFile(b.Path("a"), os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		_, err = f.WriteString("ours")
		must(t, err)
		b.Flush()
		if !sent {
			must(t, os.WriteFile(b.Path("new"), []byte("new, unsent"), 0o644))
		}
		must(t, b.Server.Put(harness.Bucket, "a", []byte("theirs"), nil))
		wantFile(t, b.Path("a"), []byte("ours"))
		must(t, errors.Join(os.Rename(b.Path("new"), b.Path("a")), f.Close()))
		b.Flush()
		if contents := contentsOf(b); len(contents) != 2 || !slices.Contains(contents, "theirs") {
			t.Errorf("sent: %v: the bucket has %q, want theirs and what was renamed", sent, contents)
		}
	}
}
