package writeback

import (
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Another client replaces an object while what an edit has not changed is fetched: the copy that is kept beside it has our bytes
// on top of the new one, and none of the old. Where the new one is shorter there are zeros.
// SEMANTICS 5.2
func TestReplacedWhileItIsFetched(t *testing.T) {
	const size, at = 9 << 20, 8<<20 + 1000
	long, short := noise(size, 2), noise(6<<20, 3)
	for name, tt := range map[string]struct {
		theirs string
		open   bool
	}{"as long": {long, false}, "shorter": {short, false}, "as long, and ours is open": {long, true}, "shorter, and ours is open": {short, true}} {
		t.Run(name, func(t *testing.T) {
			theirs := tt.theirs
			r := newRig(t)
			gets := 0
			r.opt.SinglePut = 16 << 20
			r.opt.Bucket = &fetching{r.bucket, func() {
				if gets++; gets == 3 { // of pieces of 4 MiB
					r.put("a", theirs)
				}
			}}
			s := r.open()
			f := must(s.Edit("a", Seen{Version: r.put("a", noise(size, 1))}, fileAttr(), nil))(t)
			if _, err := f.WriteAt(t.Context(), []byte("EDIT"), at); err != nil {
				t.Fatal(err)
			}
			if r.closed(f); !tt.open {
				f.Release()
			} else {
				defer f.Release()
			}
			r.flush(s)
			r.want("a", theirs)
			keys := r.server.Keys(ossservertest.Bucket)
			if len(keys) != 2 {
				t.Fatalf("the bucket has %q", keys)
			}
			whole := theirs + strings.Repeat("\x00", size-len(theirs))
			r.want(keys[1], whole[:at]+"EDIT"+whole[at+4:])
		})
	}
}

// The same for an edit that is sent in parts, and that nobody has open: the object is replaced before it is looked at.
func TestReplacedBeforePartsAreSent(t *testing.T) {
	const size, at = 3 << 20, 2<<20 + 1000
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	f := must(s.Edit("a", Seen{Version: r.put("a", noise(size, 1))}, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte("EDIT"), at); err != nil {
		t.Fatal(err)
	}
	if err := f.complete(t.Context(), 0, size); err != nil { // as an attempt that failed leaves it
		t.Fatal(err)
	}
	r.close(f)
	theirs := noise(1<<20, 2)
	r.put("a", theirs)
	r.flush(s)
	r.want("a", theirs)
	whole := theirs + strings.Repeat("\x00", size-len(theirs))
	for _, key := range r.server.Keys(ossservertest.Bucket) {
		if key != "a" {
			r.want(key, whole[:at]+"EDIT"+whole[at+4:])
		}
	}
	if n := s.Status().Conflicts; n != 1 {
		t.Errorf("%d conflicts, want 1", n)
	}
}
