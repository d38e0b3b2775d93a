package stream

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
)

// A replaced object gives ErrStale, or bytes of the old version that were there before; never a mixture.
func TestReplacedObject(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		p := b.pool(t, setup{})
		f := b.open(t, p, v)
		old := b.objects["k"].body
		b.check(t, f, 0, mib)
		b.check(t, f, mib, mib)
		w := b.put("k", 64*mib, 2)
		stale := 0
		for off := int64(0); off < v.Size; off += mib {
			dst := make([]byte, mib)
			n, err := f.ReadAt(t.Context(), dst, off)
			if err != nil {
				if !errors.Is(err, ErrStale) {
					t.Fatalf("ReadAt = %v, want ErrStale", err)
				}
				stale++
			}
			if !bytes.Equal(dst[:n], old[off:off+int64(n)]) {
				t.Fatalf("bytes at %d are not the old version's", off)
			}
		}
		if stale == 0 {
			t.Error("nothing was stale")
		}
		b.check(t, b.open(t, p, w), 0, 4*mib)
		b.lax = true
		if _, err := b.open(t, p, v).ReadAt(t.Context(), make([]byte, 1), 50*mib); !errors.Is(err, ErrStale) {
			t.Errorf("ReadAt of what a careless server answers = %v, want ErrStale", err)
		}
		b.lax = false
		delete(b.objects, "k")
		if _, err := b.open(t, p, w).ReadAt(t.Context(), make([]byte, 1), 60*mib); !errors.Is(err, ErrStale) {
			t.Errorf("ReadAt of a deleted object = %v, want ErrStale", err)
		}
	})
}

// Who has found a version replaced does not ask for it again, and reads what is in memory of it; who opens it then asks: it may be there again.
func TestReplacedIsAskedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 64*mib, 1)
		p := b.pool(t, setup{})
		f := b.open(t, p, v)
		old := b.objects["k"]
		b.check(t, f, 0, 4096)
		synctest.Wait()
		delete(b.objects, "k")
		dst := make([]byte, 4096)
		before := 0
		for i := range 3 {
			if _, err := f.ReadAt(t.Context(), dst, 60*mib); !errors.Is(err, ErrStale) {
				t.Fatalf("ReadAt = %v, want ErrStale", err)
			}
			if synctest.Wait(); i == 0 {
				before, _ = b.counts()
			}
		}
		if n, err := f.ReadAt(t.Context(), dst, 4096); n != len(dst) {
			t.Errorf("what is in memory: %d bytes, %v", n, err)
		}
		if now, _ := b.counts(); now != before {
			t.Errorf("the bucket was asked %d times more", now-before)
		}
		b.objects["k"] = old
		b.check(t, b.open(t, p, v), 60*mib, 4096)
	})
}
