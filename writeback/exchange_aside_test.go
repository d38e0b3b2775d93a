package writeback

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// What is aside in an exchange may be sent meanwhile, as when the other side cannot be copied for a while. When the power fails then, the
// exchange is known, and nothing is left under the name that nobody but it knows.
// SEMANTICS 6.3
func TestPowerFailsWhenTheBucketHasWhatIsAside(t *testing.T) {
	for _, size := range []int{100, 100 << 10} { // in the journal, in a staged file
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%d/%d", size, seed), func(t *testing.T) {
				r := newRig(t)
				mem := disktest.New()
				b := &stored{Bucket: r.bucket, has: func() {}}
				r.opt.Disk, r.opt.Delay, r.opt.smallMost, r.opt.Bucket = mem, time.Hour, 1000, b
				s := r.open()
				first, second := noise(size, 1), "was b"
				w := swap{sent: map[string]string{"b": second}, pending: map[string]string{"a": first}}
				w.prepare(r, s)
				sides := [2]Side{{RenameSource{Attr: fileAttr()}, "b"}, {RenameSource{Version: r.version("b"), Attr: fileAttr()}, "a"}}
				sides[0].Version.Key = "a"
				if begun, _, err := s.beginMove(t.Context(), s.legs(sides[0], sides[1], "aside")); begun != nil || err != nil {
					t.Fatalf("got %v, %v, want that it was moved here", begun, err)
				}
				b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
				if out := s.send(t.Context(), "aside", false); out.err != nil {
					t.Fatal(out.err)
				}
				r.opt.Bucket = r.bucket
				next := r.open()
				r.flush(next)
				r.want("a", second)
				r.want("b", first)
				if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 2 {
					t.Errorf("the bucket has %q", keys)
				}
			})
		}
	}
}

// The process dies when the first side of an exchange has just been put aside, and another client deletes, or replaces, that object: nothing is left
// under the name that nobody but the exchange knows.
// SEMANTICS 6.3
func TestOthersTakeWhatIsAside(t *testing.T) {
	for _, theirs := range []string{"", "theirs"} {
		for _, believe := range []time.Duration{0, time.Hour} {
			r, mem, s := onMem(t)
			r.opt.Believe = believe
			a := Side{RenameSource{Version: r.put("a", "was a"), Attr: fileAttr()}, "b"}
			b := Side{RenameSource{Version: r.put("b", "was b"), Attr: fileAttr()}, "a"}
			if _, _, err := s.beginMove(t.Context(), s.legs(a, b, "aside")); err != nil {
				t.Fatal(err)
			}
			r.put("aside", "was a") // its copy
			want := map[string]string{"b": "was b"}
			if theirs != "" {
				r.put("a", theirs)
				want["a"] = theirs
			} else {
				r.server.Delete(ossservertest.Bucket, "a")
			}
			_, next := r.killed(mem)
			r.flush(next)
			if got := r.all(); !maps.Equal(got, want) {
				t.Errorf("theirs %q: the bucket has %q, want %q", theirs, got, want)
			}
		}
	}
}
