package writeback

import (
	"fmt"
	"math"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// shapeLocked journals the length that an edit is about to get, and which bytes of the base and of the staged file still
// count: a crash after the staged file was cut must not show what is gone, nor the base where it was cut off. Where nothing that was
// committed is cut off, the state that the journal has stays as it is, and counts after a loss of power.
func (f *File) shapeLocked(size int64) error {
	if size >= f.size || f.kept > 0 && size >= f.kept {
		return nil
	}
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	old := s.get(f.Key())
	if !f.dirty || old == nil || old.stage != f.stage || old.edit == nil {
		return nil
	}
	e := old.clone()
	e.size, e.edit = size, &edit{dirty: f.changed.Clone(), limit: min(f.limit, size)}
	e.edit.dirty.Remove(size, math.MaxInt64)
	e.flags &^= flagSum | flagPart | flagKept
	return s.commitLocked(op{code: opSet, entry: e})
}

// soilLocked makes the file's content pending, and written to, before the first byte of it changes.
func (f *File) soilLocked() error {
	if f.closed {
		return ErrClosed
	}
	if _, err := f.openLocked(); err != nil {
		return err
	}
	if f.dirty {
		return nil
	}
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	f.rebase()
	s.mu.RLock()
	key, detached, packed := f.key, f.detached, f.attr
	s.mu.RUnlock()
	if detached {
		f.dirty = true
		return nil
	}
	old := s.get(key)
	base := ossclient.Version{}
	if f.base != nil {
		base = *f.base
	}
	e := s.replaceLocked(key, Content, old, base)
	if old != nil && old.stage == f.stage {
		e.size, e.edit, e.flags, e.sum, e.begins = old.size, old.edit, old.flags, old.sum, old.begins
		f.keptBy = old.rec
		f.unbaseLocked(old)
	} else {
		e.size, e.edit = f.size, f.editLocked()
	}
	if e.edit != nil && e.base == nil {
		e.base = f.base // gone, perhaps; but what is not staged is in it, and nowhere else
	}
	e.attr, e.stage = packed, f.stage
	e.flags |= flagDirty | flagKept
	s.sync.adopt(f.stage)
	ops := []op{{code: opSet, entry: e}}
	if _, journaled := s.small(f.stage); !journaled { // the bucket has got it since
		ops = append(f.bytesLocked(), ops...)
	}
	if err := s.startLocked(ops...); err != nil {
		return err
	}
	f.dirty = true
	return nil
}

// unbaseLocked forgets the base of content that is whole in the stage when the bucket has something else at its key, or nothing: it was moved, or
// the object was deleted. What it was made of may be gone, and what is written to it must not be an edit of that. It needs f.mu.
func (f *File) unbaseLocked(e *entry) {
	if f.base == nil || e.edit != nil || e.base != nil && *e.base == *f.base || len(f.missingLocked(0, f.size)) > 0 {
		return
	}
	f.withoutBaseLocked()
}

// withoutBaseLocked has all that is staged count, which is all there is. It needs f.mu.
func (f *File) withoutBaseLocked() {
	f.base, f.fill, f.limit, f.changed = nil, nil, 0, f.local.Clone()
}

// tearLocked journals, durably, that bytes from off on are about to be overwritten that belong to a committed state. They may
// reach the disk at any time from now on: after a loss of power such a state counts only if its checksum says that it is
// whole. What is added behind it does not touch it. It needs f.mu.
func (f *File) tearLocked(off int64) error {
	if _, small := f.f.(*smallFile); small || off >= f.kept {
		return nil
	}
	if err := f.tornLocked(); err != nil {
		return err
	}
	if err := f.s.journal.Ahead(); err != nil { // no group is made with f.mu held: it may write the file anew
		return err
	}
	f.kept = 0
	return nil
}

// tornLocked journals that the committed state is being overwritten. When nothing speaks of it any more, since its key was removed,
// made anew or given to another, the record of that may be passed over after a loss of power, or be of a file that was never closed.
func (f *File) tornLocked() error {
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	old := s.get(f.Key())
	if old == nil || old.stage != f.stage {
		return s.startLocked(op{code: opTorn, stage: f.stage})
	}
	e := old.clone()
	e.flags &^= flagKept
	return s.startLocked(op{code: opSet, entry: e})
}

// editLocked says which bytes of the staged file count; nil: all, and the base is not needed.
func (f *File) editLocked() *edit {
	limit := min(f.limit, f.size)
	if limit == 0 || f.base == nil || f.size <= f.s.opt.SinglePut && f.local.Contains(0, limit) {
		return nil
	}
	return &edit{dirty: f.changed.Clone(), limit: limit}
}

// Commit journals content and attributes as they are now: what close() promises. With WriteThrough it
// uploads, and returns the outcome.
func (f *File) Commit() error {
	if err := f.commit(); err != nil {
		return err
	}
	if !f.s.opt.WriteThrough {
		return nil
	}
	return f.s.syncFile(f.s.ctx, f)
}

func (f *File) commit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commitLocked()
}

func (f *File) commitLocked() error {
	if !f.dirty {
		return nil
	}
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	key, detached, users := f.key, f.detached, f.users
	s.mu.RUnlock()
	if detached {
		f.dirty = false
		return nil
	}
	old := s.get(key)
	if old == nil || old.stage != f.stage {
		return fmt.Errorf("writeback: %q lost its state", key) // a dirty file has one: soilLocked
	}
	if _, err := f.openLocked(); err != nil {
		return err
	}
	e := old.clone()
	e.seq, e.size, e.edit = s.nextSeqLocked(), f.size, f.editLocked()
	e.flags &^= flagDirty | flagKept | flagAnew | flagSum | flagPart
	e.growsFrom(old)
	if err := f.sumLocked(e); err != nil {
		return err
	}
	commit := s.commitLocked
	bytes := f.bytesLocked()
	if _, small := f.f.(*smallFile); small {
		commit = s.startLocked
	}
	s.sync.wrote(f)
	if err := commit(append(bytes, op{code: opSet, entry: e})...); err != nil {
		return err
	}
	f.dirty, f.kept = false, f.size
	delay := s.opt.Delay
	if users > 0 {
		delay *= openFactor
	}
	s.loop.changed(e, delay)
	return nil
}

// recommitEvery is how often a commit that failed is tried again, by itself: whoever syncs tries at once.
const recommitEvery = time.Second

// recommit tries until what was written is committed: nobody has the file open any more, and what is small is in memory
// alone.
func (f *File) recommit() {
	every := time.NewTicker(recommitEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			if f.commit() == nil {
				return
			}
		case <-f.s.ctx.Done():
			return
		}
	}
}
