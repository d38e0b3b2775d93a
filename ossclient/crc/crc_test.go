package crc

import (
	"bytes"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

func reference(crc uint64, p []byte) uint64 {
	return crc64.Update(crc, crc64.MakeTable(crc64.ECMA), p)
}

func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func TestCheckValueOfECMA(t *testing.T) {
	// CRC-64/XZ in the catalogue of parametrised CRC algorithms.
	if got, want := Update(0, []byte("123456789")), uint64(0x995dc9bbdf1939fa); got != want {
		t.Errorf("checksum of 123456789: got %#x, want %#x", got, want)
	}
}

func TestUpdateIsHashCRC64(t *testing.T) {
	p := random(5000)
	for n := range 1200 {
		for _, from := range []int{0, 1, 7, 13} {
			if got, want := Update(uint64(n)*7919, p[from:from+n]), reference(uint64(n)*7919, p[from:from+n]); got != want {
				t.Fatalf("Update of %d bytes at %d: got %#x, want %#x", n, from, got, want)
			}
			if got, want := ^slicing(^uint64(n), p[from:from+n]), reference(uint64(n), p[from:from+n]); got != want {
				t.Fatalf("slicing of %d bytes at %d: got %#x, want %#x", n, from, got, want)
			}
		}
	}
}

func TestCombineIsTheWhole(t *testing.T) {
	p := random(70000)
	for _, cut := range []int{0, 1, 8, 100, 4096, 69999, 70000} {
		a, b := Update(0, p[:cut]), Update(0, p[cut:])
		if got, want := Combine(a, b, int64(len(p)-cut)), Update(0, p); got != want {
			t.Errorf("Combine at %d: got %#x, want %#x", cut, got, want)
		}
	}
}

func TestDigest(t *testing.T) {
	p := random(100000)
	var d Digest
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 1+len(rest)/3)
		d.Write(rest[:n])
		rest = rest[n:]
	}
	if got, want := d.Sum64(), reference(0, p); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
	h := crc64.New(crc64.MakeTable(crc64.ECMA))
	h.Write(p)
	if got, want := d.Sum(nil), h.Sum(nil); !bytes.Equal(got, want) {
		t.Errorf("Sum: got %x, want %x", got, want)
	}
	if d.Reset(); d.Sum64() != 0 {
		t.Errorf("after Reset: got %#x, want 0", d.Sum64())
	}
}

func FuzzUpdate(f *testing.F) {
	f.Add(uint64(0), []byte("123456789"), 3)
	f.Add(uint64(1)<<63, random(1000), 500)
	f.Fuzz(func(t *testing.T, crc uint64, p []byte, cut int) {
		want := reference(crc, p)
		if got := Update(crc, p); got != want {
			t.Fatalf("Update of %d bytes: got %#x, want %#x", len(p), got, want)
		}
		if cut < 0 || cut > len(p) {
			return
		}
		if got := Update(Update(crc, p[:cut]), p[cut:]); got != want {
			t.Fatalf("Update in two at %d: got %#x, want %#x", cut, got, want)
		}
		if got := Combine(Update(crc, p[:cut]), Update(0, p[cut:]), int64(len(p)-cut)); got != want {
			t.Fatalf("Combine at %d: got %#x, want %#x", cut, got, want)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"16B", 16}, {"256B", 256}, {"4KiB", 4 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
		p := random(size.n)
		run := func(name string, f func([]byte) uint64) {
			b.Run(name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(size.n))
				for b.Loop() {
					f(p)
				}
			})
		}
		run("Update", func(p []byte) uint64 { return Update(0, p) })
		run("slicing", func(p []byte) uint64 { return slicing(0, p) })
		run("hash-crc64", func(p []byte) uint64 { return reference(0, p) })
	}
}

func BenchmarkCombine(b *testing.B) {
	for b.Loop() {
		Combine(0x123456789abcdef, 0xfedcba987654321, 8<<20)
	}
}
