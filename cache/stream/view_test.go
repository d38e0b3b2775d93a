package stream

import (
	"bytes"
	"io"
	"testing"

	"github.com/ossfs/ossfs/cache"
)

// A View is the blocks themselves: the right bytes for as long as it is held, whatever happens to the file.
func TestViewHoldsItsBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bucket) {
		v := b.put("k", 3*mib+100, 1)
		p := b.pool(t, setup{ranges: 0, memory: 8 * mib})
		f := p.Open(v, Hint{})
		view, err := f.View(t.Context(), make([]byte, mib), mib/2+1)
		if err != nil {
			t.Fatal(err)
		}
		last, err := f.View(t.Context(), make([]byte, mib), 3*mib)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		body := b.objects["k"].body
		if got := bytes.Join(view.Slices(), nil); view.Len() != mib || !bytes.Equal(got, body[mib/2+1:][:mib]) {
			t.Errorf("a View of %d bytes is not what is stored", view.Len())
		}
		if got := bytes.Join(last.Slices(), nil); last.Len() != 100 || !bytes.Equal(got, body[3*mib:]) {
			t.Errorf("a View of the end has %d bytes, want 100", last.Len())
		}
		view.Release()
		last.Release()
		if _, err := b.open(t, p, v).View(t.Context(), make([]byte, 1), v.Size); err != io.EOF {
			t.Errorf("a View beyond the end = %v", err)
		}
	})
}

// Where the kernel keeps what it read, a block goes to the store only if it was not read in full.
func TestPageCacheIsNotDoubled(t *testing.T) {
	for _, kept := range []bool{false, true} {
		inBubble(t, func(t *testing.T, b *bucket) {
			v := b.put("k", 8*mib, 1)
			p := b.pool(t, setup{ranges: 64 * mib})
			f := p.Open(v, Hint{PageCache: kept})
			for off := int64(0); off < 4*mib; off += 256 << 10 {
				b.check(t, f, off, 256<<10)
			}
			want := int64(4 * mib / cache.BlockSize)
			if kept {
				want = 0
			}
			if got := p.ranges.Stats().Puts; got != want {
				t.Errorf("kept by the kernel: %v; the store was offered %d blocks, want %d", kept, got, want)
			}
			b.check(t, f, 6*mib+5, 100)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if got := p.ranges.Stats().Puts; got == want {
				t.Error("what was not read in full was not offered")
			}
		})
	}
}
