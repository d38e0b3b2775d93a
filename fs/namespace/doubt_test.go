package namespace

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// What we changed, and was then replaced by another client, is asked for again when a reader has found that out: the bucket's
// answer to our change is not believed any more.
func TestForgetEndsTheBeliefInAConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close(t)
		w.create("d/f", "1", attr.TypeFile|0o644)
		w.send("d/f")
		look := func(want int64) Entry {
			t.Helper()
			e, err := w.tree.Lookup(t.Context(), "d/", "f")
			if err != nil || e.Size != want {
				t.Errorf("lookup: %d bytes, %v, want %d", e.Size, err, want)
			}
			if e, err = w.tree.Stat(t.Context(), e); err != nil || e.Size != want {
				t.Errorf("stat: %d bytes, %v, want %d", e.Size, err, want)
			}
			return e
		}
		look(1)
		w.bucket.put("d/f", "22", 0)
		look(1)
		w.tree.Forget("d/f")
		look(2)
		w.bucket.remove("d/f")
		w.tree.Forget("d/f")
		if e, err := w.tree.Lookup(t.Context(), "d/", "f"); !errors.Is(err, ossclient.ErrNotExist) {
			t.Errorf("lookup of what is gone: %+v, %v", e, err)
		}
	})
}
