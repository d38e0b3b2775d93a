package writeback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/extent"
)

func planner(budget int64) *Store {
	return &Store{opt: Options{StageBudget: budget, SinglePut: 16 << 20, partFirst: partFirst, cell: editCell}}
}

// anySize are sizes up to the largest that OSS takes, and the limits at which something changes.
func anySize() []int64 {
	sizes := []int64{16<<20 + 1, 24 << 20, 1 << 30, 1<<30 + 1, 80e9, 84e9, 100e9, 1 << 40, 10e12, 11e12, 488e11}
	for range 300 {
		sizes = append(sizes, rand.Int64N(488e11)>>rand.IntN(20)+1)
	}
	return sizes
}

// wantParts checks what OSS takes: at most 10,000 parts, without a gap, none smaller than 100 KiB (but the last) or larger
// than 5 GiB.
func wantParts(t *testing.T, what string, size int64, list []piece) {
	t.Helper()
	at := int64(0)
	for i, p := range list {
		if p.off != at || p.n > partMost || p.n < 100<<10 && i < len(list)-1 || p.n <= 0 {
			t.Fatalf("%s, size %d: part %d of %d is %+v, want one at %d", what, size, i+1, len(list), p, at)
		}
		at += p.n
	}
	if at != size || len(list) > maxParts {
		t.Fatalf("%s, size %d: %d parts of %d bytes in all", what, size, len(list), at)
	}
}

// A file of any size that OSS takes is cut into parts that it takes, however small the stage is, and its last part is not
// what one waits for.
func TestPlanOfAnySize(t *testing.T) {
	for _, budget := range []int64{1 << 50, 8 << 30, 4 << 30, 100 << 20, 16 << 20} {
		s := planner(budget)
		for _, size := range anySize() {
			list := s.plan(size, nil, nil)
			wantParts(t, fmt.Sprintf("budget %d", budget), size, list)
			for _, p := range list {
				if p.copied {
					t.Fatalf("budget %d, size %d: %+v is copied from nothing", budget, size, p)
				}
			}
			if last := list[len(list)-1].n; budget == 1<<50 && size > partFirst && last > max(partFirst, size/tailParts/8) && len(list) < streamedParts {
				t.Errorf("size %d: the last of %d parts has %d bytes", size, len(list), last)
			}
		}
	}
}

// What is streamed of a file in a small stage leaves enough parts for what is then in the stage: whatever is written
// beyond, it can be completed, and goes on as an edit.
func TestStreamedPartsLeaveRoom(t *testing.T) {
	for _, budget := range []int64{8 << 30, 100 << 20, 16 << 20} {
		s := planner(budget)
		sent := make(map[int]sentPart)
		off := int64(0)
		for number := 1; number <= streamedParts && s.partSize(off)+s.partSize(0) <= budget; number++ {
			n := s.partSize(off)
			sent[number] = sentPart{Part: ossclient.Part{Number: number, Size: n}, off: off}
			off += n
		}
		if len(sent) < streamedParts {
			t.Errorf("budget %d: only %d parts are streamed", budget, len(sent))
		}
		for _, more := range []int64{1, budget / 2, budget} {
			list := s.plan(off+more, nil, sent)
			wantParts(t, fmt.Sprintf("budget %d, streamed", budget), off+more, list)
			for i := range sent {
				if list[i-1].off != sent[i].off || list[i-1].n != sent[i].Size {
					t.Fatalf("budget %d: part %d was sent as %+v, and is %+v", budget, i, sent[i], list[i-1])
				}
			}
		}
	}
}

// An edit of a file of any size is cut into parts that OSS takes; what is copied has not changed, and is nearly all of it.
func TestPlanOfAnyEdit(t *testing.T) {
	s := planner(16 << 20)
	for _, size := range anySize() {
		scattered := extent.Of()
		for range 200 {
			off := rand.Int64N(size)
			scattered.Add(off, min(off+1+rand.Int64N(1<<12), size))
		}
		for name, tt := range map[string]struct {
			edit edit
			most int64 // bytes sent that need not be
		}{
			"one byte":   {edit{dirty: extent.Of(extent.Range{Off: size / 2, End: size/2 + 1}), limit: size}, editCell},
			"nothing":    {edit{limit: size}, 0},
			"appended":   {edit{dirty: extent.Of(extent.Range{Off: size - size/100, End: size}), limit: size - size/100}, editCell},
			"scattered":  {edit{dirty: scattered, limit: size}, 200 * 2 * editCell},
			"everything": {edit{dirty: extent.Of(extent.Range{End: size}), limit: size}, 0},
		} {
			list := s.plan(size, &tt.edit, nil)
			wantParts(t, name, size, list)
			sent := int64(0)
			for _, p := range list {
				if !p.copied {
					sent += p.n
				} else if p.off+p.n > tt.edit.limit || tt.edit.dirty.Overlaps(p.off, p.off+p.n) {
					t.Fatalf("%s, size %d: %+v is copied, and has changed", name, size, p)
				}
			}
			if need := tt.edit.dirty.Len(); sent < min(need, size) || sent > need+need/500+tt.most { // cells grow where parts are short
				t.Fatalf("%s, size %d: %d bytes are sent in %d parts, %d have changed", name, size, sent, len(list), need)
			}
		}
	}
}

// A part that is settled, and so may have been sent, is cut in the same way of every larger file.
func TestPlanIsStable(t *testing.T) {
	for _, budget := range []int64{1 << 50, 4 << 30, 100 << 20} {
		s := planner(budget)
		for range 200 {
			size := rand.Int64N(1 << (26 + rand.IntN(16)))
			more := size + rand.Int64N(1<<34)
			sent := make(map[int]sentPart)
			small := s.plan(size, nil, nil)
			for i, p := range small {
				if i < streamedParts && s.settled(p.off, size) && p.n == s.partSize(p.off) {
					sent[i+1] = sentPart{Part: ossclient.Part{Number: i + 1, Size: p.n}, off: p.off}
				}
			}
			large := s.plan(more, nil, sent)
			for number := range sent {
				if p := small[number-1]; large[number-1] != p {
					t.Fatalf("budget %d: part %d is %+v of %d bytes and %+v of %d", budget, number, p, size, large[number-1], more)
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
	if err := errors.Join(s.sync.flush(), f.relieve()); err != nil {
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
