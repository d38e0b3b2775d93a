package cache

import (
	"sync/atomic"

	"github.com/ossfs/ossfs/ossclient"
)

// BlockSize is the length of every block but the last of an object, in bytes.
const BlockSize = 128 << 10

// Block is a piece of one object version: the bytes from Index*BlockSize on. See the package's doc for who
// may write and who may read it.
type Block struct {
	version ossclient.Version
	index   int64
	arena   *arena
	data    []byte // nil after the last release
	sum     uint64
	refs    atomic.Int32
	use     *blockUse
	read    atomic.Bool
}

// blockUse counts what became of the blocks of a Ranges, in bytes.
type blockUse struct {
	read, unread atomic.Int64
}

// MarkRead notes that a reader wants some of the block: what is never marked was fetched in vain.
func (b *Block) MarkRead() {
	if !b.read.Load() && b.read.CompareAndSwap(false, true) {
		b.use.read.Add(int64(len(b.data)))
	}
}

// Blocks is how many blocks an object of size bytes has.
func Blocks(size int64) int64 { return (size + BlockSize - 1) / BlockSize }

// BlockLen is the length in bytes of block index of an object of size bytes.
func BlockLen(size, index int64) int { return int(min(size-index*BlockSize, BlockSize)) }

// BlockCost is the memory that block index of an object of size bytes takes, in bytes.
func BlockCost(size, index int64) int64 {
	return int64(classSizes()[class(BlockLen(size, index))])
}

// Bytes are the block's content. They are valid while the caller has a reference.
func (b *Block) Bytes() []byte { return b.data }

// Index is the block's place in the object.
func (b *Block) Index() int64 { return b.index }

// Cost is the memory that the block takes, in bytes.
func (b *Block) Cost() int64 { return int64(cap(b.data)) }

// Sum is the CRC-64 of the content, as given to SetSum.
func (b *Block) Sum() uint64 { return b.sum }

// SetSum notes the CRC-64 of the content. It belongs to the writing of the block.
func (b *Block) SetSum(crc64 uint64) { b.sum = crc64 }

// Retain adds a reference to those that the caller has, or that another holds for it.
func (b *Block) Retain() *Block {
	if b.refs.Add(1) <= 1 {
		panic("cache: Retain of a released block")
	}
	return b
}

// tryRetain adds a reference unless the last one is gone. A Block is never used again after that, only
// its memory is: who comes late finds no reference, never another's bytes.
func (b *Block) tryRetain() bool {
	for {
		n := b.refs.Load()
		if n <= 0 {
			return false
		}
		if b.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives a reference back; with the last one goes the memory.
func (b *Block) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		data := b.data
		b.data = nil
		if !b.read.Load() {
			b.use.unread.Add(int64(len(data)))
		}
		b.arena.put(data)
	case n < 0:
		panic("cache: Release of a released block")
	}
}
