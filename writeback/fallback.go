package writeback

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/extent"
)

// fallback goes through the records that a loss of power may have torn from their staged files: a state whose file is not what the
// record says is passed over, and the state before it stays. So is
//
//   - a leg of an exchange when the one before it is: it would put something where the content is that was to be moved away;
//   - a move of an object when there is content under its key that the object is not the base of: what had taken that away was passed over, and it
//     would go along with the object, and overwrite it;
//   - what came later of content whose move was passed over, unless the state that it has where it was does not count: two keys
//     would speak of one staged file;
//   - what came later at the key where such content still is: it was made there, or removed, by who knew the content elsewhere, where it is not.
type fallback struct {
	s      *Store
	torn   map[uint64]bool // staged files in which a state was being overwritten after they were looked at
	passed map[uint64]bool // moves that were to follow one that is passed over
	at     map[uint64]Key  // where the content of a staged file is, or was last
	left   map[uint64]bool // content that has stayed where it was, as what moved it was passed over

	// Of the record that is looked at:
	moved  []*entry // states whose content it has elsewhere, as what moved it was passed over; they do not count
	looked []uint64 // staged files that are what it says
}

// fallBack applies what counts of the records. It returns the staged files that may be torn all the same, since a state in them was
// being overwritten.
func (s *Store) fallBack(tail [][]op) (torn map[uint64]bool) {
	fb := &fallback{s: s, torn: make(map[uint64]bool), passed: make(map[uint64]bool), at: make(map[uint64]Key), left: make(map[uint64]bool)}
	s.v.tree.Scan(func(key Key, e *entry) bool {
		fb.at[e.stage] = key
		return true
	})
	for _, ops := range tail {
		if fb.look(ops) {
			fb.accept(ops)
		} else {
			fb.pass(ops)
		}
	}
	return fb.torn
}

// look says whether a record counts.
func (fb *fallback) look(ops []op) bool {
	whole := true
	fb.moved, fb.looked = nil, nil
	for i := range ops {
		switch o := &ops[i]; o.code {
		case opTorn:
			fb.torn[o.stage] = true
		case opMove, opMoved:
			whole = whole && !fb.passed[o.move.id] && (o.code == opMoved || !fb.ofAnother(o.move))
		case opSet:
			whole = whole && !fb.buries(o.entry.key, ops)
		case opDel:
			whole = whole && !fb.buries(o.key, ops)
		}
		e := ops[i].entry
		if e == nil || e.stage == 0 {
			continue
		}
		if from := fb.elsewhere(e, ops); from != nil {
			fb.moved = append(fb.moved, from)
			whole = whole && !fb.s.counts(from, fb.torn[e.stage])
		}
		if i > 0 && ops[i-1].code == opBytes && ops[i-1].stage == e.stage && !e.has(flagDirty) {
			continue // its content is in the record
		}
		whole = fb.fits(e, outgrown(ops, i)) && whole
	}
	return whole
}

// ofAnother says whether a move is of an object, and the content that its key has here was made of something else.
func (fb *fallback) ofAnother(m *move) bool {
	e := fb.s.get(m.from)
	return !m.tree && !m.waiting && e != nil && e.kind == Content && !(e.known() && e.base.ETag == m.source.ETag)
}

// buries says whether a record takes the last mention away of content that has stayed at a key, and counts.
func (fb *fallback) buries(key Key, ops []op) bool {
	e := fb.s.get(key)
	if e == nil || !fb.left[e.stage] || !fb.s.counts(e, fb.torn[e.stage]) {
		return false
	}
	return !slices.ContainsFunc(ops, func(o op) bool { return o.code == opSet && o.entry.stage == e.stage })
}

// elsewhere is the state of another key, which the record leaves as it is, that speaks of the same staged file; nil: there is none.
func (fb *fallback) elsewhere(e *entry, ops []op) *entry {
	key, known := fb.at[e.stage]
	if !known || key == e.key {
		return nil
	}
	for _, o := range ops {
		if o.code == opDel && o.key == key || o.code == opSet && o.entry.key == key {
			return nil
		}
	}
	if from := fb.s.get(key); from != nil && from.stage == e.stage {
		return from
	}
	return nil
}

// fits says whether a staged file is what a state says.
func (fb *fallback) fits(e *entry, outgrown bool) bool {
	s := fb.s
	open := s.openStage
	if outgrown {
		open = s.openFile
	}
	switch {
	case e.has(flagDirty): // never closed: whatever was before is better
		fb.torn[e.stage] = fb.torn[e.stage] || !e.has(flagKept)
		return false
	case e.restates(s.get(e.key)):
		return true
	case s.intact(e, open):
		fb.looked = append(fb.looked, e.stage)
		return true
	}
	s.log.Warn("a change of the last second before the loss of power is lost", "key", string(e.key))
	return false
}

func (fb *fallback) accept(ops []op) {
	for _, stage := range fb.looked {
		delete(fb.torn, stage) // what was overwritten before is in what it is now
	}
	for _, e := range fb.moved {
		fb.s.drop(e)
	}
	fb.s.replay(ops)
	for i := range ops {
		if e := ops[i].entry; e != nil && e.stage != 0 {
			fb.at[e.stage] = e.key
			delete(fb.left, e.stage)
		}
	}
}

func (fb *fallback) pass(ops []op) {
	for i := range ops {
		if ops[i].code == opMove {
			fb.passed[ops[i].move.id] = true
		}
		if e := ops[i].entry; e != nil && e.stage != 0 {
			at, known := fb.at[e.stage]
			fb.left[e.stage] = fb.left[e.stage] || known && at != e.key
		}
		fb.s.holds(&ops[i])
	}
}

// holds applies what an op of a record that is passed over says of the bucket: what it has got, and what it may have. An older state
// than what it has got goes too when it would undo that one; older content is kept beside it.
func (s *Store) holds(o *op) {
	switch o.code {
	case opStored:
		e, ok := s.v.tree.Get(o.key)
		if ok && (e.seq == o.seq || e.seq < o.seq && e.kind != Content) {
			s.replay([]op{{code: opDel, key: o.key}})
		}
	case opTried:
		s.v.apply(o)
	case opSet:
		if e, ok := s.v.tree.Get(o.entry.key); ok {
			next := e.clone()
			next.trial = o.entry.trial.upto(e.seq).over(e.trial)
			s.v.apply(&op{code: opSet, entry: next})
		}
	}
}

// outgrown says whether the i-th op of a record is the state of content that has a staged file since.
func outgrown(ops []op, i int) bool {
	return i > 0 && ops[i-1].code == opNoBytes && ops[i].code == opSet && ops[i-1].stage == ops[i].entry.stage
}

// intact says whether a staged file has the content its entry says it has, as far as can be seen.
func (s *Store) intact(e *entry, open func(stage uint64) (disk.File, error)) bool {
	f, err := open(e.stage)
	if errors.Is(err, fs.ErrNotExist) && e.size == 0 { // it need not have come to the disk
		return true
	}
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false
	}
	ranges := []extent.Range{{End: e.size}}
	switch {
	case size < e.stagedEnd():
		return false
	case s.holed(e.stage) && e.has(flagSum):
		sum, known := s.sumWithParts(e, f)
		return known && sum == e.sum
	case s.holed(e.stage):
		return s.partsIntact(e, f)
	case !e.has(flagSum | flagPart):
		return false
	case e.has(flagPart):
		ranges = e.edit.dirty.Ranges()
	}
	sum, err := sumRanges(f, ranges)
	return err == nil && sum == e.sum
}

// sumWithParts is the checksum of content of which parts are in the bucket alone; known is false when one of them has bytes behind its end.
// Such parts may have been sent after the content was overwritten: they say themselves of which bytes they are.
func (s *Store) sumWithParts(e *entry, f disk.File) (sum uint64, known bool) {
	s.mu.RLock()
	var given []sentPart
	for _, p := range s.v.uploads[e.stage].parts {
		if p.punched && p.off < e.size {
			given = append(given, p)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(given, func(a, b sentPart) int { return cmp.Compare(a.off, b.off) })
	at := int64(0)
	for _, p := range append(given, sentPart{off: e.size}) {
		here, err := sumRanges(f, []extent.Range{{Off: at, End: p.off}})
		if err != nil || p.off < at || p.off+p.Size > e.size || p.Size > 0 && !p.HasCRC64 {
			return 0, false
		}
		sum = crc.Combine(crc.Combine(sum, here, p.off-at), p.CRC64, p.Size)
		at = p.off + p.Size
	}
	return sum, true
}

// partsIntact is intact for content of which parts are in the bucket alone, and that has no checksum: what is staged must be in parts
// that were sent, and be what was sent.
func (s *Store) partsIntact(e *entry, f disk.File) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	unsure := s.localLocked(e)
	for _, p := range s.v.uploads[e.stage].parts {
		if p.punched {
			continue
		}
		r := extent.Range{Off: p.off, End: p.off + p.Size}
		if sum, err := sumRanges(f, []extent.Range{r}); err == nil && p.HasCRC64 && sum == p.CRC64 {
			unsure.Remove(r.Off, r.End)
		}
	}
	return unsure.Len() == 0
}
