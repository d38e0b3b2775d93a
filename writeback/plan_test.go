package writeback

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
)

func planner(budget int64) *Store {
	return &Store{opt: Options{StageBudget: budget, SinglePut: 16 << 20, partFirst: partFirst, cell: editCell}}
}

// A file of any size that OSS takes is cut into at most 10,000 parts, without a gap, none smaller than
// 100 KiB (but the last) or larger than 5 GiB, and its last part is not what one waits for.
func TestPlanOfAnySize(t *testing.T) {
	s := planner(1 << 50)
	sizes := []int64{16<<20 + 1, 24 << 20, 1 << 30, 1<<30 + 1, 100e9, 1 << 40, 488e11}
	for range 300 {
		sizes = append(sizes, rand.Int64N(488e11)>>rand.IntN(20))
	}
	for _, size := range sizes {
		list := s.plan(size, nil, nil)
		at := int64(0)
		for i, p := range list {
			if p.off != at || p.n > partMost || p.copied || p.n < 100<<10 && i < len(list)-1 {
				t.Fatalf("size %d: part %d of %d is %+v, want one at %d", size, i+1, len(list), p, at)
			}
			at += p.n
		}
		if at != size || len(list) > maxParts {
			t.Errorf("size %d: %d parts of %d bytes in all", size, len(list), at)
		}
		if last := list[len(list)-1].n; len(list)+tailParts < maxParts && size > partFirst && last > max(partFirst, size/tailParts/8) {
			t.Errorf("size %d: the last of %d parts has %d bytes", size, len(list), last)
		}
	}
}

// A part that is settled is cut in the same way of every larger file.
func TestPlanIsStable(t *testing.T) {
	for _, budget := range []int64{1 << 50, 4 << 30, 100 << 20} {
		s := planner(budget)
		for range 200 {
			size := rand.Int64N(1 << (26 + rand.IntN(16)))
			more := size + rand.Int64N(1<<34)
			small, large := s.plan(size, nil, nil), s.plan(more, nil, nil)
			for i, p := range small {
				if s.settled(p.off, size) && p.n == s.partSize(p.off) && large[i] != p {
					t.Fatalf("budget %d: part %d is %+v of %d bytes and %+v of %d", budget, i+1, p, size, large[i], more)
				}
			}
		}
	}
}

// The end of a file was sent and its upload not completed. The file grows, and the stage is full: the bytes
// that will be cut otherwise stay.
func TestEndIsNotPunched(t *testing.T) {
	r := newRig(t)
	r.opt.StageBudget, r.opt.SinglePut, r.opt.partFirst = 4<<20, 256<<10, 256<<10
	s := r.open()
	r.server.SetFaults(ossserver.Fault{Op: "CompleteMultipartUpload", Kind: ossserver.Error500})
	content := strings.Repeat("0123456789abcde\n", 50_000)
	r.write(s, "a", content)
	for len(s.Status().Failures) == 0 {
		time.Sleep(time.Millisecond)
	}
	f, ok := s.OpenContent("a")
	if !ok {
		t.Fatal("the content is not pending any more")
	}
	if _, err := f.WriteAt(t.Context(), []byte(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if err := f.relieve(); err != nil {
		t.Fatal(err)
	}
	if !s.holed(f.stage) {
		t.Error("nothing was given back")
	}
	r.server.SetFaults()
	r.close(f)
	r.flush(s)
	r.want("a", content+content)
}
