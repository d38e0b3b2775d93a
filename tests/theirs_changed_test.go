package tests

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// Who changes a file by its name means what others have put there, when he has looked since: nothing of it is lost, and nothing taken for a conflict.
// They bring back what we have replaced, so that it has the ETag that it had; or replace what only waits for other attributes.
// SEMANTICS 2.3, 5.2
func TestTheirsIsChanged(t *testing.T) {
	const content, line = "what others have put there, neither the longest\n", "ours\n"
	theirs := func(b *harness.Bed, content string) { must(t, b.Server.Put(harness.Bucket, "a", []byte(content), nil)) }
	attributes := func(b *harness.Bed) error {
		return errors.Join(os.Chmod(b.Path("a"), 0o600), os.Chtimes(b.Path("a"), time.Unix(1, 0), time.Unix(1, 0)))
	}
	befores := map[string]func(b *harness.Bed){
		"put back": func(b *harness.Bed) {
			theirs(b, content)
			must(t, os.Truncate(b.Path("a"), 9))
			b.Flush()
			theirs(b, content)
		},
		"shorter, where attributes wait": func(b *harness.Bed) {
			theirs(b, content+content)
			must(t, attributes(b))
			theirs(b, content)
		},
		"longer, where attributes wait": func(b *harness.Bed) {
			theirs(b, line)
			must(t, attributes(b))
			theirs(b, content)
		},
	}
	for name, c := range map[string]struct {
		do   func(b *harness.Bed) error
		want map[string]string
	}{
		"append": {func(b *harness.Bed) error {
			f, err := os.OpenFile(b.Path("a"), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(line)
			return errors.Join(err, f.Close())
		}, map[string]string{"a": content + line}},
		"rename": {func(b *harness.Bed) error { return os.Rename(b.Path("a"), b.Path("b")) }, map[string]string{"b": content}},
		"rename over it": {func(b *harness.Bed) error {
			return errors.Join(os.WriteFile(b.Path("b"), []byte(line), 0o600), os.Rename(b.Path("b"), b.Path("a")))
		}, map[string]string{"a": line}},
		"truncate":   {func(b *harness.Bed) error { return os.Truncate(b.Path("a"), 4) }, map[string]string{"a": content[:4]}},
		"remove":     {func(b *harness.Bed) error { return os.Remove(b.Path("a")) }, map[string]string{}},
		"attributes": {attributes, map[string]string{"a": content}},
	} {
		for before, prepare := range befores {
			t.Run(name+", "+before, func(t *testing.T) {
				b := harness.New(t, func(o *fsOptions) { o.TTL, o.WriteBack, o.OnConflict = 0, time.Hour, writeback.Fail })
				prepare(b)
				must(t, c.do(b))
				b.Flush()
				got := map[string]string{}
				for _, key := range b.Server.Keys(harness.Bucket) {
					body, _, err := b.Server.Content(harness.Bucket, key)
					must(t, err)
					if !strings.HasSuffix(key, "/") {
						got[key] = string(body)
					}
				}
				if !maps.Equal(got, c.want) {
					t.Errorf("the bucket has %q, want %q", got, c.want)
				}
			})
		}
	}
}

// Who has opened what others have put there reads and writes on when attributes that waited are set on it, though the copy that sets them has
// another ETag.
// SEMANTICS 2.1
func TestTheirsIsOpenWhenAttributesAreSent(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL, o.WriteBack = 0, time.Hour })
	old, theirs := noise(1, 3<<20), noise(2, 4<<20)
	must(t, b.Server.Put(harness.Bucket, "a", old, nil))
	must(t, os.Chmod(b.Path("a"), 0o600))
	must(t, b.Server.Put(harness.Bucket, "a", theirs, nil))
	f, err := os.OpenFile(b.Path("a"), os.O_RDWR, 0)
	must(t, err)
	p := make([]byte, 1000)
	if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, theirs[:len(p)]) {
		t.Fatalf("it reads something else than what was put there (%v)", err)
	}
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 400, Code: "EntityTooLarge"})
	b.Flush()
	if o, _ := b.Object("a"); o.Type != "Multipart" {
		t.Fatalf("it was copied as %s, and this test tests nothing", o.Type)
	}
	at := int64(len(theirs) - len(p))
	if _, err := f.ReadAt(p, at); err != nil || !bytes.Equal(p, theirs[at:]) {
		t.Errorf("it does not read what was put there (%v)", err)
	}
	_, err = f.WriteAt([]byte("ours"), 0)
	must(t, errors.Join(err, f.Close()))
	b.Flush()
	wantObject(t, b, "a", append([]byte("ours"), theirs[4:]...))
	if keys := b.Server.Keys(harness.Bucket); len(keys) != 1 {
		t.Errorf("the bucket has %q", keys)
	}
}
