package crc

import (
	"hash"
	"hash/crc64"
)

// Size is the length of a checksum in bytes.
const Size = 8

// poly is the ECMA-182 polynomial, reflected: bit 63 is the coefficient of x^0.
const poly = crc64.ECMA

// Update returns the checksum of the bytes that crc stands for, followed by p. Begin with 0.
func Update(crc uint64, p []byte) uint64 { return update(crc, p) }

// Combine returns the checksum of two pieces laid one after the other: a is that of the first, b that
// of the second, lenB the second's length in bytes.
func Combine(a, b uint64, lenB int64) uint64 {
	if lenB <= 0 {
		return a
	}
	// The first checksum, moved past lenB bytes, is a times x^(8 lenB) modulo the polynomial; the
	// inversions at both ends cancel.
	return multiply(a, powerOfX(8*uint64(lenB))) ^ b
}

// powerOfX is x^n modulo the polynomial.
func powerOfX(n uint64) uint64 {
	square, product := uint64(1)<<62, uint64(1)<<63 // x and 1
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			product = multiply(product, square)
		}
		square = multiply(square, square)
	}
	return product
}

// multiply is the product of two polynomials modulo the polynomial, all reflected.
func multiply(a, b uint64) uint64 {
	var p uint64
	for ; a != 0; a <<= 1 {
		if a>>63 != 0 {
			p ^= b
		}
		carry := b & 1
		b >>= 1
		b ^= poly & -carry
	}
	return p
}

// Digest is a running checksum. The zero value is ready for use.
type Digest struct{ crc uint64 }

var _ hash.Hash64 = (*Digest)(nil)

// Write adds bytes; it never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.crc = update(d.crc, p)
	return len(p), nil
}

// Sum64 is the checksum of what was written so far.
func (d *Digest) Sum64() uint64 { return d.crc }

// Sum appends the checksum, its highest byte first.
func (d *Digest) Sum(b []byte) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(d.crc>>shift))
	}
	return b
}

// Reset begins anew.
func (d *Digest) Reset() { d.crc = 0 }

// Size is the checksum's length in bytes.
func (d *Digest) Size() int { return Size }

// BlockSize is the length that suits Write best, in bytes.
func (d *Digest) BlockSize() int { return 256 }
