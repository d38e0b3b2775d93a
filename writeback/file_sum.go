package writeback

import (
	"math"

	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/extent"
)

// sumWrite keeps the checksum of what is written from the first byte to the last. Writes that overtake
// others are read again when their turn has come. What is sent in parts is summed part by part.
func (f *File) sumWrite(p []byte, off int64) {
	switch {
	case f.sumEnd < 0:
		return
	case off+int64(len(p)) > f.s.opt.SinglePut:
		f.sumEnd = -1
	case off < f.sumEnd:
		f.sumEnd = -1
	case off > f.sumEnd:
		f.ahead.Add(off, off+int64(len(p)))
	default:
		f.sum, f.sumEnd = crc.Update(f.sum, p), off+int64(len(p))
		if f.ahead.Len() == 0 {
			return
		}
		if f.ahead.Overlaps(0, f.sumEnd) {
			f.sumEnd = -1
		} else if r := f.ahead.Within(f.sumEnd, math.MaxInt64); len(r) > 0 && r[0].Off == f.sumEnd {
			f.sumAhead(r[0])
		}
	}
	if f.sumEnd < 0 {
		f.ahead.Clear()
	}
}

func (f *File) sumAhead(r extent.Range) {
	sum, err := sumRanges(f.f, []extent.Range{r})
	if err != nil {
		f.sumEnd = -1
		return
	}
	f.sum, f.sumEnd = crc.Combine(f.sum, sum, r.Len()), r.End
	f.ahead.Remove(r.Off, r.End)
}

// sumMost is how many bytes are read again at a commit to be summed: when they were not written from the
// first to the last. More are not: a loss of power within the second takes such a change back.
const sumMost = 4 << 20

// sumLocked notes the checksum by which a loss of power is recognised that took some of the bytes. It needs
// f.mu.
func (f *File) sumLocked(e *entry) error {
	switch {
	case f.sumEnd == f.size:
		e.sum, e.flags = f.sum, e.flags|flagSum
	case e.staged() > sumMost:
	case e.edit == nil && !f.local.Contains(0, f.size): // parts of it are in the bucket alone: holes are no bytes of it
	case e.edit != nil:
		sum, err := sumRanges(f.f, e.edit.dirty.Ranges())
		if err != nil {
			return err
		}
		e.sum, e.flags = sum, e.flags|flagPart
	default:
		sum, err := sumRanges(f.f, []extent.Range{{End: f.size}})
		if err != nil {
			return err
		}
		f.sum, f.sumEnd = sum, f.size
		f.ahead.Clear()
		e.sum, e.flags = sum, e.flags|flagSum
	}
	return nil
}
