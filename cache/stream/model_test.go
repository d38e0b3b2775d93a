package stream

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
)

// Random handles, reads of every kind and a reference: the bytes are right under every set of options.
func TestReadsAreRight(t *testing.T) {
	for _, s := range []setup{
		{ranges: 0, memory: 64 << 20},
		{ranges: 1 << 20, memory: 64 << 20},
		{ranges: 256 << 20, memory: 64 << 20},
		{ranges: 0, memory: 1},
		{ranges: 4 << 20, memory: 2*cache.BlockSize + 1},
		{ranges: 8 << 20, memory: 3 << 20},
		{ranges: 64 << 20, memory: 64 << 20, conns: 1},
		{ranges: 64 << 20, memory: 16 << 20, conns: 3},
	} {
		t.Run(fmt.Sprintf("ranges=%d,memory=%d,conns=%d", s.ranges, s.memory, s.conns), func(t *testing.T) {
			b := newBucket()
			b.latency, b.bandwidth = 50*time.Microsecond, 0
			p := b.pool(t, s)
			var wg sync.WaitGroup
			sizes := []int64{1, 4095, cache.BlockSize, cache.BlockSize + 1, 700e3, 5e6, 20e6}
			for g := range 6 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(g), 3))
					for range 12 {
						i := rnd.IntN(len(sizes))
						b.readSome(t, p, fmt.Sprint(i), sizes[i], rnd)
					}
				})
			}
			wg.Wait()
		})
	}
}

// readSome opens one object and reads it in several ways, from several goroutines.
func (b *bucket) readSome(t *testing.T, p *Pool, key string, size int64, rnd *rand.Rand) {
	b.mu.Lock()
	_, there := b.objects[ossKey(key)]
	b.mu.Unlock()
	v := b.version(key)
	if !there {
		v = b.put(ossKey(key), size, 1)
	}
	f := p.Open(v, Hint{})
	defer f.Close()
	var wg sync.WaitGroup
	for range 1 + rnd.IntN(3) {
		start, n, step := rnd.Int64N(size), 1+rnd.Int64N(200<<10), int64(0)
		switch rnd.IntN(5) {
		case 0:
			step = n
		case 1:
			step = -n
		case 2:
			step = 1 + rnd.Int64N(1<<20)
		case 3:
			start, step = 0, n
		}
		reads, seed := 1+rnd.IntN(30), rnd.Uint64()
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 0))
			for off := start; reads > 0 && off >= 0 && off < size; reads-- {
				b.check(t, f, off, n)
				if off += step; step == 0 {
					off = rnd.Int64N(size)
				}
			}
		})
	}
	wg.Wait()
}
