package harness

import "slices"

// What a kill may leave of a file whose content was just being changed. Each system call of an op makes one content
// of another. Between two truncations the bytes that were written may be there or not, each by itself: of an edit
// that was not closed the journal says which ranges count, and the staged file is ahead of it. A truncation has
// happened or not: no byte from before it stands beside one from after it.

// stretches are the contents that Path has in turn while the op is done, beginning with old; a truncation begins
// another stretch. The op is one that changes content.
func (o *Op) stretches(old []byte) [][][]byte {
	if o.Kind == Truncate {
		return [][][]byte{{old}, {resized(old, o.Size)}}
	}
	var done [][][]byte
	stretch := [][]byte{old}
	if o.Kind == Write {
		done, stretch = [][][]byte{stretch}, [][]byte{nil}
	}
	for _, c := range o.Writes {
		last := stretch[len(stretch)-1]
		next := resized(last, max(int64(len(last)), c.Off+int64(c.Len)))
		copy(next[c.Off:], c.Bytes())
		stretch = append(stretch, next)
	}
	return append(done, stretch)
}

// resized is a copy of bytes, cut off or followed by zeros.
func resized(p []byte, size int64) []byte {
	q := make([]byte, size)
	copy(q, p)
	return q
}

// MayLeave says whether the op, interrupted by a kill, may have left got in Path, which had old.
func (o *Op) MayLeave(old, got []byte) bool {
	return slices.ContainsFunc(o.stretches(old), func(stretch [][]byte) bool { return among(stretch, got) })
}

// among says whether got is no shorter than the first of some contents, and has in each
// place a byte that one of them has there.
func among(list [][]byte, got []byte) bool {
	if len(got) < len(list[0]) {
		return false
	}
	for i, b := range got {
		if !slices.ContainsFunc(list, func(p []byte) bool { return i < len(p) && p[i] == b }) {
			return false
		}
	}
	return true
}
