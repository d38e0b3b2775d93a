package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

func version(i int) ossclient.Version {
	return ossclient.Version{Key: ossclient.Key(fmt.Sprintf("dir/%d", i)), ETag: "e", Size: 10*BlockSize + 100}
}

// fill writes what tells the block apart from every other.
func fill(t testing.TB, r *Ranges, v ossclient.Version, index int64) *Block {
	t.Helper()
	b, err := r.NewBlock(v, index)
	if err != nil {
		t.Fatal(err)
	}
	copy(b.Bytes(), bytes.Repeat(pattern(v, index), len(b.Bytes())/16+1))
	return b
}

func pattern(v ossclient.Version, index int64) []byte {
	p := make([]byte, 16)
	copy(p, v.Key)
	binary.LittleEndian.PutUint64(p[8:], uint64(index))
	return p
}

func intact(b *Block, v ossclient.Version, index int64) bool {
	p := pattern(v, index)
	n := len(b.Bytes())
	return n == BlockLen(v.Size, index) && bytes.Equal(b.Bytes()[:16], p) && bytes.Equal(b.Bytes()[n/32*16:][:16], p)
}

func TestRangesKeepsWhatFits(t *testing.T) {
	r := NewRanges(16 << 20)
	defer r.Close()
	v := version(1)
	for i := range Blocks(v.Size) {
		b := fill(t, r, v, i)
		r.Put(b)
		r.Put(b) // again: no effect
		b.Release()
	}
	r.store.Wait()
	for i := range Blocks(v.Size) {
		b := r.Get(v, i)
		if b == nil || !intact(b, v, i) {
			t.Fatalf("block %d: got %v, want it as it was put", i, b)
		}
		b.Release()
	}
	other := v
	other.ETag = "f"
	if b := r.Get(other, 0); b != nil {
		t.Error("found a block of another version")
	}
	if got, want := r.Stats().Held, int64(10*(BlockSize+blockOverhead)+pageSize+blockOverhead); got != want {
		t.Errorf("Held = %d, want %d", got, want)
	}
	r.Drop(v)
	if r.Has(v, 3) || r.Stats().Held != 0 || r.Stats().Buffers != 0 {
		t.Errorf("after Drop: %+v, want nothing held", r.Stats())
	}
}

func TestRangesOfNothing(t *testing.T) {
	r := NewRanges(0)
	b := fill(t, r, version(1), 0)
	r.Put(b)
	if r.Get(version(1), 0) != nil {
		t.Error("a store of no capacity kept a block")
	}
	r.Drop(version(1))
	r.Close()
	if !intact(b, version(1), 0) {
		t.Error("Close took a block in use")
	}
	b.Release()
	if r.Stats().Buffers != 0 || r.arena.slabs != nil {
		t.Error("memory stays mapped after Close and the last Release")
	}
}

// Two blocks of the same hash: the identity that a block carries decides.
func TestRangesComparesIdentity(t *testing.T) {
	r := NewRanges(16 << 20)
	defer r.Close()
	v, w := version(1), version(2)
	b := fill(t, r, v, 0)
	defer b.Release()
	b.Retain()
	r.held.Add(b.Cost() + blockOverhead)
	r.store.Set(blockHash(w, 5), b, b.Cost())
	r.store.Wait()
	if got := r.Get(w, 5); got != nil {
		t.Errorf("Get of block 5 of %v gave block %d of %v", w, got.index, got.version)
	}
}

// Readers hold, copy and release blocks while the store evicts them and their memory is reused: what is
// read is what was put, the capacity is never exceeded, and nothing is left in the end.
func TestRangesUnderEviction(t *testing.T) {
	const capacity = 4 << 20
	r := NewRanges(capacity)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(g)))
			for range 800 {
				v, i := version(rnd.IntN(8)), rnd.Int64N(11)
				b := r.Get(v, i)
				if b == nil {
					b = fill(t, r, v, i)
					r.Put(b)
				}
				if !intact(b, v, i) {
					t.Errorf("block %d of %s has foreign bytes", i, v.Key)
				}
				b.Release()
				if held := r.Stats().Held; held > capacity {
					t.Errorf("%d bytes held of %d", held, capacity)
				}
			}
		})
	}
	wg.Wait()
	if s := r.Stats(); s.Hits == 0 || s.Refused == s.Puts {
		t.Errorf("the store had no effect: %+v", s)
	}
	r.Close()
	if s := r.Stats(); s.Held != 0 || s.Buffers != 0 {
		t.Errorf("after Close %+v, want nothing held", s)
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	r := NewRanges(0)
	defer r.Close()
	b := fill(t, r, version(1), 0)
	b.Release()
	if b.tryRetain() {
		t.Error("a released block gave a reference")
	}
	defer func() {
		if recover() == nil {
			t.Error("the second Release did not panic")
		}
	}()
	b.Release()
}

func BenchmarkRangesGet(b *testing.B) {
	r := NewRanges(64 << 20)
	defer r.Close()
	v := version(1)
	for i := range Blocks(v.Size) {
		block := fill(b, r, v, i)
		r.Put(block)
		block.Release()
	}
	r.store.Wait()
	b.RunParallel(func(pb *testing.PB) {
		for i := int64(0); pb.Next(); i++ {
			if block := r.Get(v, i%11); block != nil {
				block.Release()
			}
		}
	})
}
