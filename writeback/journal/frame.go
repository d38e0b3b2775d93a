package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is magic(4) length(4) sequence(8) kind(1) checksum(4) payload; the checksum, CRC-32C, covers
// everything but itself. Numbers are little-endian.
const (
	magic     = 0x314a574f // "OWJ1"
	frameHead = 21
	maxRecord = 1 << 30
)

type kind byte

const (
	kindHeader kind = iota + 1 // the first frame of a file: format version, boot
	kindRecord
	kindMarker // what stands before it was durable
	kindEnd    // the end of a snapshot
)

type frame struct {
	seq     uint64
	kind    kind
	payload []byte
}

func sum(head, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // a singleton, made once by the library
	return crc32.Update(crc32.Update(0, table, head), table, payload)
}

func appendFrame(b []byte, f frame) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.payload)))
	b = binary.LittleEndian.AppendUint64(b, f.seq)
	b = append(b, byte(f.kind))
	b = binary.LittleEndian.AppendUint32(b, sum(b[at:], f.payload))
	return append(b, f.payload...)
}

// parseFrame reads the frame at the beginning of b; n is its length, 0 when there is no whole frame.
// The payload is a part of b.
func parseFrame(b []byte) (f frame, n int) {
	if len(b) < frameHead || binary.LittleEndian.Uint32(b) != magic {
		return frame{}, 0
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > maxRecord || int(length) > len(b)-frameHead {
		return frame{}, 0
	}
	payload := b[frameHead : frameHead+int(length)]
	if sum(b[:frameHead-4], payload) != binary.LittleEndian.Uint32(b[frameHead-4:]) {
		return frame{}, 0
	}
	return frame{binary.LittleEndian.Uint64(b[8:]), kind(b[16]), payload}, frameHead + int(length)
}

// frames yields the frames of a file's bytes in order, each with the number of bytes before it that are no frame: they are
// passed over to the next whole one. torn is how many there are at the end.
func frames(b []byte, yield func(f frame, skipped int64)) (torn int64) {
	for len(b) > 0 {
		f, n := parseFrame(b)
		if n == 0 {
			torn++
			b = b[1:]
			continue
		}
		yield(f, torn)
		torn = 0
		b = b[n:]
	}
	return torn
}
