package writeback

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/extent"
	"github.com/ossfs/ossfs/writeback/journal"
)

// Open reads the journal back, completes the renames that a crash interrupted, and starts to send. It does
// not wait for what is pending. A *disk.LockedError names the process that has the directory.
func Open(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	lock, err := o.Disk.Lock("lock")
	if err != nil {
		return nil, err
	}
	s := &Store{opt: o, fs: o.Disk, log: o.Logger, bucket: o.Bucket, lock: lock, v: newView(), files: make(map[uint64]*File),
		live: make(map[Key]*File), inflight: make(map[Key]flight), tried: make(map[Key]*trial), parts: make(chan struct{}, partsAtOnce), told: make(map[Key]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.loop, s.sync = newLoop(s), newSyncer(s)
	s.space = &space{total: o.StageBudget, urge: s.pressure, of: make(map[uint64]int64)}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	forgotten, intents := s.forgotten(), s.intents() // before new ones are made
	s.wg.Go(func() {
		s.abandonAll(forgotten)
		s.settleIntents(s.ctx, intents)
	})
	s.wg.Go(func() { s.loop.run(s.ctx) })
	s.wg.Go(func() { s.sync.run(s.ctx) })
	s.resumeMoves(ctx)
	s.opened.Store(true)
	s.mu.RLock()
	s.v.tree.Scan(func(_ Key, e *entry) bool {
		s.loop.changed(e, 0)
		return true
	})
	s.mu.RUnlock()
	return s, nil
}

// recover reads the journal and looks after the staged files.
func (s *Store) recover() error {
	if err := s.fs.MkdirAll("staged"); err != nil {
		return err
	}
	rd := &reader{s: s}
	var report journal.Report
	var err error
	s.journal, report, err = journal.Open(s.fs, "journal", rd)
	if err != nil {
		return err
	}
	if report.Damaged > 0 || report.Gaps > 0 {
		s.log.Error("the journal is damaged: what it said there is lost; staged files that nothing speaks of any more are kept in salvaged/",
			"bytes", report.Damaged, "gaps", report.Gaps)
	}
	var torn map[uint64]bool
	if report.Rebooted {
		torn = s.fallBack(rd.tail)
	} else {
		for _, r := range rd.tail {
			s.replay(r)
		}
	}
	s.lastStage = s.v.stage
	setAside := s.settle(report.Rebooted, torn)
	if damaged := report.Damaged > 0 || report.Gaps > 0; report.Rebooted || damaged {
		// What was passed over must not come back: no later marker may speak for it.
		if err := s.compact(); err != nil {
			return errors.Join(err, s.journal.Close())
		}
	}
	if len(s.found) > 0 {
		if err := s.commitOps(s.found...); err != nil {
			return errors.Join(err, s.journal.Close())
		}
		s.found = nil
	}
	s.sync.all, s.sync.pending = true, true
	s.sync.wake()
	return s.adoptStages(setAside || report.Damaged > 0 || report.Gaps > 0)
}

// reader applies the records of the journal: those before the last marker at once.
type reader struct {
	s    *Store
	tail [][]op
}

var _ journal.Reader = (*reader)(nil)

func (r *reader) Record(seq uint64, payload []byte, durable bool) error {
	ops, err := decodeOps(payload)
	if err != nil {
		return err
	}
	for i := range ops {
		if ops[i].entry != nil {
			ops[i].entry.rec = seq
		}
	}
	if durable {
		r.s.replay(ops)
	} else {
		r.tail = append(r.tail, ops)
	}
	return nil
}

// replay applies a record that was read back, and notes the keys that were confirmed: whoever was told of it may
// have died before it was written down.
func (s *Store) replay(ops []op) {
	for i := range ops {
		o := &ops[i]
		switch o.code {
		case opClosed:
			clear(s.told)
		case opDel:
			if e, ok := s.v.tree.Get(o.key); ok && e.kind != Absent {
				s.told[o.key] = struct{}{}
			}
		case opMoved:
			if m := s.v.moves[o.move.id]; m != nil && !m.tree {
				s.told[m.to] = struct{}{}
			}
		case opNoBytes:
			if i+1 == len(ops) || !outgrown(ops, i+1) {
				continue // the record that gave the bytes to another key may have been passed over: what nothing speaks of goes last
			}
		}
		s.v.apply(o)
	}
}

// Told are the keys of which a state was confirmed shortly before a process died that had the Store open: what it was
// told of them by Options.Confirmed may be lost.
func (s *Store) Told() []Key { return slices.Collect(maps.Keys(s.told)) }

// fallBack applies the records that a loss of power may have torn from their staged files: a state whose
// file is not what the record says is passed over, and the state before it stays. So is a leg of an exchange when the one before it
// is: it would put something where the content is that was to be moved away. It returns the staged files that may be
// torn all the same, since a state in them was being overwritten after they were looked at.
func (s *Store) fallBack(tail [][]op) (torn map[uint64]bool) {
	torn = make(map[uint64]bool)
	passed := make(map[uint64]bool) // moves that were to follow one that is passed over
	for _, ops := range tail {
		whole := true
		var looked []uint64
		for i := range ops {
			switch o := &ops[i]; o.code {
			case opTorn:
				torn[o.stage] = true
			case opMove, opMoved:
				whole = whole && !passed[o.move.id]
			}
			e := ops[i].entry
			if e == nil || e.stage == 0 || i > 0 && ops[i-1].code == opBytes && ops[i-1].stage == e.stage && !e.has(flagDirty) {
				continue // no staged file, or its content in the record
			}
			open := s.openStage
			if outgrown(ops, i) {
				open = s.openFile
			}
			if e.has(flagDirty) { // never closed: whatever was before is better
				whole = false
				torn[e.stage] = torn[e.stage] || !e.has(flagKept)
			} else if !e.restates(s.get(e.key)) {
				if looked = append(looked, e.stage); !s.intact(e, open) {
					s.log.Warn("a change of the last second before the loss of power is lost", "key", string(e.key))
					whole = false
				}
			}
		}
		if whole {
			for _, stage := range looked {
				delete(torn, stage) // what was overwritten before is in what it is now
			}
			s.replay(ops)
			continue
		}
		for i := range ops {
			if ops[i].code == opMove {
				passed[ops[i].move.id] = true
			}
			s.holds(&ops[i])
		}
	}
	return torn
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

// settle prepares the recovered entries to be sent. After a loss of power those are taken out whose bytes nobody knows:
// they were never closed, or were being overwritten; it says whether there were any.
func (s *Store) settle(rebooted bool, torn map[uint64]bool) (setAside bool) {
	var next, gone []*entry
	s.v.tree.Scan(func(_ Key, e *entry) bool {
		_, small := s.v.small[e.stage]
		if rebooted && e.stage != 0 && !small && !s.survived(e, torn[e.stage]) {
			gone = append(gone, e)
			return true
		}
		c := e.clone()
		c.flags &^= flagDirty | flagKept | flagAnew
		if rebooted {
			c.flags |= flagSuspect
		}
		if e.has(flagDirty) && (!rebooted || e.untouched()) { // after a loss of power it is as it was last closed
			s.uncommitted(c)
		}
		s.cutOff(c)
		c.trial = s.mayBeSent(c).over(c.trial)
		if c.flags != e.flags || c.size != e.size || c.kind != e.kind || c.trial != e.trial {
			next = append(next, c)
		}
		if c.stage != 0 {
			local := s.localLocked(c)
			s.space.set(c.stage, local.Len())
		}
		return true
	})
	for _, e := range next {
		s.v.tree.Set(e.key, e)
	}
	for _, e := range gone {
		s.log.Warn("a file that was still being written when the power failed is not stored; its bytes are kept", "key", string(e.key), "file", stageName(e.stage))
		s.v.tree.Delete(e.key)
		if e.has(flagDirty) && e.has(flagAnew) {
			s.v.tree.Set(e.key, e.absent())
		}
	}
	return len(gone) > 0
}

// survived says whether a staged file has, after a loss of power, what its entry says that was committed: nothing of it was
// overwritten since, or its checksum is right. What was written behind that is cut off.
func (s *Store) survived(e *entry, torn bool) bool {
	if torn || e.has(flagDirty) && !e.has(flagKept) {
		if !e.has(flagSum|flagPart) || !s.intact(e, s.openStage) {
			return false
		}
	}
	s.cutTail(e)
	return true
}

// cutTail cuts off what a staged file has behind its content: what is written there later must find zeros.
func (s *Store) cutTail(e *entry) {
	if err := s.cutStage(e); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a staged file may be longer than its content", "key", string(e.key), "file", stageName(e.stage), "error", err)
	}
}

func (s *Store) cutStage(e *entry) error {
	f, err := s.openFile(e.stage)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size <= e.size {
		return err
	}
	return f.Truncate(e.size)
}

// mayBeSent is a recovered state as a trial: the process that died may have sent it. What is sent in other
// ways than by one request for all of it was journaled before it was sent (noteTrial).
func (s *Store) mayBeSent(e *entry) *trial {
	if e.kind != Content || e.edit != nil || e.size > s.opt.SinglePut {
		return nil
	}
	t := &trial{seq: e.seq, size: e.size, sum: e.sum}
	switch {
	case e.stage == 0:
		t.sum = crc.Update(0, []byte(e.body))
	case !e.has(flagSum):
		f, err := s.openStage(e.stage)
		if err != nil {
			return nil // it cannot be sent either; whoever tries says why
		}
		defer f.Close()
		if t.sum, err = sumOf(f, e.size); err != nil {
			return nil
		}
	}
	return t
}

// uncommitted takes what was written to a file that was never closed: as much as the disk has.
func (s *Store) uncommitted(e *entry) {
	e.flags &^= flagSum | flagPart
	if e.edit != nil {
		if e.untouched() {
			e.kind, e.stage, e.edit = Attributes, 0, nil
			return
		}
		s.cutTail(e) // what is not committed of an edit is not known
		return
	}
	b, small := s.v.small[e.stage]
	size, err := s.stagedSize(e.stage)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was in memory: what was last committed is left
		e.size = int64(len(b))
		if !small {
			s.recovered(op{code: opBytes, stage: e.stage})
		}
	case err != nil:
	case small && size <= int64(len(b)): // its bytes were just being put there
		e.size = int64(len(b))
	case small: // it has outgrown that since
		e.size = size
		s.recovered(op{code: opNoBytes, stage: e.stage})
		s.found = append(s.found, op{code: opSet, entry: e})
	default:
		e.size = size
	}
}

// cutOff takes the upload away from a file of no bytes: it was just being truncated to nothing, or what was written to it since, and
// sent, is not what was closed when the power failed.
func (s *Store) cutOff(e *entry) {
	u := s.v.uploads[e.stage]
	if u == nil || e.size > 0 {
		return
	}
	s.lastStage++
	unwanted := *u
	unwanted.parts = make(map[int]sentPart)
	s.recovered(op{code: opUploaded, stage: e.stage})
	s.recovered(op{code: opUpload, stage: s.lastStage, upload: &unwanted})
}

// stagedSize is how long a staged file is.
func (s *Store) stagedSize(stage uint64) (int64, error) {
	f, err := s.openFile(stage)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size()
}

// recovered applies an op, and has it journaled when the journal is read: what is journaled from now on builds on it.
func (s *Store) recovered(o op) {
	s.v.apply(&o)
	s.found = append(s.found, o)
}

// adoptStages looks at the staged files: those that no entry speaks of are removed, or kept apart when the
// journal is damaged.
func (s *Store) adoptStages(keep bool) error {
	known := make(map[uint64]bool)
	s.v.tree.Scan(func(_ Key, e *entry) bool {
		if e.stage != 0 {
			known[e.stage] = true
		}
		return true
	})
	for stage := range s.v.small {
		if !known[stage] { // the record that spoke of it was passed over
			s.v.apply(&op{code: opNoBytes, stage: stage})
		}
	}
	dirs, err := s.fs.List("staged")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		names, err := s.fs.List("staged/" + dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			n, err := strconv.ParseUint(name, 16, 64)
			if _, small := s.v.small[n]; err != nil || known[n] && !small {
				continue
			}
			s.lastStage = max(s.lastStage, n)
			if err := s.setAside("staged/"+dir+"/"+name, name, keep); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) setAside(file, name string, keep bool) error {
	if !keep || s.empty(file) {
		return s.fs.Remove(file)
	}
	if err := s.fs.MkdirAll("salvaged"); err != nil {
		return err
	}
	s.log.Warn("a staged file of unknown name is kept", "file", "salvaged/"+name)
	return s.fs.Rename(file, "salvaged/"+name)
}

// empty says whether a staged file has no bytes: it waited to be used again.
func (s *Store) empty(file string) bool {
	f, err := s.fs.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	return err == nil && size == 0
}

// resumeMoves completes the renames and exchanges that a crash interrupted.
func (s *Store) resumeMoves(ctx context.Context) {
	s.mu.RLock()
	moves := slices.Collect(maps.Values(s.v.moves))
	s.mu.RUnlock()
	for _, m := range moves {
		if err := s.carryOn(ctx, m, s.carryOut(ctx, m), func(error) bool { return false }); err != nil {
			s.log.Error("a rename could not be completed; the next mount tries again", "from", string(m.from), "to", string(m.to), "error", err)
		}
	}
}

// tell passes a confirmation on; while the Store is being opened there is nobody to hear it.
func (s *Store) tell(c Confirmation) {
	if s.opened.Load() {
		s.opt.Confirmed(c)
	}
}

// full is called when the disk is full: what can be sent now makes room.
func (s *Store) full() {
	if !s.pressing.Swap(true) {
		s.loop.post(s.loop.pressure)
	}
}

// pressure is called when the stage is full: what need not be staged is given up, and everything that can
// be sent is sent now.
func (s *Store) pressure() {
	s.relieve()
	s.full()
}
