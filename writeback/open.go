package writeback

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/journal"
)

// Open reads the journal back, completes the renames that a crash interrupted, and starts to send. It does
// not wait for what is pending. A *lockfile.HeldError names the process that has the directory.
func Open(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	lock, err := o.Disk.Lock("lock")
	if err != nil {
		return nil, err
	}
	s := &Store{opt: o, log: o.Logger, bucket: o.Bucket, lock: lock, v: newView(), files: make(map[uint64]*File),
		live: make(map[Key]*File), inflight: make(map[Key]flight), tried: make(map[Key]*trial), parts: make(chan struct{}, partsAtOnce), told: make(map[Key]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.loop, s.sync = newLoop(s), newSyncer(s)
	s.space = &space{total: o.StageBudget, relieve: s.relieve, urge: s.full, of: make(map[uint64]int64)}
	rd := &reader{s: s}
	room := &thrifty{o.Disk, rd.spare}
	s.fs = room
	if err := s.recover(rd); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	room.spare = s.sync.spare
	forgotten, intents := s.forgotten(), s.intents() // before new ones are made
	s.wg.Go(func() {
		if err := s.sync.flush(); err == nil { // a loss of power must not bring back what they were of
			s.abandonAll(forgotten)
		}
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
func (s *Store) recover(rd *reader) error {
	if err := s.fs.MkdirAll("staged"); err != nil {
		return err
	}
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
	damaged := report.Damaged > 0 || report.Gaps > 0
	if report.Rebooted || damaged {
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
	return s.adoptStages(setAside || damaged, report.Rebooted || damaged)
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
		c.after = !rebooted && e.rec > s.journal.Synced() // what was there before the process died may come back
		if rebooted {
			c.flags |= flagSuspect
		}
		if e.has(flagDirty) && (!rebooted || e.untouched()) { // after a loss of power it is as it was last closed
			s.uncommitted(c)
			s.found = append(s.found, op{code: opSet, entry: c}) // it counts from now on, after a loss of power too
		}
		s.cutOff(c)
		c.trial = s.mayBeSent(c).over(c.trial)
		if c.flags != e.flags || c.size != e.size || c.kind != e.kind || c.trial != e.trial || c.after {
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
		back := s.bringBack(e)
		s.log.Warn("a file that was still being written when the power failed is not stored; its bytes are kept", "key", string(e.key), "file", stageName(e.stage),
			"before", back != nil)
		s.drop(e)
		if back != nil {
			s.v.apply(&op{code: opSet, entry: back})
		}
	}
	return len(gone) > 0
}

// drop takes a state away that does not count after a loss of power.
func (s *Store) drop(e *entry) {
	s.v.tree.Delete(e.key)
	if e.has(flagDirty) && e.has(flagAnew) {
		s.v.tree.Set(e.key, e.absent())
	}
}

// survived says whether a staged file has, after a loss of power, what its entry says that was committed: nothing of it was
// overwritten since, or its checksum is right. What was written behind that is cut off.
func (s *Store) survived(e *entry, torn bool) bool {
	if !s.counts(e, torn) {
		return false
	}
	s.cutTail(e)
	return true
}

// counts says whether what its entry says was committed is in a staged file; torn: a state in it was being overwritten.
func (s *Store) counts(e *entry, torn bool) bool {
	if !torn && (!e.has(flagDirty) || e.has(flagKept)) {
		return true
	}
	return e.has(flagSum|flagPart) && s.intact(e, s.openStage)
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
	default:
		e.size = size
	}
}

// cutOff takes the upload away from a file of no bytes, or whose bytes are in the journal: it was just being truncated to nothing, or what was
// written to it since, and sent, is not what was closed when the power failed. Parts that lie behind the end of a file are taken away likewise.
func (s *Store) cutOff(e *entry) {
	u := s.v.uploads[e.stage]
	if u == nil {
		return
	}
	if _, small := s.v.small[e.stage]; e.size > 0 && !small {
		for _, p := range u.parts {
			if p.off >= e.size {
				s.recovered(op{code: opPart, stage: e.stage, part: sentPart{Part: ossclient.Part{Number: p.Number}}})
			}
		}
		return
	}
	_, ops := s.unwantedLocked(e.stage, u)
	for _, o := range ops {
		s.recovered(o)
	}
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
// journal is damaged; when it is not durable that nothing speaks of them, as soon as it is.
func (s *Store) adoptStages(keep, durable bool) error {
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
			if !durable { // a loss of power may bring back what speaks of it
				s.sync.orphan(n, s.journal.Seq())
				continue
			}
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
