package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/cache"
)

func TestSequential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		v := b.put("big", 256<<20, 1)
		p := b.pool(t, setup{})
		f := b.open(t, p, v)
		start := time.Now()
		for off := int64(0); off < v.Size; off += 1 << 20 {
			b.check(t, f, off, 1<<20)
		}
		took := time.Since(start)
		gets, sent := b.counts()
		t.Logf("%v, %d GETs, %d bytes, %d at once, %d MB/s", took, gets, sent, b.busiest, v.Size/took.Microseconds())
		if sent != v.Size {
			t.Errorf("fetched %d bytes of %d", sent, v.Size)
		}
		if rate := v.Size / took.Microseconds(); rate < 600 {
			t.Errorf("%d MB/s", rate)
		}
		if b.busiest > 64 {
			t.Errorf("%d GETs at once", b.busiest)
		}
		_ = cache.BlockSize
	})
}
