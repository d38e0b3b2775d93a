package crc

import (
	"encoding/binary"
	"hash/crc64"
)

// slices[k][b] is what byte b, followed by k zero bytes, adds to a raw checksum. They are made once and
// never change.
var slices = makeSlices()

func makeSlices() *[16][256]uint64 {
	var t [16][256]uint64
	t[0] = *crc64.MakeTable(poly)
	for k := 1; k < len(t); k++ {
		for b := range t[k] {
			v := t[k-1][b]
			t[k][b] = t[0][byte(v)] ^ v>>8
		}
	}
	return &t
}

// slicing advances a raw checksum (not inverted) over p, sixteen bytes at a time.
func slicing(raw uint64, p []byte) uint64 {
	t := slices
	for len(p) >= 16 {
		a := raw ^ binary.LittleEndian.Uint64(p)
		b := binary.LittleEndian.Uint64(p[8:])
		raw = t[15][byte(a)] ^ t[14][byte(a>>8)] ^ t[13][byte(a>>16)] ^ t[12][byte(a>>24)] ^
			t[11][byte(a>>32)] ^ t[10][byte(a>>40)] ^ t[9][byte(a>>48)] ^ t[8][a>>56] ^
			t[7][byte(b)] ^ t[6][byte(b>>8)] ^ t[5][byte(b>>16)] ^ t[4][byte(b>>24)] ^
			t[3][byte(b>>32)] ^ t[2][byte(b>>40)] ^ t[1][byte(b>>48)] ^ t[0][b>>56]
		p = p[16:]
	}
	for _, b := range p {
		raw = t[0][byte(raw)^b] ^ raw>>8
	}
	return raw
}
