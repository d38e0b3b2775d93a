package extent

import (
	"math/rand/v2"
	"testing"
)

// A Set answers as an array of bits does.
func TestSetAgainstBits(t *testing.T) {
	const size = 40
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s Set
		var bits [size]bool
		count := func(off, end int64) (n int64) {
			for _, b := range bits[off:end] {
				if b {
					n++
				}
			}
			return n
		}
		for step := range 60 {
			off := rng.Int64N(size)
			end := off + rng.Int64N(size-off+1)
			in := count(off, end)
			if got := s.Contains(off, end); got != (in == end-off) {
				t.Fatalf("seed %d step %d: Contains(%d, %d) of %v: got %v", seed, step, off, end, s.ranges, got)
			}
			if got := s.Overlaps(off, end); got != (in > 0) {
				t.Fatalf("seed %d step %d: Overlaps(%d, %d) of %v: got %v", seed, step, off, end, s.ranges, got)
			}
			var missing, within int64
			for _, r := range s.Missing(off, end) {
				missing += r.Len()
				if count(r.Off, r.End) != 0 {
					t.Fatalf("seed %d step %d: Missing(%d, %d) of %v has %v", seed, step, off, end, s.ranges, r)
				}
			}
			for _, r := range s.Within(off, end) {
				within += r.Len()
			}
			if missing != end-off-in || within != in {
				t.Fatalf("seed %d step %d: [%d, %d) of %v: missing %d, within %d, want %d, %d", seed, step, off, end, s.ranges, missing, within, end-off-in, in)
			}
			add := rng.IntN(3) > 0
			var changed, want int64
			if add {
				changed, want = s.Add(off, end), end-off-in
			} else {
				changed, want = s.Remove(off, end), in
			}
			for i := off; i < end; i++ {
				bits[i] = add
			}
			if changed != want || s.Len() != count(0, size) {
				t.Fatalf("seed %d step %d: add=%v [%d, %d): changed %d, total %d; want %d, %d", seed, step, add, off, end, changed, s.Len(), want, count(0, size))
			}
		}
	}
}
