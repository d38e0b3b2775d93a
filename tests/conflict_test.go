package tests

import (
	"errors"
	"os"
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
