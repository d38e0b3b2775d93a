package crc

import "github.com/klauspost/cpuid/v2"

// From where folding beats the tables, and folding in wider registers the narrower ones.
const (
	foldMin = 128
	wideMin = 512
	vastMin = 2048
)

// The constants of fold_amd64.s: x^n modulo the polynomial, reflected. A test computes them.
const (
	x4159 = 0x6b6563c31e5df640
	x4095 = 0x430af18f45bfec70
	x2111 = 0x8260adf2381ad81c
	x2047 = 0xf31fd9271e228b79
	x1087 = 0x8757d71d4fcc1000
	x1023 = 0xd7d86b2af73de740
	x191  = 0xe05dd497ca393ae4
	x127  = 0xdabe95afc7875f40
)

// fold takes a raw checksum and n bytes at p, n being a multiple of 16 and at least 128, and leaves in
// out 16 bytes that have the same remainder: the raw checksum of out, begun with 0, is that of p, begun
// with raw.
//
// It works on eight blocks of 16 bytes at once. A block is a polynomial lo*x^64 + hi; moved on by 1,024
// bits it is lo*x^1088 + hi*x^1024, and both products, reduced to 128 bits by taking x^n modulo the
// polynomial first, are one carry-less multiplication each. A product of reflected words comes out
// multiplied by x, hence the exponents one less.
//
//go:noescape
func fold(raw uint64, p *byte, n int, out *[16]byte)

// foldWide is fold on sixteen blocks at once, for n of at least 256.
//
//go:noescape
func foldWide(raw uint64, p *byte, n int, out *[16]byte)

// foldVast takes n bytes, n being a multiple of 512, and leaves 512 that have the same remainder: 32 blocks
// at once, which are for the others to join.
//
//go:noescape
func foldVast(raw uint64, p *byte, n int, out *[512]byte)

// The processor's means: PCLMULQDQ multiplies without carry, VPCLMULQDQ two blocks at once, or four.
var (
	canFold = cpuid.CPU.Supports(cpuid.CLMUL, cpuid.SSE2)
	canWide = cpuid.CPU.Supports(cpuid.VPCLMULQDQ, cpuid.AVX2)
	canVast = canFold && canWide && cpuid.CPU.Supports(cpuid.VPCLMULQDQ, cpuid.AVX512F)
)

func update(crc uint64, p []byte) uint64 {
	raw := ^crc
	if len(p) >= vastMin && canVast {
		n := len(p) &^ 511
		var out [512]byte
		foldVast(raw, &p[0], n, &out)
		raw = folded(0, out[:])
		p = p[n:]
	}
	if n := len(p) &^ 15; n >= foldMin && canFold {
		raw = folded(raw, p[:n])
		p = p[n:]
	}
	return ^slicing(raw, p)
}

// folded moves a raw checksum on by p, whose length is a multiple of 16 and at least foldMin.
func folded(raw uint64, p []byte) uint64 {
	var out [16]byte
	if len(p) >= wideMin && canWide {
		foldWide(raw, &p[0], len(p), &out)
	} else {
		fold(raw, &p[0], len(p), &out)
	}
	return slicing(0, out[:])
}
