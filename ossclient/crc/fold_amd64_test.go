package crc

import "testing"

func TestConstantsArePowersOfX(t *testing.T) {
	for _, c := range []struct{ n, want uint64 }{{4159, x4159}, {4095, x4095}, {2111, x2111}, {2047, x2047}, {1087, x1087}, {1023, x1023}, {191, x191}, {127, x127}} {
		if got := powerOfX(c.n); got != c.want {
			t.Errorf("x^%d: got %#x, want %#x", c.n, got, c.want)
		}
	}
}

func TestThisProcessorFolds(t *testing.T) {
	p := random(5000)
	for _, f := range []struct {
		name string
		can  bool
		min  int
		fold func(uint64, *byte, int, *[16]byte)
	}{{"fold", canFold, 128, fold}, {"foldWide", canWide, 256, foldWide}} {
		if !f.can {
			t.Logf("%s: this processor cannot", f.name)
			continue
		}
		for n := f.min; n < 2000; n += 16 {
			var out [16]byte
			f.fold(^uint64(n), &p[n%17], n, &out)
			if got, want := ^slicing(0, out[:]), reference(uint64(n), p[n%17:n%17+n]); got != want {
				t.Fatalf("%s of %d bytes: got %#x, want %#x", f.name, n, got, want)
			}
		}
	}
}

func TestThisProcessorFoldsFourBlocks(t *testing.T) {
	if !canVast {
		t.Skip("this processor cannot")
	}
	p := random(9000)
	for n := 512; n < 8192; n += 512 {
		var out [512]byte
		foldVast(^uint64(n), &p[n%19], n, &out)
		if got, want := ^slicing(0, out[:]), reference(uint64(n), p[n%19:n%19+n]); got != want {
			t.Fatalf("%d bytes: got %#x, want %#x", n, got, want)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	p := random(64 << 10)
	var out [16]byte
	if canFold {
		b.Run("narrow", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				fold(0, &p[0], len(p), &out)
			}
		})
	}
	if canWide {
		b.Run("wide", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				foldWide(0, &p[0], len(p), &out)
			}
		})
	}
	if canVast {
		b.Run("vast", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			var out [512]byte
			for b.Loop() {
				foldVast(0, &p[0], len(p), &out)
			}
		})
	}
}
