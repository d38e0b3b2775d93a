package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

const mib = 1 << 20

// inBubble runs a test on the clock of a bubble, with a fresh bucket.
func inBubble(t *testing.T, test func(t *testing.T, b *bucket)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newBucket()) })
}

func TestSequential(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("big", 64*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		start := time.Now()
		for off := int64(0); off < v.Size; off += mib {
			b.check(t, f, off, mib)
		}
		took := time.Since(start)
		gets, sent := b.counts()
		t.Logf("%v, %d GETs, %d at once", took, gets, b.busiest)
		if sent != v.Size || gets > 40 {
			t.Errorf("%d GETs of %d bytes for %d", gets, sent, v.Size)
		}
		if took > 160*time.Millisecond {
			t.Errorf("64 MiB took %v", took)
		}
	})
}

// The store keeps nothing: what a window fetched is held until it was read, whatever the size of the reads,
// and whatever order several threads bring them in.
func TestNothingIsFetchedTwice(t *testing.T) {
	for _, n := range []int64{4 << 10, 100_000, 128 << 10, mib} {
		for _, threads := range []int{1, 4} {
			t.Run(fmt.Sprintf("%d bytes, %d threads", n, threads), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bucket) {
					v := b.put("k", 16*mib, 1) // 128 blocks
					f := b.open(t, b.pool(t, setup{ranges: 0}), v)
					for off := int64(0); off < v.Size; off += n * int64(threads) {
						var wg sync.WaitGroup
						for i := range int64(threads) {
							wg.Go(func() { b.check(t, f, off+i*n, n) })
						}
						wg.Wait()
					}
					gets, sent := b.counts()
					excess := sent - v.Size // what comes first from the middle looks like a jump, and is asked for again as a whole
					if excess < 0 || excess > int64(threads-1)*max(n, cache.BlockSize) || gets > 128 {
						t.Errorf("%d GETs of %d bytes, want %d bytes", gets, sent, v.Size)
					}
				})
			})
		}
	}
}

// A kernel's read-ahead: requests in flight at once, in any order within a stretch.
func TestOutOfOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		rnd := rand.New(rand.NewPCG(1, 1))
		start := time.Now()
		for stretch := int64(0); stretch < v.Size; stretch += 4 * mib {
			var wg sync.WaitGroup
			for _, i := range rnd.Perm(16) {
				wg.Go(func() { b.check(t, f, stretch+int64(i)*256<<10, 256<<10) })
				synctest.Wait()
			}
			wg.Wait()
		}
		gets, sent := b.counts()
		if took := time.Since(start); sent > v.Size+v.Size/50 || gets > 64 || took > 300*time.Millisecond {
			t.Errorf("%v, %d GETs of %d bytes, want %d bytes", took, gets, sent, v.Size)
		}
	})
}

func TestBackwards(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 32*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		start := time.Now()
		for off := v.Size - 64<<10; off >= 0; off -= 64 << 10 {
			b.check(t, f, off, 64<<10)
		}
		gets, sent := b.counts()
		if took := time.Since(start); sent != v.Size || took > 400*time.Millisecond {
			t.Errorf("%v, %d GETs of %d bytes, want %d bytes", took, gets, sent, v.Size)
		}
	})
}

// A second pass of the same handle reads ahead like the first.
func TestTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		for range 3 {
			start := time.Now()
			for off := int64(0); off < v.Size; off += 256 << 10 {
				b.check(t, f, off, 256<<10)
			}
			if took := time.Since(start); took > 200*time.Millisecond {
				t.Errorf("a pass took %v", took)
			}
		}
		if _, sent := b.counts(); sent > 3*v.Size+v.Size/8 {
			t.Errorf("%d bytes for three passes of %d", sent, v.Size)
		}
	})
}

// A reader that turns round is followed.
func TestThereAndBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		for off := int64(32 * mib); off < 64*mib; off += mib {
			b.check(t, f, off, mib)
		}
		start := time.Now()
		for off := int64(63 * mib); off >= 0; off -= mib {
			b.check(t, f, off, mib)
		}
		_, sent := b.counts()
		if took := time.Since(start); took > 600*time.Millisecond || sent > 110*mib {
			t.Errorf("back took %v, %d bytes in all", took, sent)
		}
	})
}

// Short steps: nearer than what would be a jump, but too far to fetch all that lies between.
func TestShortStrides(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		start := time.Now()
		for off := int64(0); off < v.Size; off += 600 << 10 {
			b.check(t, f, off, 4096)
		}
		_, sent := b.counts()
		if took := time.Since(start); sent > 48*mib || took > 400*time.Millisecond {
			t.Errorf("%v, %d bytes for %d reads", took, sent, v.Size/(600<<10))
		}
	})
}

func TestStrided(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		const stride = 2*mib + 4096
		start, n := time.Now(), int64(0)
		for off := int64(mib); off < v.Size; off += stride {
			b.check(t, f, off, 4096)
			n++
		}
		gets, sent := b.counts()
		t.Logf("%v for %d reads, %d GETs of %d bytes", time.Since(start), n, gets, sent)
		if took := time.Since(start); sent > (n+4)*2*cache.BlockSize || took > 300*time.Millisecond {
			t.Errorf("%v for %d reads, %d GETs of %d bytes", took, n, gets, sent)
		}
	})
}

// Four places of one handle read by turns: four streams, and nothing of them is given up.
func TestInterleaved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		start := time.Now()
		for off := int64(0); off < 16*mib; off += 128 << 10 {
			for place := range int64(4) {
				b.check(t, f, place*16*mib+off, 128<<10)
			}
		}
		_, sent := b.counts()
		t.Logf("%v, %d bytes", time.Since(start), sent)
		if took := time.Since(start); sent > v.Size*5/4 || took > 700*time.Millisecond {
			t.Errorf("%v, %d bytes fetched of %d", took, sent, v.Size)
		}
	})
}

// A jump gives up what was on its way.
func TestSeek(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		p := b.pool(t, setup{})
		f := b.open(t, p, v)
		for off := int64(0); off < 32*mib; off += mib {
			b.check(t, f, off, mib)
		}
		_, before := b.counts()
		b.check(t, f, 120*mib, 4096)
		time.Sleep(time.Second)
		if _, after := b.counts(); after-before > 2*mib || p.Stats().InFlight != 0 {
			t.Errorf("after the jump %d bytes came and %d GETs run, want what was read and none", after-before, p.Stats().InFlight)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		p := b.pool(t, setup{})
		f := p.Open(v, Hint{})
		for off := int64(0); off < 8*mib; off += mib {
			b.check(t, f, off, mib)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := p.Stats(); s.InFlight != 0 || s.Files != 0 {
			t.Errorf("after Close %+v", s)
		}
		if _, err := f.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("ReadAt after Close = %v", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second Close = %v", err)
		}
	})
}

// One hundred lone reads fetch a block each; the median takes one round trip.
func TestLoneRandomReads(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 512*mib, 1)
		f := b.open(t, b.pool(t, setup{ranges: 640 * mib}), v)
		rnd := rand.New(rand.NewPCG(1, 1))
		start := time.Now()
		for range 100 {
			b.check(t, f, rnd.Int64N(v.Size/4096)*4096, 4096)
		}
		gets, sent := b.counts()
		if took := time.Since(start); sent > 30*mib || took > 1700*time.Millisecond {
			t.Errorf("%v, %d GETs of %d bytes", took, gets, sent)
		}
	})
}

// Random reading again and again fetches the object about once, in growing pieces.
func TestDenseRandomReads(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		p := b.pool(t, setup{ranges: 160 * mib})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 8 {
			f := b.open(t, p, v)
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(i)))
				for range 2000 {
					b.check(t, f, rnd.Int64N(v.Size/4096)*4096, 4096)
				}
			})
		}
		wg.Wait()
		gets, sent := b.counts()
		t.Logf("%v, %d GETs of %d bytes", time.Since(start), gets, sent)
		if took := time.Since(start); sent > v.Size*11/10 || gets > 400 || took > time.Second {
			t.Errorf("%v, %d GETs of %d bytes for %d", took, gets, sent, v.Size)
		}
	})
}

// An object that the store cannot hold is not fetched in large pieces for small reads.
func TestRandomReadsOfWhatDoesNotFit(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		f := b.open(t, b.pool(t, setup{ranges: 32 * mib}), v)
		rnd := rand.New(rand.NewPCG(1, 1))
		for range 2000 {
			b.check(t, f, rnd.Int64N(v.Size/4096)*4096, 4096)
		}
		for _, get := range b.gets {
			if get.Length > 512<<10 {
				t.Fatalf("a GET of %d bytes for a read of 4096", get.Length)
			}
		}
	})
}

func TestSmallFileIsOneGet(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", wholeLimit, 1)
		p := b.pool(t, setup{ranges: 0})
		f := b.open(t, p, v)
		for _, off := range []int64{300_000, 0, 200_000, 100_000, 400_000, 500_000} {
			b.check(t, f, off, 1000)
		}
		if gets, _ := b.counts(); gets != 1 {
			t.Errorf("%d GETs, want 1", gets)
		}
	})
}

// Handles of one version share what is under way; one that is interrupted returns at once and leaves it be.
func TestSharedFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 400_000, 1)
		p := b.pool(t, setup{})
		f, g := b.open(t, p, v), b.open(t, p, v)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.ReadAt(ctx, make([]byte, 1000), 0); !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted ReadAt = %v", err)
			}
			if took := time.Since(start); took != 5*time.Millisecond {
				t.Errorf("interrupted ReadAt returned after %v", took)
			}
		})
		wg.Go(func() { b.check(t, g, 0, 400_000) })
		wg.Wait()
		if gets, sent := b.counts(); gets != 1 || sent != v.Size {
			t.Errorf("%d GETs of %d bytes, want 1", gets, sent)
		}
	})
}

// Bytes are served when they are there, not when the GET ends.
func TestBlocksAreServedAsTheyArrive(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		b.bandwidth = mib
		v := b.put("k", 4*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() { b.check(t, f, 0, 2*mib) })
		synctest.Wait()
		b.check(t, f, mib, 4096)
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("the byte after the first second came after %v", took)
		}
		wg.Wait()
	})
}

// A GET that never ends holds up nobody but who wants its bytes, and that one can be interrupted; in the end its
// deadline passes.
func TestHungGet(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v, w := b.put("k", 64*mib, 1), b.put("other", 1000, 1)
		p := b.pool(t, setup{})
		b.hang[0] = true
		f := b.open(t, p, v)
		failed := make(chan error)
		go func() {
			_, err := f.ReadAt(t.Context(), make([]byte, 10), 0)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		b.check(t, f, 32*mib, mib)
		b.check(t, b.open(t, p, v), 48*mib, mib)
		g := b.open(t, p, w)
		b.mu.Lock()
		b.hang[0] = false
		b.mu.Unlock()
		b.check(t, g, 0, 1000)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("others took %v", took)
		}
		err := <-failed
		if !errors.Is(err, ossclient.ErrUnavailable) || errors.Is(err, ossclient.ErrCanceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hung read = %v, want ErrUnavailable alone", err)
		}
		if took := time.Since(start); took > 130*time.Second {
			t.Errorf("the hung read took %v", took)
		}
		b.check(t, f, 0, 10)
	})
}

func TestFailedGetIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 4*mib, 1)
		f := b.open(t, b.pool(t, setup{}), v)
		broken := &ossclient.Error{Op: "GetObject", Kind: ossclient.ErrThrottled}
		b.fail = func(ossclient.GetRequest) error { return broken }
		if _, err := f.ReadAt(t.Context(), make([]byte, 10), 0); !errors.Is(err, ossclient.ErrThrottled) {
			t.Errorf("ReadAt = %v, want the client's error", err)
		}
		b.mu.Lock()
		b.fail = nil
		b.mu.Unlock()
		b.check(t, f, 0, mib)
	})
}

// The CRC-64 of an object that is read whole, in order, is compared before its last bytes are served.
func TestCorruptObject(t *testing.T) {
	for _, size := range []int64{1000, cache.BlockSize, 700_000, 20*mib + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bucket) {
				v := b.put("k", size, 1)
				p := b.pool(t, setup{ranges: 64 * mib})
				b.objects["k"].body[size/2] ^= 1
				f := b.open(t, p, v)
				var err error
				off, dst := int64(0), make([]byte, 100_000)
				for err == nil && off < size {
					var n int
					n, err = f.ReadAt(t.Context(), dst, off)
					off += int64(n)
				}
				if !errors.Is(err, ErrCorrupt) || off > (size-1)/100_000*100_000 {
					t.Errorf("after %d bytes of %d: %v, want ErrCorrupt before the last are served", off, size, err)
				}
				if _, err := f.ReadAt(t.Context(), dst, 0); !errors.Is(err, ErrCorrupt) {
					t.Errorf("a further read of the damaged file = %v, want ErrCorrupt", err)
				}
				for i := range cache.Blocks(size) {
					if p.ranges.Has(v, i) {
						t.Fatalf("block %d stays cached", i)
					}
				}
				b.objects["k"].body[size/2] ^= 1
				g := b.open(t, p, v)
				for off := int64(0); off < size; off += 100_000 {
					b.check(t, g, off, 100_000)
				}
			})
		})
	}
}

// What the opener knows is compared, too, and a good object passes in any order that is complete.
func TestHintedSum(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 1000, 1)
		p := b.pool(t, setup{})
		wrong := b.objects["k"].sum + 1
		b.objects["k"].sum = wrong
		f := p.Open(v, Hint{CRC64: &wrong})
		defer f.Close()
		if _, err := f.ReadAt(t.Context(), make([]byte, 1000), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("ReadAt = %v, want ErrCorrupt", err)
		}
	})
}

// One hundred files share memory and connections: the budget holds, everybody gets on, nobody is far behind.
func TestHundredFiles(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		const size = 2 * mib
		p := b.pool(t, setup{ranges: 8 * mib, memory: 48 * mib})
		var wg sync.WaitGroup
		var first, last time.Duration
		var mu sync.Mutex
		start := time.Now()
		for i := range 100 {
			f := b.open(t, p, b.put(ossKey(fmt.Sprint(i)), size, 1))
			wg.Go(func() {
				for off := int64(0); off < size; off += 128 << 10 {
					b.check(t, f, off, 128<<10)
					if held := p.Stats().Windows; held > 48*mib {
						t.Errorf("%d bytes in windows", held)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if last = time.Since(start); first == 0 {
					first = last
				}
			})
		}
		wg.Wait()
		gets, sent := b.counts()
		t.Logf("first after %v, last after %v, %d GETs of %d bytes, %d direct, %d at once", first, last, gets, sent, p.Stats().Direct, b.busiest)
		if sent > 100*size*21/20 || b.busiest > 64 {
			t.Errorf("%d bytes fetched of %d, %d GETs at once", sent, 100*size, b.busiest)
		}
		if last > 2*first || last > 2*time.Second {
			t.Errorf("the first had its file after %v, the last after %v", first, last)
		}
	})
}

// Who needs memory for something else gets it from files that nobody reads.
func TestIdleWindowsGiveWay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		p := b.pool(t, setup{memory: 32 * mib})
		f := b.open(t, p, v)
		for off := int64(0); off < 16*mib; off += mib {
			b.check(t, f, off, mib)
		}
		time.Sleep(10 * time.Second)
		if held := p.Stats().Windows; held < 4*mib || held > 24*mib {
			t.Fatalf("%d bytes are held, want some and at most three quarters of the memory", held)
		}
		if err := p.opts.Budget.Acquire(t.Context(), "uploads", 32*mib); err != nil {
			t.Error(err)
		}
		b.check(t, f, 16*mib, mib)
		p.opts.Budget.Release("uploads", 32*mib)
	})
}

func TestEdges(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		p := b.pool(t, setup{})
		f := b.open(t, p, b.put("empty", 0, 1))
		if n, err := f.ReadAt(t.Context(), make([]byte, 1), 0); n != 0 || err != io.EOF {
			t.Errorf("ReadAt of nothing = %d, %v", n, err)
		}
		g := b.open(t, p, b.put("k", 10, 1))
		if n, err := g.ReadAt(t.Context(), make([]byte, 20), 5); n != 5 || err != io.EOF {
			t.Errorf("ReadAt beyond the end = %d, %v", n, err)
		}
		if n, err := g.ReadAt(t.Context(), nil, 5); n != 0 || err != nil {
			t.Errorf("ReadAt into nothing = %d, %v", n, err)
		}
		if _, err := g.ReadAt(t.Context(), make([]byte, 1), -1); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("ReadAt before the beginning = %v", err)
		}
	})
}
