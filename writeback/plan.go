package writeback

const (
	partFirst  = 8 << 20 // bytes of the first parts
	partGrowth = 1 << 30 // bytes of a file up to which its parts stay small
	partMost   = 5 << 30
	editCell   = 1 << 20 // bytes; a changed byte has as many sent with it
	maxParts   = 10000
	copyMost   = 1 << 30 // bytes copied as one part: several are copied at once
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
	if off < 1<<40 { // beyond, the number of parts counts more
		n = min(n, max(s.opt.StageBudget/8/first*first, first/8))
	}
	return n
}

// settled says whether the part that begins at off is cut so however much longer the file becomes. Only
// such parts are sent while the file is written, or given up in the stage.
func (s *Store) settled(off, size int64) bool { return off+s.partSize(off)+s.partSize(0) <= size }

// plan cuts a file into parts. What is not changed is copied, and what was sent stays as it is.
func (s *Store) plan(size int64, e *edit, sent map[int]sentPart) []piece {
	if e == nil {
		return s.planWhole(size, sent)
	}
	for cell := s.opt.cell; ; cell *= 2 {
		if list := planEdit(size, e, cell); len(list) <= maxParts {
			return list
		}
	}
}

// tailParts is in how many parts the end of a file is sent, about: those who wait for the whole wait for its
// last part, which should not be the largest.
const tailParts = 16

func (s *Store) planWhole(size int64, sent map[int]sentPart) []piece {
	var list []piece
	off := int64(0)
	for {
		n := s.partSize(off)
		p, was := sent[len(list)+1] // the file may have been cut since: then the part is not settled any more
		if !s.settled(off, size) && !(was && p.off == off && p.Size == n && off+n <= size) {
			break
		}
		list = append(list, piece{off: off, n: n})
		off += n
	}
	step := s.partSize(off)
	if len(list)+tailParts < maxParts {
		small := s.partSize(0)
		step = max((size-off)/tailParts/small*small, small)
	}
	for off < size {
		n := min(step, size-off)
		list = append(list, piece{off: off, n: n})
		off += n
	}
	return list
}

// planEdit cuts at multiples of cell: cells with a changed byte are sent, runs of others copied.
func planEdit(size int64, e *edit, cell int64) []piece {
	var list []piece
	for off := int64(0); off < size; {
		end := min(off+cell, size)
		copied := end <= e.limit && !e.dirty.Overlaps(off, end)
		most := max(int64(partFirst), cell)
		if copied {
			most = max(64<<20, size/1000)
		}
		most = min(most, copyMost)
		if last := len(list) - 1; last >= 0 && list[last].copied == copied && list[last].n+end-off <= most {
			list[last].n += end - off
		} else {
			list = append(list, piece{off, end - off, copied})
		}
		off = end
	}
	return list
}
