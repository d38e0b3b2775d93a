package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// Another client has changed an object before ours of it is sent, whole or as an edit, or has made one where ours is
// new: --on-conflict decides.
// SEMANTICS 5.2
func TestOnConflict(t *testing.T) {
	changes := map[string]func(t *testing.T, path string){
		"overwritten": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("ours"), 0o644)) },
		"edited": func(t *testing.T, path string) {
			withFile(t, path, os.O_RDWR, func(f *os.File) error { _, err := f.WriteAt([]byte("OURS"), 0); return err })
		},
	}
	policies := map[string]writeback.Conflict{"keep-both": writeback.KeepBoth, "overwrite": writeback.Overwrite, "fail": writeback.Fail}
	for name, change := range changes {
		for policy, on := range policies {
			t.Run(name+" "+policy, func(t *testing.T) {
				b := harness.New(t, func(o *fsOptions) { o.OnConflict = on })
				must(t, os.WriteFile(b.Path("f"), []byte("before"), 0o644))
				b.Afresh()
				wantFile(t, b.Path("f"), []byte("before"))
				change(t, b.Path("f"))
				ours, err := os.ReadFile(b.Path("f"))
				must(t, err)
				must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
				err = b.Mount.Flush(t.Context(), "", nil)
				stored := map[string]string{}
				for _, key := range b.Server.Keys(harness.Bucket) {
					_, body := b.Object(key)
					if strings.HasPrefix(key, "f.conflict-") {
						key = "beside"
					}
					stored[key] = string(body)
				}
				want := map[string]string{"f": "theirs"}
				switch {
				case on == writeback.Fail:
				case name == "edited": // also with overwrite: what was not written to is gone, and theirs is in its place
					want["beside"] = "OURSrs"
				case on == writeback.KeepBoth:
					want["beside"] = string(ours)
				case on == writeback.Overwrite:
					want["f"] = string(ours)
				}
				if len(stored) != len(want) || stored["f"] != want["f"] || stored["beside"] != want["beside"] {
					t.Errorf("the bucket has %q, want %q", stored, want)
				}
				var unsent *writeback.Unsent
				if failed := errors.As(err, &unsent); failed != (on == writeback.Fail) || err != nil && !failed {
					t.Errorf("flush: got %v", err)
				}
				if on != writeback.Fail {
					return
				}
				wantFile(t, b.Path("f"), ours)
				withFile(t, b.Path("f"), os.O_RDONLY, func(f *os.File) error {
					if err := f.Sync(); err == nil || errors.Is(err, syscall.EIO) {
						t.Errorf("fsync: got %v, want that it was changed", err)
					}
					return nil
				})
			})
		}
	}
}

// After a conflict the name is the other client's object, also for the kernel, which had the pages and the size of ours: what is read
// is theirs, and what is appended is appended to theirs.
// SEMANTICS 2.1
// SEMANTICS 5.2
func TestAfterAConflict(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open: %v", open), func(t *testing.T) {
			b := harness.New(t)
			must(t, os.WriteFile(b.Path("f"), []byte("before"), 0o644))
			b.Afresh()
			wantFile(t, b.Path("f"), []byte("before"))
			const ours = "ours, and longer"
			withFile(t, b.Path("f"), os.O_RDWR, func(f *os.File) error {
				if _, err := f.WriteAt([]byte(ours), 0); err != nil || !open {
					return err
				}
				must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
				must(t, b.Mount.Flush(t.Context(), "", nil))
				got := make([]byte, len(ours))
				if _, err := f.ReadAt(got, 0); err != nil || string(got) != ours {
					t.Errorf("read by who has it open: got %q, %v, want %q", got, err, ours)
				}
				if st, err := f.Stat(); err != nil || st.Size() != int64(len(ours)) {
					t.Errorf("shown to who has it open: %v, %v, want %d bytes", st, err, len(ours))
				}
				return nil
			})
			if !open {
				wantFile(t, b.Path("f"), []byte(ours))
				must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
				must(t, b.Mount.Flush(t.Context(), "", nil))
			}
			harness.Eventually(t, "the kernel's hearing of it", func() bool { return stat(t, b.Path("f")).Size == int64(len("theirs")) })
			wantFile(t, b.Path("f"), []byte("theirs"))
			withFile(t, b.Path("f"), os.O_WRONLY|os.O_APPEND, func(f *os.File) error { _, err := f.WriteString(", and more"); return err })
			must(t, b.Mount.Flush(t.Context(), "", nil))
			if _, body := b.Object("f"); string(body) != "theirs, and more" {
				t.Errorf("the bucket has %q, want %q", body, "theirs, and more")
			}
		})
	}
}

// Who has a file open when another client's takes its name goes on with what he wrote, under the name that it has beside the other; who opens the
// name then has theirs, and nothing that is done to the name or to the open file takes away what the other holds.
// SEMANTICS 5.2
func TestOpenThroughAConflict(t *testing.T) {
	b := harness.New(t)
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer f.Close()
	write := func(s string) { _, err := f.WriteString(s); must(t, err) }
	write("ours")
	must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
	must(t, b.Mount.Flush(t.Context(), "", nil))
	harness.Eventually(t, "the kernel's hearing of it", func() bool { return stat(t, b.Path("f")).Size == int64(len("theirs")) })
	wantFile(t, b.Path("f"), []byte("theirs"))
	copies, err := filepath.Glob(b.Path("f.conflict-*"))
	must(t, err)
	if len(copies) != 1 {
		t.Fatalf("%q is kept, want one", copies)
	}
	write(", and more")
	wantFile(t, copies[0], []byte("ours, and more"))
	if mine, named := inode(t, f), stat(t, copies[0]).Ino; mine != named {
		t.Errorf("the open file is %d, its name shows %d", mine, named)
	}
	withFile(t, b.Path("f"), os.O_WRONLY|os.O_APPEND, func(f *os.File) error { _, err := f.WriteString(", and this"); return err })
	must(t, f.Sync())
	must(t, b.Mount.Flush(t.Context(), "", nil))
	for key, want := range map[string]string{"f": "theirs, and this", filepath.Base(copies[0]): "ours, and more"} {
		if _, body := b.Object(key); string(body) != want {
			t.Errorf("%s is %q in the bucket, want %q", key, body, want)
		}
	}
	must(t, os.Remove(b.Path("f")))
	write(", to the end")
	must(t, f.Close())
	must(t, b.Mount.Flush(t.Context(), "", nil))
	if _, body := b.Object(filepath.Base(copies[0])); string(body) != "ours, and more, to the end" {
		t.Errorf("%q in the bucket", body)
	}
}

func inode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	st, err := f.Stat()
	must(t, err)
	return st.Sys().(*syscall.Stat_t).Ino
}

// What is kept beside of an edit has theirs wherever nothing was written here: who has it open reads what is stored, and not the pages of what was
// there before.
// SEMANTICS 5.2
func TestEditThroughAConflict(t *testing.T) {
	b := harness.New(t)
	object := func(c string) []byte { return []byte(strings.Repeat(c, 256<<10)) }
	must(t, b.Server.Put(harness.Bucket, "f", object("b"), nil))
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	wantFile(t, b.Path("f"), object("b")) // the kernel has its pages
	_, err = f.WriteAt([]byte("ours"), 0)
	must(t, err)
	must(t, b.Server.Put(harness.Bucket, "f", object("t"), nil))
	must(t, b.Mount.Flush(t.Context(), "", nil))
	want := append([]byte("ours"), object("t")[4:]...)
	got := make([]byte, len(want))
	harness.Eventually(t, "the kernel's hearing of it", func() bool {
		_, err := f.ReadAt(got, 0)
		return err == nil && bytes.Equal(got, want)
	})
	copies, err := filepath.Glob(b.Path("f.conflict-*"))
	must(t, err)
	if len(copies) != 1 {
		t.Fatalf("%q is kept, want one", copies)
	}
	wantFile(t, copies[0], want)
	wantFile(t, b.Path("f"), object("t"))
}
