package stream

import (
	"math/bits"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// maxSummed is the size in bytes above which an object is not verified as a whole: its blocks' sums would
// take more than 4 MiB.
const maxSummed = 64 << 30

// sums are the CRC-64s of an object's blocks, as they were fetched, and of the whole, as OSS has it.
type sums struct {
	size  int64
	want  uint64
	known bool     // want is
	sum   []uint64 // by block; nil until the first
	have  []uint64 // a bit for each block
}

func (s *sums) expect(crc64 uint64) { s.want, s.known = crc64, true }

func (s *sums) note(index int64, sum uint64) {
	if s.size > maxSummed {
		return
	}
	if s.sum == nil {
		n := cache.Blocks(s.size)
		s.sum, s.have = make([]uint64, n), make([]uint64, (n+63)/64)
	}
	s.sum[index] = sum
	s.have[index/64] |= 1 << (index % 64)
}

// lacking is the first block that is not known, or -1.
func (s *sums) lacking() int64 {
	if s.sum == nil {
		return 0
	}
	for i, word := range s.have {
		if n := int64(i*64 + bits.TrailingZeros64(^word)); n < int64(i*64+64) {
			if n < int64(len(s.sum)) {
				return n
			}
			break
		}
	}
	return -1
}

// whole is the CRC-64 of the object, made of all blocks' sums.
func (s *sums) whole(shift *shifter) uint64 {
	total := s.sum[0]
	for i, sum := range s.sum[1:] {
		if n := cache.BlockLen(s.size, int64(i+1)); n == cache.BlockSize {
			total = shift.move(total) ^ sum
		} else {
			total = crc.Combine(total, sum, int64(n))
		}
	}
	return total
}

// shifter moves a CRC-64 past the bytes of one whole block, which is linear over GF(2): it is enough to
// know where each bit goes.
type shifter [64]uint64

func newShifter() *shifter {
	var t shifter
	for i := range t {
		t[i] = crc.Combine(1<<i, 0, cache.BlockSize)
	}
	return &t
}

func (t *shifter) move(sum uint64) uint64 {
	var out uint64
	for ; sum != 0; sum &= sum - 1 {
		out ^= t[bits.TrailingZeros64(sum)]
	}
	return out
}

// order notes which bytes of a file were asked for, to know when all of them were.
type order struct {
	next    int64           // everything below was
	apart   map[int64]int64 // what was beyond: first byte to end
	done    bool            // all was; it is not noted any more
	scatter bool            // too much was apart: this is not somebody who reads the whole
}

// maxApart is how many pieces may be out of order at a time.
const maxApart = 256

// add notes [off, end) and says whether that completes size.
func (r *order) add(off, end, size int64) bool {
	if r.done || r.scatter || end <= r.next {
		return false
	}
	if off > r.next {
		if r.apart == nil {
			r.apart = map[int64]int64{}
		}
		r.apart[off] = max(r.apart[off], end)
		r.scatter = len(r.apart) > maxApart
		return false
	}
	r.next = end
	for joined := len(r.apart) > 0; joined; {
		joined = false
		for o, e := range r.apart {
			if o <= r.next {
				r.next = max(r.next, e)
				delete(r.apart, o)
				joined = true
			}
		}
	}
	r.done = r.next >= size
	return r.done
}
