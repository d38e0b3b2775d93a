package writeback

import (
	"errors"

	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/extent"
)

// beginning is the state that was committed before one, when that was only added to it: the staged file begins with it. A loss of power while the
// later state is being overwritten, which nobody may have closed, brings it back, unless it was overwritten itself: its checksum says so.
type beginning struct {
	size int64
	sum  uint64
}

// growsFrom notes what a state begins with, that takes the place of before: what was committed when that was written to. Every file begins
// empty, and nearly none is meant to be so.
func (e *entry) growsFrom(before *entry) {
	if before.has(flagKept) && before.has(flagSum) && before.edit == nil && 0 < before.size && before.size < e.size {
		e.begins = &beginning{before.size, before.sum}
	}
}

// bringBack is the state that one which does not count after a loss of power begins with, in a staged file of its own: that of the other is kept
// apart. nil: there is none.
func (s *Store) bringBack(e *entry) *entry {
	if e.begins == nil || s.holed(e.stage) {
		return nil
	}
	back := e.clone()
	back.size, back.sum, back.flags, back.edit, back.begins = e.begins.size, e.begins.sum, e.flags&flagUnknown|flagSum|flagSuspect, nil, nil
	if !s.intact(back, s.openFile) {
		return nil
	}
	s.lastStage++
	back.stage = s.lastStage
	if err := s.copyStage(back.stage, e.stage, back.size); err != nil {
		s.log.Error("a file is not stored as it was before it was added to: there is no room for it", "key", string(e.key), "error", err)
		return nil
	}
	back.trial = s.mayBeSent(back).over(back.trial)
	s.space.set(back.stage, back.size)
	return back
}

// copyStage makes a staged file of the beginning of another.
func (s *Store) copyStage(to, from uint64, size int64) error {
	src, err := s.openFile(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := s.createStage(to)
	if err != nil {
		return err
	}
	if err := errors.Join(copyRange(dst, src, extent.Range{End: size}), dst.Close()); err != nil {
		s.sync.remove(to)
		return err
	}
	return nil
}

// copyRange copies bytes of a file to where they are in another.
func copyRange(to, from disk.File, r extent.Range) error {
	p := make([]byte, 64<<10)
	for at := r.Off; at < r.End; at += int64(len(p)) {
		q := p[:min(int64(len(p)), r.End-at)]
		if _, err := readZero(from, q, at); err != nil {
			return err
		}
		if _, err := to.WriteAt(q, at); err != nil {
			return err
		}
	}
	return nil
}
