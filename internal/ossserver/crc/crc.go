package crc

import (
	"encoding/binary"
	"hash/crc64"
)

const (
	poly  = crc64.ECMA // reflected
	lane  = 8 << 10    // bytes that each of the four lanes takes at once
	lanes = 4
)

// slicing holds, for each of eight byte positions, what a byte there adds.
type slicing [8]crc64.Table

func makeSlicing() *slicing {
	var s slicing
	s[0] = *crc64.MakeTable(poly)
	for i := range 256 {
		for k := 1; k < len(s); k++ {
			s[k][i] = s[0][byte(s[k-1][i])] ^ s[k-1][i]>>8
		}
	}
	return &s
}

var (
	tables = makeSlicing()
	shift  = power(lane) // moves a remainder over one lane
)

// Update returns the checksum of the bytes whose checksum is crc followed by p.
//
// A checksum is a chain in which each step waits for the one before, which leaves most of the processor idle. So
// long inputs are cut into four lanes that advance together and are joined as Combine joins.
func Update(crc uint64, p []byte) uint64 {
	crc = ^crc
	for len(p) >= lanes*lane {
		crc = fourLanes(crc, p[:lanes*lane])
		p = p[lanes*lane:]
	}
	for ; len(p) >= 8; p = p[8:] {
		crc = tables.step(crc ^ binary.LittleEndian.Uint64(p))
	}
	for _, b := range p {
		crc = tables[0][byte(crc)^b] ^ crc>>8
	}
	return ^crc
}

func fourLanes(a uint64, p []byte) uint64 {
	var b, c, d uint64
	pa, pb, pc, pd := p[:lane], p[lane:2*lane], p[2*lane:3*lane], p[3*lane:4*lane]
	t := tables
	for i := 0; i+8 <= lane; i += 8 {
		a = t.step(a ^ binary.LittleEndian.Uint64(pa[i:]))
		b = t.step(b ^ binary.LittleEndian.Uint64(pb[i:]))
		c = t.step(c ^ binary.LittleEndian.Uint64(pc[i:]))
		d = t.step(d ^ binary.LittleEndian.Uint64(pd[i:]))
	}
	for _, next := range [...]uint64{b, c, d} {
		a = multiply(shift, a) ^ next
	}
	return a
}

// step advances a remainder, to which eight bytes were added, over them.
func (t *slicing) step(v uint64) uint64 {
	return t[7][byte(v)] ^ t[6][byte(v>>8)] ^ t[5][byte(v>>16)] ^ t[4][byte(v>>24)] ^
		t[3][byte(v>>32)] ^ t[2][byte(v>>40)] ^ t[1][byte(v>>48)] ^ t[0][byte(v>>56)]
}

// Combine returns the checksum of A followed by B, when a is A's checksum, b is B's, and B has lenB bytes.
func Combine(a, b uint64, lenB int64) uint64 { return multiply(power(lenB), a) ^ b }

// power is x^(8n) modulo the polynomial: what appending n bytes multiplies a remainder by.
func power(n int64) uint64 {
	result, square := uint64(1)<<63, uint64(1)<<55 // x^0 and x^8: bit 63 is x^0 in the reflected order
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = multiply(result, square)
		}
		square = multiply(square, square)
	}
	return result
}

// multiply returns a*b modulo the polynomial.
func multiply(a, b uint64) uint64 {
	var product uint64
	for ; a != 0; a <<= 1 {
		if a>>63 == 1 {
			product ^= b
		}
		if b&1 == 1 {
			b = b>>1 ^ poly
		} else {
			b >>= 1
		}
	}
	return product
}
