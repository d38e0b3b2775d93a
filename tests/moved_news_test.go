package tests

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
	"golang.org/x/sys/unix"
)

// What others put in the place of a file that was moved here is seen as a whole: no page of the bytes that it had.
func TestNewsOfWhatWasMoved(t *testing.T) {
	moves := map[string]func(b *harness.Bed) (path string, err error){
		"file":      func(b *harness.Bed) (string, error) { return b.Path("e"), os.Rename(b.Path("d", "a"), b.Path("e")) },
		"directory": func(b *harness.Bed) (string, error) { return b.Path("e", "a"), os.Rename(b.Path("d"), b.Path("e")) },
		"directory, twice": func(b *harness.Bed) (string, error) {
			must(t, os.Rename(b.Path("d"), b.Path("f")))
			return b.Path("e", "a"), os.Rename(b.Path("f"), b.Path("e"))
		},
	}
	for what, move := range moves {
		for _, ttl := range []time.Duration{0, time.Minute} {
			t.Run(what+" "+ttl.String(), func(t *testing.T) {
				b := harness.New(t, func(o *fsOptions) { o.TTL = ttl })
				old, news := bytes.Repeat([]byte("o"), 1000), bytes.Repeat([]byte("n"), 2000)
				must(t, b.Server.Put(harness.Bucket, "d/a", old, nil))
				wantFile(t, b.Path("d", "a"), old)
				path, err := move(b)
				must(t, err)
				must(t, b.Server.Put(harness.Bucket, path[len(b.Dir)+1:], news, nil))
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, news) && (ttl == 0 || !bytes.Equal(got, old)) {
					t.Errorf("%d bytes, of which %d are news (%v)", len(got), bytes.Count(got, []byte("n")), err)
				}
			})
		}
	}
}

// Who reads a file on while it is moved is not disturbed, though the copy that a large object is made by has another ETag.
func TestMovedInPartsAndReadOn(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
	content := noise(1, 3<<20)
	must(t, b.Server.Put(harness.Bucket, "f", content, nil))
	f, err := os.Open(b.Path("f"))
	must(t, err)
	defer f.Close()
	p := make([]byte, 1000)
	_, err = f.ReadAt(p, 0)
	must(t, err)
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 400, Code: "EntityTooLarge"})
	must(t, os.Rename(b.Path("f"), b.Path("g")))
	before, _ := b.Object("g")
	if before.Type != "Multipart" {
		t.Fatalf("it was copied as %s", before.Type)
	}
	_, err = os.Stat(b.Path("g"))
	must(t, err)
	_, err = f.ReadAt(p, 2<<20)
	must(t, err)
	wantBytes(t, "what is read on", p, content[2<<20:][:1000])
}

// Attributes that are not sent yet, of a file that others replace meanwhile by one of the same length, do not mix the two: it is the one or the other.
func TestReplacedWhileAttributesWait(t *testing.T) {
	t.Run("read meanwhile", func(t *testing.T) { replacedWhileAttributesWait(t, true) })
	t.Run("not read", func(t *testing.T) { replacedWhileAttributesWait(t, false) })
}

func replacedWhileAttributesWait(t *testing.T, read bool) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
	old, news := bytes.Repeat([]byte("o"), 1000), bytes.Repeat([]byte("n"), 1000)
	must(t, b.Server.Put(harness.Bucket, "f", old, nil))
	wantFile(t, b.Path("f"), old)
	must(t, os.Chmod(b.Path("f"), 0o600))
	must(t, b.Server.Put(harness.Bucket, "f", news, nil))
	for i := 0; read && i < 2; i++ { // from the page cache, and from what is remembered below it
		if got, err := os.ReadFile(b.Path("f")); !errors.Is(err, syscall.ESTALE) && (err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, news)) {
			t.Errorf("%d bytes (%v)", len(got), err)
		}
		f, err := os.Open(b.Path("f"))
		must(t, err)
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		must(t, f.Close())
	}
	b.Flush()
	wantFile(t, b.Path("f"), news)
	st, err := os.Stat(b.Path("f"))
	must(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("it has the mode %v", st.Mode())
	}
}
