package writeback

import "time"

// Large files pass through the stage. Where the network is faster than the local disk, as that of most rented machines is,
// a stage that keeps all that was sent would make the disk the limit: the kernel writes it there after some seconds, and
// slows writers down to that speed when much waits. So a part that was sent within youngFor of its first byte leaves the
// stage at once. The kernel drops its pages then, most of them before they were written to the disk, and uses
// them for what comes next, which costs it a third less than new ones do.
//
// What was given up so is read from the bucket, for which the upload is completed first (checkpoint). So
//   - the beginning of a file stays, what was written before there was an upload: headers are often written last;
//   - of a file that is read while it is written everything stays;
//   - what is committed stays. After a loss of power the journal may know less of the upload than it knew when the
//     bytes were given up; what was never committed is not stored then.

// youngFor is the age up to which a part is young. The kernel writes pages to the disk when they are 30 s old, or many
// (vm.dirty_expire_centisecs, vm.dirty_background_ratio in the kernel's documentation of /proc/sys/vm).
const youngFor = 5 * time.Second

// age says when the parts of a file were begun that is written from the first byte to the last.
type age struct {
	to    int64       // where the next part to be begun begins
	begun []time.Time // of the parts that are not on their way yet; the zero time: before anybody looked
}

// reach notes that the file has so many bytes. partSize is that of the part that begins at off.
func (a *age) reach(size int64, now time.Time, partSize func(off int64) int64) {
	for a.to < size {
		a.begun = append(a.begun, now)
		a.to += partSize(a.to)
	}
}

// next is when the next part that is sent was begun.
func (a *age) next() time.Time {
	if len(a.begun) == 0 {
		return time.Time{}
	}
	t := a.begun[0]
	a.begun = a.begun[1:]
	return t
}

// dropYoungLocked gives a part up in the stage that has just been sent and journaled, when it is young. It needs f.mu.
func (f *File) dropYoungLocked(number int, p *flyingPart) {
	s := f.s
	if f.stream.sealed || f.stream.stay || f.f == nil || f.sent != nil || f.base != nil ||
		!f.dirty || p.off < f.kept || f.wasRead.Load() || time.Since(p.begun) > s.opt.Young {
		return
	}
	s.mu.RLock()
	u := s.v.uploads[f.stage]
	var part sentPart
	if u != nil {
		part = u.parts[number]
	}
	s.mu.RUnlock()
	if part.off != p.off || part.Size != p.n {
		return
	}
	if err := f.punchPartLocked(part); err != nil {
		f.stream.stay = true
		if !s.solid.Load() {
			s.log.Warn("a staged file did not give space back", "file", stageName(f.stage), "error", err)
		}
	}
}
