package stream

import "github.com/ossfs/ossfs/cache"

const (
	// wholeLimit is the size in bytes up to which an object is always fetched whole.
	wholeLimit = 512 << 10
	// maxUnit is the most that one random read fetches, in bytes.
	maxUnit = 8 << 20
)

// random decides how much a read fetches that follows no pattern. It is guarded by its object's lock.
//
// A few reads fetch a block each. An object that is read all over again and again will be fetched whole in
// the end, one round trip for each block; so the denser the reads lie in it, the more each one fetches: up
// to one read in 64 blocks a block, and twice as much with each further read in 128. That needs a
// store that can hold the object: otherwise, or once more than the object was fetched, it stays at a block.
type random struct {
	misses  int64 // random reads that found nothing
	fetched int64 // bytes, by whatever pattern
}

// unit is how many blocks the next miss fetches in an object of size bytes.
func (r *random) unit(size, capacity int64) int64 {
	blocks := cache.Blocks(size)
	if size <= wholeLimit {
		return blocks
	}
	if size > capacity/8*7 || r.fetched > size+size/8 {
		return 1
	}
	steps := min(r.misses*128/blocks-1, r.misses/4)
	if steps <= 0 {
		return 1
	}
	return min(int64(1)<<min(steps, 30), maxUnit/cache.BlockSize)
}

// extent widens the blocks [first, end) to what a miss fetches: an aligned stretch of units.
func extent(first, end, unit, blocks int64) (int64, int64) {
	return first / unit * unit, min((end+unit-1)/unit*unit, blocks)
}
