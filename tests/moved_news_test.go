package tests

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
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
