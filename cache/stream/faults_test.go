package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

// GETs fail, bodies break, readers are interrupted, files are closed under their readers and objects are replaced:
// every byte that is served is of the version that was opened, and nothing is left in the end.
func TestReadsUnderFaults(t *testing.T) {
	b := newBucket()
	b.latency, b.bandwidth = 100*time.Microsecond, 0
	p := b.pool(t, setup{ranges: 4 * mib, memory: 8 * mib, conns: 8})
	b.fail = func(ossclient.GetRequest) error {
		if rand.IntN(10) == 0 {
			return &ossclient.Error{Op: "GetObject", Kind: ossclient.ErrThrottled}
		}
		return nil
	}
	b.tear = func() bool { return rand.IntN(100) == 0 }
	sizes := map[ossclient.Key]int64{"a": 100, "b": 3 * cache.BlockSize, "c": 5*mib + 1}
	bodies := map[ossclient.Version][]byte{}
	var mu sync.Mutex // guards bodies
	replace := func(key ossclient.Key, seed uint64) {
		v := b.put(key, sizes[key], seed)
		mu.Lock()
		defer mu.Unlock()
		bodies[v] = b.objects[key].body
	}
	for key := range sizes {
		replace(key, 0)
	}
	stop := make(chan struct{})
	var wg, replacer sync.WaitGroup
	replacer.Go(func() {
		for seed := uint64(1); ; seed++ {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
				replace([]ossclient.Key{"a", "b", "c"}[seed%3], seed)
			}
		}
	})
	var served, failed int
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 5))
			for range 30 {
				mu.Lock()
				v := b.version([]string{"a", "b", "c"}[rnd.IntN(3)])
				want := bodies[v]
				mu.Unlock()
				if want == nil {
					continue // it was replaced between put and its note
				}
				ok, bad := readFaulty(t, p.Open(v, Hint{}), want, rnd)
				mu.Lock()
				served, failed = served+ok, failed+bad
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(stop)
	replacer.Wait()
	t.Logf("%d reads served, %d failed", served, failed)
	if served == 0 || failed == 0 {
		t.Error("the test tests nothing")
	}
}

// readFaulty reads f at random and closes it, sometimes while it is read.
func readFaulty(t *testing.T, f *File, want []byte, rnd *rand.Rand) (served, failed int) {
	var closing sync.WaitGroup
	early := rnd.IntN(4) == 0
	if early {
		closing.Go(func() { _ = f.Close() })
	}
	off, n := rnd.Int64N(int64(len(want))), 1+rnd.Int64N(300<<10)
	for range 1 + rnd.IntN(20) {
		ctx, cancel := context.WithCancel(t.Context())
		if rnd.IntN(8) == 0 {
			time.AfterFunc(time.Duration(rnd.IntN(300))*time.Microsecond, cancel)
		}
		dst := make([]byte, n)
		got, err := f.ReadAt(ctx, dst, off)
		cancel()
		if !bytes.Equal(dst[:got], want[off:off+int64(got)]) {
			t.Errorf("ReadAt(%d bytes at %d) of %v gave foreign bytes", n, off, f.Version())
		}
		if err != nil && err != io.EOF {
			failed++
		} else {
			served++
		}
		if errors.Is(err, ErrCorrupt) {
			t.Errorf("ReadAt = %v", err)
		}
		if off += n; rnd.IntN(3) == 0 || off >= int64(len(want)) {
			off = rnd.Int64N(int64(len(want)))
		}
	}
	closing.Wait()
	if !early {
		_ = f.Close() // it is open
	}
	return served, failed
}
