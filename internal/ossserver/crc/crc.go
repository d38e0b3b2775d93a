package crc

import "hash/crc64"

// poly is the reflected ECMA-182 polynomial.
const poly = crc64.ECMA

var table = crc64.MakeTable(poly)

// Update returns the checksum of the bytes whose checksum is crc followed by p.
func Update(crc uint64, p []byte) uint64 { return crc64.Update(crc, table, p) }

// Combine returns the checksum of A followed by B, when a is A's checksum, b is B's, and B has lenB bytes.
func Combine(a, b uint64, lenB int64) uint64 {
	// Appending n bytes multiplies A's remainder by x^(8n); the rest is B's own remainder.
	power, square := uint64(1)<<63, uint64(1)<<55 // x^0 and x^8: bit 63 is x^0 in the reflected order
	for n := lenB; n > 0; n >>= 1 {
		if n&1 == 1 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return multiply(power, a) ^ b
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
