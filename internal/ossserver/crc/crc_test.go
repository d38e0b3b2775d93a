package crc

import (
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func TestUpdateIsECMA(t *testing.T) {
	if got, want := Update(0, []byte("123456789")), uint64(0x995dc9bbdf1939fa); got != want {
		t.Errorf("Update(0, 123456789) = %#x, want the catalogue's check value %#x", got, want)
	}
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 63, 64, 1000, 4096, 65535, 200_000} {
		p := random(uint64(n), n+3)
		for _, from := range []int{0, 1, 3} {
			q := p[from:]
			want := crc64.Update(42, crc64.MakeTable(crc64.ECMA), q)
			if got := Update(42, q); got != want {
				t.Errorf("Update of %d bytes = %#x, want %#x", len(q), got, want)
			}
		}
	}
}

func TestCombine(t *testing.T) {
	p := random(7, 300_000)
	whole := Update(0, p)
	for _, cut := range []int{0, 1, 2, 8, 100, 4096, 123_457, len(p) - 1, len(p)} {
		a, b := Update(0, p[:cut]), Update(0, p[cut:])
		if got := Combine(a, b, int64(len(p)-cut)); got != whole {
			t.Errorf("Combine at %d = %#x, want %#x", cut, got, whole)
		}
	}
}

func FuzzCombine(f *testing.F) {
	f.Add([]byte("ab"), []byte("c"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		want := Update(Update(0, a), b)
		if got := Combine(Update(0, a), Update(0, b), int64(len(b))); got != want {
			t.Errorf("Combine = %#x, want %#x", got, want)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	p := random(1, 1<<20)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		Update(0, p)
	}
}

func BenchmarkStandardLibrary(b *testing.B) {
	p, table := random(1, 1<<20), crc64.MakeTable(crc64.ECMA)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		crc64.Update(0, table, p)
	}
}
