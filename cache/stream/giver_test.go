package stream

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

// kernel is a page cache that asks for pages one by one, and takes blocks that it is given.
type kernel struct {
	t     *testing.T
	b     *bucket
	body  []byte
	takes bool

	mu    sync.Mutex // guards the fields below
	pages map[int64]bool
	given int
}

const page = 4096

// hint is what the mount says of the file.
func (k *kernel) hint() Hint { return Hint{PageCache: true, Give: k.give} }

func (k *kernel) give(off int64, data []byte) bool {
	if !k.takes {
		return false
	}
	if !bytes.Equal(data, k.body[off:off+int64(len(data))]) {
		k.t.Errorf("the kernel was given wrong bytes at %d", off)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.given++
	for at := off; at < off+int64(len(data)); at += page {
		k.pages[at] = true
	}
	return true
}

// read reads the page at off, from f if need be.
func (k *kernel) read(f *File, off int64) {
	k.mu.Lock()
	there := k.pages[off]
	k.mu.Unlock()
	if there {
		return
	}
	k.b.check(k.t, f, off, page)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pages[off] = true
}

// has is how many pages it has, and how many blocks it was given.
func (k *kernel) has() (pages, given int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pages), k.given
}

// pool is one whose kernel has room for room bytes.
func (k *kernel) pool(s setup, room int64) *Pool {
	p := k.b.pool(k.t, s)
	p.opts.Room = func() int64 { return room }
	return p
}

func newKernel(t *testing.T, b *bucket, v ossclient.Version) *kernel {
	return &kernel{t: t, b: b, body: b.objects[v.Key].body, takes: true, pages: map[int64]bool{}}
}

// Random reading again and again fetches the object about once and ends with all of it in the kernel's hands,
// though the store of ranges could hold nothing of it.
func TestDenseRandomReadsEndInTheKernel(t *testing.T) {
	for _, memory := range []int64{64 * mib, 12 * mib} {
		inBubble(t, func(t *testing.T, b *bucket) {
			v := b.put("k", 128*mib, 1)
			k := newKernel(t, b, v)
			p := k.pool(setup{memory: memory}, 256*mib)
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 8 {
				f := p.Open(v, k.hint())
				wg.Go(func() {
					defer f.Close()
					rnd := rand.New(rand.NewPCG(1, uint64(i)))
					for range 20_000 {
						k.read(f, rnd.Int64N(v.Size/page)*page)
					}
				})
			}
			wg.Wait()
			gets, sent := b.counts()
			_, given := k.has()
			t.Logf("%d bytes of memory: %v, %d GETs of %d bytes, %d blocks given", memory, time.Since(start), gets, sent, given)
			if took := time.Since(start); sent > v.Size*11/10 || gets > 600 || took > 3*time.Second {
				t.Errorf("%d bytes of memory: %v, %d GETs of %d bytes for %d", memory, took, gets, sent, v.Size)
			}
			if want := int(v.Size / cache.BlockSize * 9 / 10); given < want {
				t.Errorf("%d blocks were given to the kernel, want at least %d", given, want)
			}
		})
	}
}

// A kernel that has dropped what it was given gets it again, at the speed of a stream.
func TestKernelThatForgets(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		k := newKernel(t, b, v)
		p := k.pool(setup{}, 256*mib)
		f := p.Open(v, k.hint())
		defer f.Close()
		rnd := rand.New(rand.NewPCG(1, 1))
		for range 4000 {
			k.read(f, rnd.Int64N(v.Size/page)*page)
		}
		time.Sleep(time.Second)
		if pages, _ := k.has(); pages < int(v.Size/page)*19/20 {
			t.Fatalf("the kernel has %d pages of %d", pages, v.Size/page)
		}
		start := time.Now()
		for off := int64(0); off < v.Size; off += mib {
			b.check(t, f, off, mib)
		}
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("64 MiB in order took %v", took)
		}
	})
}

// A good part of an object read in order, and then a few places of it, is no reason to fetch all of it.
func TestFewPlacesAfterAStreamAreNotSweptUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 512*mib, 1)
		k := newKernel(t, b, v)
		p := k.pool(setup{}, 1024*mib)
		f := p.Open(v, k.hint())
		defer f.Close()
		for off := int64(0); off < 96*mib; off += mib {
			b.check(t, f, off, mib)
		}
		rnd := rand.New(rand.NewPCG(1, 1))
		for range 40 {
			k.read(f, rnd.Int64N(v.Size/page)*page)
		}
		time.Sleep(time.Second)
		if _, sent := b.counts(); sent > 256*mib {
			t.Errorf("%d bytes fetched for 96 MiB in order and 40 pages", sent)
		}
	})
}

// What the kernel does not take goes to the store, and an object that has no room in it is not swept up.
func TestKernelThatTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 32*mib, 1)
		k := newKernel(t, b, v)
		k.takes = false
		p := k.pool(setup{ranges: 64 * mib}, 0)
		f := p.Open(v, k.hint())
		for _, i := range []int64{30, 3, 17, 9, 24, 1, 12, 27, 6, 20} {
			b.check(t, f, i*mib, page)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := p.ranges.Stats().Puts; got < 10 {
			t.Errorf("the store was offered %d blocks, want the 10 that were read", got)
		}
	})
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 128*mib, 1)
		k := newKernel(t, b, v)
		p := k.pool(setup{}, 64*mib)
		f := p.Open(v, k.hint())
		defer f.Close()
		rnd := rand.New(rand.NewPCG(1, 1))
		for range 500 {
			k.read(f, rnd.Int64N(v.Size/page)*page)
		}
		gets, sent := b.counts()
		if _, given := k.has(); sent > 500*2*cache.BlockSize || given != 0 {
			t.Errorf("%d GETs of %d bytes for 500 reads, %d blocks given", gets, sent, given)
		}
	})
}

// The kernel has whoever gives it a page wait for a read of that page; the read may need more of the same GET.
func TestGivingWaitsForAReadThatWaitsForTheFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		b.bandwidth = mib // a block in an eighth of a second
		v := b.put("k", 64*mib, 1)
		p := b.pool(t, setup{})
		p.opts.Room = func() int64 { return 256 * mib }
		read := make(chan struct{})
		f := p.Open(v, Hint{PageCache: true, Give: func(int64, []byte) bool {
			<-read
			return true
		}})
		defer f.Close()
		start := time.Now()
		b.check(t, f, 8*mib+cache.BlockSize-page, 2*page) // two blocks in one GET
		close(read)
		if took := time.Since(start); took > time.Second {
			t.Errorf("the read took %v", took)
		}
	})
}

// A small file that is in memory is ready as a whole; one that is not, or is large, is not waited for.
func TestReady(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v, big := b.put("k", 300_000, 1), b.put("big", aheadLimit+1, 1)
		p := b.pool(t, setup{})
		f := b.open(t, p, v)
		if view := f.Ready(); view != nil {
			t.Error("a file that nobody fetched is ready")
		}
		b.check(t, f, 0, 300_000)
		view := b.open(t, p, v).Ready()
		if view == nil {
			t.Fatal("a file that was fetched whole is not ready")
		}
		if !bytes.Equal(bytes.Join(view.Slices(), nil), b.objects["k"].body) {
			t.Error("its bytes are wrong")
		}
		view.Release()
		g := b.open(t, p, big)
		b.check(t, g, 0, aheadLimit)
		if view := g.Ready(); view != nil {
			t.Error("a large file is ready")
		}
		if gets, _ := b.counts(); gets > 4 {
			t.Errorf("%d GETs", gets)
		}
	})
}
