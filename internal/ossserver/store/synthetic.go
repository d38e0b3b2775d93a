package store

import (
	"encoding/binary"
	"io"
)

// Synthetic returns a content of size bytes made from seed, with one reference. It takes no space.
func (s *Store) Synthetic(size int64, seed uint64) *Content {
	if size == 0 {
		return newContent(s, nil)
	}
	return newContent(s, []segment{{&blob{place: synthetic, size: size, seed: seed}, 0, size}})
}

// SyntheticAt fills p with the bytes at offset off of the synthetic content of seed: each run of eight is a
// number of the splitmix64 sequence, little end first, so that any offset can be reached at once.
func SyntheticAt(p []byte, seed uint64, off int64) {
	var word [8]byte
	if off%8 != 0 {
		binary.LittleEndian.PutUint64(word[:], splitmix(seed, uint64(off)/8))
		n := copy(p, word[off%8:])
		p, off = p[n:], off+int64(n)
	}
	i := uint64(off) / 8
	for ; len(p) >= 8; p, i = p[8:], i+1 {
		binary.LittleEndian.PutUint64(p, splitmix(seed, i))
	}
	if len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], splitmix(seed, i))
		copy(p, word[:])
	}
}

func splitmix(seed, i uint64) uint64 {
	z := seed + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func writeSynthetic(w io.Writer, g segment) error {
	buf := make([]byte, min(g.len, 256<<10))
	for off, left := g.off, g.len; left > 0; {
		p := buf[:min(left, int64(len(buf)))]
		SyntheticAt(p, g.blob.seed, off)
		if _, err := w.Write(p); err != nil {
			return err
		}
		off += int64(len(p))
		left -= int64(len(p))
	}
	return nil
}
