package writeback

import (
	"math"

	"github.com/ossfs/ossfs/writeback/extent"
)

const (
	partFirst  = 8 << 20 // bytes of the first parts
	partGrowth = 1 << 30 // bytes of a file up to which its parts stay small
	partMost   = 5 << 30 // bytes of one part that OSS takes
	editCell   = 1 << 20 // bytes; a changed byte has as many sent with it
	maxParts   = 10000
	copyMost   = 1 << 30 // bytes copied as one part: several are copied at once; more only where parts are short

	// streamedParts is how many are sent of a file that is being written. Its end, whatever it is, is sent in the others.
	streamedParts = maxParts - 2*tailParts
)

// piece is a part of a file that is to be sent: staged bytes, or a copy of the base's.
type piece struct {
	off, n int64
	copied bool
}

// partSize is the size of a part that begins at off. Parts stay small for a GiB, since many at once are
// fast, and then grow with the file, so that 10,000 of them reach 47.9 TiB (OSS takes 48.8 TB). A part must
// fit into the stage several times.
func (s *Store) partSize(off int64) int64 {
	first := s.opt.partFirst
	n := first
	if off >= partGrowth/partFirst*first {
		n = min(max(off/16/first*first, first), partMost)
	}
	return min(n, max(s.opt.StageBudget/8/first*first, first/8))
}

// settled says whether the part that begins at off is cut so however much longer the file becomes. Only
// such parts are sent while the file is written, or given up in the stage.
func (s *Store) settled(off, size int64) bool { return off+s.partSize(off)+s.partSize(0) <= size }

// plan cuts a file into parts. What is not changed is copied, and what was sent stays as it is.
func (s *Store) plan(size int64, e *edit, sent map[int]sentPart) []piece {
	if e == nil {
		return s.planWhole(size, sent)
	}
	for cell := s.opt.cell; cell < partMost; cell = min(2*cell, partMost) {
		if list, fits := planEdit(size, e, cell, maxParts); fits {
			return list
		}
	}
	list, _ := planEdit(size, e, partMost, math.MaxInt)
	return list
}

// tailParts is in how many parts the end of a file is sent, about, none much below a mebibyte: those who wait for the whole
// wait for its last part, which should not be the largest.
const (
	tailParts = 16
	tailUnit  = 128 << 10 // bytes, of which such a part has some; OSS takes no part below 100 KB but the last
)

// planWhole cuts a file of which nothing is copied. Where the parts that partSize says are too many, because the stage is small
// and the file is not, all are of one size: it was not streamed, or what is not sent would be in the stage, and small.
func (s *Store) planWhole(size int64, sent map[int]sentPart) []piece {
	var list []piece
	off := int64(0)
	for len(list) < streamedParts {
		n := s.partSize(off)
		p, was := sent[len(list)+1] // the file may have been cut since: then the part is not settled any more
		if !s.settled(off, size) && !(was && p.off == off && p.Size == n && off+n <= size) {
			break
		}
		list = append(list, piece{off: off, n: n})
		off += n
	}
	step := s.tailStep(size - off)
	if step > partMost && len(sent) == 0 {
		list, off = nil, 0
	}
	if step > partMost {
		step = roundUp((size-off)/int64(maxParts-len(list))+1, s.partSize(0))
	}
	return cut(list, piece{off: off}, size, step)
}

// tailStep is how long the parts are in which n bytes are sent, the end of a file.
func (s *Store) tailStep(n int64) int64 {
	return max(roundUp(n/tailParts, tailUnit), min(8*tailUnit, s.partSize(0)))
}

// planEdit cuts at multiples of cell: cells with a changed byte are sent, runs of others copied. fits is false, and nothing
// is cut, when that makes more than most pieces.
func planEdit(size int64, e *edit, cell int64, most int) (list []piece, fits bool) {
	var sent extent.Set // whole cells
	for _, r := range e.dirty.Ranges() {
		sent.Add(r.Off/cell*cell, min(roundUp(r.End, cell), size))
	}
	if e.limit < size {
		sent.Add(e.limit/cell*cell, size)
	}
	mostSent := min(max(partFirst, cell), partMost) / cell * cell
	mostCopied := max(min(max(64<<20, size/1000), max(copyMost, size/maxParts*2), partMost)/cell*cell, cell)
	at := int64(0)
	for _, r := range append(sent.Within(0, size), extent.Range{Off: size, End: size}) {
		if pieces := roundUp(r.Off-at, mostCopied)/mostCopied + roundUp(r.Len(), mostSent)/mostSent; pieces > int64(most-len(list)) {
			return nil, false
		}
		list = cut(list, piece{off: at, copied: true}, r.Off, mostCopied)
		list = cut(list, piece{off: r.Off}, r.End, mostSent)
		at = r.End
	}
	return list, true
}

// cut appends pieces like p, of step bytes each, up to end; the last is as long as it comes out.
func cut(list []piece, p piece, end, step int64) []piece {
	for ; p.off < end; p.off += p.n {
		p.n = min(step, end-p.off)
		list = append(list, p)
	}
	return list
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
