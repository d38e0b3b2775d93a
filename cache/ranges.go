package cache

import (
	"math/bits"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/dgraph-io/ristretto/v2"

	"github.com/ossfs/ossfs/ossclient"
)

// blockOverhead is what a block costs beside its bytes: its header and its places in ristretto's maps.
const blockOverhead = 256

// Ranges is a store of blocks already read, bounded in bytes. It is safe for concurrent use; Close alone
// must come after every other call.
//
// ristretto applies a Set later, in a goroutine of its own, and evicts only then. What waits there is memory
// too: held counts it, ristretto's own limit lies below the capacity by the room for it, and a Put that
// finds no room is refused.
type Ranges struct {
	capacity int64
	store    *ristretto.Cache[uint64, *Block] // nil: nothing is kept
	arena    *arena

	held, hits, misses, puts, refused atomic.Int64
	use                               blockUse
}

// RangesStats is what a Ranges has done so far.
type RangesStats struct {
	Capacity, Held int64 // bytes
	Buffers        int64 // bytes of all blocks alive, held or not
	Hits, Misses   int64 // of Get
	Puts, Refused  int64 // Refused are Puts without effect at once; ristretto may drop more later
	Read           int64 // bytes of the blocks of which somebody wanted something
	Unread         int64 // bytes of the blocks that are gone and of which nobody ever did
}

// NewRanges makes a store of at most capacity bytes, which may be 0.
func NewRanges(capacity int64) *Ranges {
	r := &Ranges{capacity: max(capacity, 0), arena: newArena()}
	limit := r.capacity - max(r.capacity/16, min(r.capacity/2, 4<<20))
	if limit <= 0 {
		return r
	}
	store, err := ristretto.NewCache(&ristretto.Config[uint64, *Block]{
		NumCounters:        min(max(limit/(16<<10)*4, 1<<10), 1<<22),
		MaxCost:            limit,
		BufferItems:        64,
		IgnoreInternalCost: true, // blockOverhead has it
		KeyToHash:          func(h uint64) (uint64, uint64) { return h, 0 },
		ShouldUpdate:       func(_, _ *Block) bool { return false }, // a block never changes
		OnExit:             r.exit,
	})
	if err != nil {
		panic("cache: " + err.Error()) // only of a configuration that is wrong
	}
	r.store = store
	return r
}

// Capacity is what NewRanges was given.
func (r *Ranges) Capacity() int64 { return r.capacity }

// NewBlock makes a block for index of v, with one reference and undefined content. It fails when the system
// has no memory.
func (r *Ranges) NewBlock(v ossclient.Version, index int64) (*Block, error) {
	data, err := r.arena.get(BlockLen(v.Size, index))
	if err != nil {
		return nil, err
	}
	b := &Block{version: v, index: index, arena: r.arena, data: data, use: &r.use}
	b.refs.Store(1)
	return b, nil
}

// Get returns block index of v with a reference for the caller, or nil.
func (r *Ranges) Get(v ossclient.Version, index int64) *Block {
	if r.store != nil {
		b, _ := r.store.Get(blockHash(v, index))
		if b != nil && b.tryRetain() {
			if b.version == v && b.index == index {
				r.hits.Add(1)
				return b
			}
			b.Release()
		}
	}
	r.misses.Add(1)
	return nil
}

// Has says whether Get would find the block now. It is left out of the Stats.
func (r *Ranges) Has(v ossclient.Version, index int64) bool {
	if r.store == nil {
		return false
	}
	b, _ := r.store.Get(blockHash(v, index))
	return b != nil && b.version == v && b.index == index && b.refs.Load() > 0
}

// Put offers a block that is complete. The store takes a reference of its own; the caller keeps his.
func (r *Ranges) Put(b *Block) {
	r.puts.Add(1)
	if r.store == nil {
		r.refused.Add(1)
		return
	}
	cost := b.Cost() + blockOverhead
	if !r.reserve(cost) {
		r.store.Wait() // for the evictions that are due
		if !r.reserve(cost) {
			r.refused.Add(1)
			return
		}
	}
	b.Retain()
	if !r.store.Set(blockHash(b.version, b.index), b, cost) {
		r.refused.Add(1)
		r.exit(b)
	}
}

func (r *Ranges) reserve(cost int64) bool {
	if r.held.Add(cost) > r.capacity {
		r.held.Add(-cost)
		return false
	}
	return true
}

// exit is called once for each block that leaves the store, or never enters it.
func (r *Ranges) exit(b *Block) {
	if b == nil { // ristretto's way to say that there was none
		return
	}
	r.held.Add(-b.Cost() - blockOverhead)
	b.Release()
}

// Drop forgets every block of v.
func (r *Ranges) Drop(v ossclient.Version) {
	if r.store == nil {
		return
	}
	r.store.Wait() // a Set under way would come back after Del
	for i := range Blocks(v.Size) {
		if r.Has(v, i) {
			r.store.Del(blockHash(v, i))
		}
	}
}

// Stats says what happened so far.
func (r *Ranges) Stats() RangesStats {
	return RangesStats{
		Capacity: r.capacity, Held: r.held.Load(), Buffers: r.arena.bytes(),
		Hits: r.hits.Load(), Misses: r.misses.Load(), Puts: r.puts.Load(), Refused: r.refused.Load(),
		Read: r.use.read.Load(), Unread: r.use.unread.Load(),
	}
}

// Close drops every block. Blocks of which somebody has a reference stay readable until it is released.
func (r *Ranges) Close() {
	if r.store != nil {
		r.store.Close()
	}
	r.arena.close()
}

func blockHash(v ossclient.Version, index int64) uint64 {
	h := xxhash.Sum64String(string(v.Key)) ^ bits.RotateLeft64(xxhash.Sum64String(string(v.ETag)), 1)
	h += uint64(index) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
