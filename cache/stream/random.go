package stream

import "github.com/ossfs/ossfs/cache"

const (
	// wholeLimit is the size in bytes up to which an object is always fetched whole.
	wholeLimit = 512 << 10
	// maxUnit is the most that one random read fetches, in bytes.
	maxUnit = 8 << 20
	// sweepMisses is how many random reads at least must have found nothing before the whole object is fetched.
	sweepMisses = 32
)

// random decides how much a read fetches that follows no pattern. It is guarded by its object's lock.
//
// A few reads fetch a block each. An object that is read all over again and again will be fetched whole in
// the end, one round trip for each block; so the denser the reads lie in it, the more each one fetches: up
// to one read in 64 blocks a block, and twice as much with each further read in 128. Where the kernel can be
// given pages, the whole object is swept up once random reads fetched an eighth of it: from then on the kernel serves
// the reads by itself. Both need a place that can hold the object: otherwise, or once more than the object was
// fetched, it stays at a block.
type random struct {
	misses  int64 // random reads that found nothing
	fetched int64 // bytes, by whatever pattern
	strewn  int64 // bytes of them for random reads
	room    int64 // bytes that an object may have to be kept whole; 0: not known yet

	sweeping bool     // the whole object is being fetched
	at       int64    // block: everything below was asked for
	sweeps   int64    // GETs of it under way
	has      []uint64 // a bit for each block that the kernel was given
}

// unit is how many blocks the next miss fetches in an object of size bytes, when a file may have share bytes
// under way.
func (r *random) unit(size, share int64) int64 {
	blocks := cache.Blocks(size)
	if size <= wholeLimit {
		return blocks
	}
	if size > r.room || r.fetched > size+size/8 {
		return 1
	}
	steps := min(r.misses*128/blocks-1, r.misses/4)
	if steps <= 0 {
		return 1
	}
	return max(min(int64(1)<<min(steps, 30), min(maxUnit, share/4)/cache.BlockSize), 1)
}

// dense says whether the reads have come to lie so densely that all of the object is worth fetching.
func (r *random) dense(size int64) bool {
	return !r.sweeping && r.misses >= sweepMisses && r.strewn >= size/8 && r.fetched < size && size <= r.room
}

// give notes that the kernel was given a block.
func (r *random) give(index int64) {
	for int64(len(r.has)) <= index/64 {
		r.has = append(r.has, 0)
	}
	r.has[index/64] |= 1 << (index % 64)
}

// forget notes that the kernel has dropped blocks [first, end).
func (r *random) forget(first, end int64) {
	for i := max(first, 0); i < min(end, int64(len(r.has))*64); i++ {
		r.has[i/64] &^= 1 << (i % 64)
	}
}

// given says whether the kernel was given a block.
func (r *random) given(index int64) bool {
	return index/64 < int64(len(r.has)) && r.has[index/64]&(1<<(index%64)) != 0
}

// roomLocked is how large an object may be that is to be kept whole, in bytes.
func (o *object) roomLocked() int64 {
	room := o.pool.ranges.Capacity() / 8 * 7
	if o.give != nil && o.pool.opts.Room != nil {
		room = max(room, o.pool.opts.Room())
	}
	return max(room, 1)
}

// extent widens the blocks [first, end) to what a miss fetches: an aligned stretch of units.
func extent(first, end, unit, blocks int64) (int64, int64) {
	return first / unit * unit, min((end+unit-1)/unit*unit, blocks)
}
