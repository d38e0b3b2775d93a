package writeback

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"time"
)

// syncer makes the journal and the staged files durable, in groups: at most once each second, and when
// somebody asks. It takes staged files back, once a loss of power can no longer bring back the entry that
// spoke of them: they are emptied for the next content, since making a file costs a filesystem many times
// what emptying one does.
type syncer struct {
	s      *Store
	wakeup chan struct{}
	group  sync.Mutex // held by whoever makes a group durable; others wait for it, and then have nothing to do

	mu      sync.Mutex          // guards the fields below
	pending bool                // something was journaled since the last group
	stages  map[uint64]struct{} // staged files with bytes that may not be durable
	all     bool                // and others: what an earlier process left
	doubted map[uint64]struct{} // staged files of which a sync has failed
	orphans map[uint64]uint64   // staged files no entry speaks of, and the record that took the last mention away
	idle    map[uint64]struct{} // staged files that are empty and free to be used again
}

const (
	syncEvery = time.Second
	// syncFiles is up to how many staged files are synced one by one; more are synced with the whole
	// filesystem. DESIGN.md has the figures.
	syncFiles = 8
)

func newSyncer(s *Store) *syncer {
	return &syncer{s: s, wakeup: make(chan struct{}, 1), stages: make(map[uint64]struct{}),
		doubted: make(map[uint64]struct{}), orphans: make(map[uint64]uint64), idle: make(map[uint64]struct{})}
}

func (y *syncer) wake() {
	y.mu.Lock()
	y.pending = true
	y.mu.Unlock()
	select {
	case y.wakeup <- struct{}{}:
	default:
	}
}

// wrote notes that a staged file has bytes which a record is about to speak of: it is told before the record is journaled, so
// that no group speaks for the record without them. It needs f.mu.
func (y *syncer) wrote(f *File) {
	if !f.made {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.stages[f.stage] = struct{}{}
}

// orphan notes that record rec took the last mention of a staged file away.
func (y *syncer) orphan(stage, rec uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.orphans[stage] = rec
}

// adopt notes that a staged file is spoken of again.
func (y *syncer) adopt(stage uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.orphans, stage)
}

// free notes that nobody uses a staged file that has no entry.
func (y *syncer) free(stage uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if _, known := y.orphans[stage]; !known {
		y.orphans[stage] = 0
	}
	y.pending = true
	select {
	case y.wakeup <- struct{}{}:
	default:
	}
}

func (y *syncer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-y.wakeup:
		}
		if err := y.flush(); err != nil {
			y.s.log.Error("the journal was not made durable", "error", err)
			y.wake()
		}
		y.compact()
		select {
		case <-ctx.Done():
			return
		case <-time.After(syncEvery):
		}
	}
}

// flush makes durable all that was journaled before it was called.
func (y *syncer) flush() error {
	y.group.Lock()
	defer y.group.Unlock()
	return y.flushLocked()
}

// flushLocked needs group.
func (y *syncer) flushLocked() error {
	y.mu.Lock()
	pending := y.pending
	y.pending = false
	y.mu.Unlock()
	if !pending {
		return nil
	}
	var upto uint64
	err := y.restore()
	if err == nil {
		upto, err = y.s.journal.Sync(y.syncData)
	}
	if err != nil {
		y.mu.Lock()
		y.pending = true
		y.mu.Unlock()
		return err
	}
	y.sweep(upto)
	return nil
}

// restore writes anew the staged files, and the journal, of which a sync has failed.
func (y *syncer) restore() error {
	if err := y.rewrite(); err != nil {
		return err
	}
	if !y.s.journal.Doubtful() {
		return nil
	}
	return y.s.compact()
}

// durable returns when a record of the journal is. Of those who wait at the same time one makes it so.
func (y *syncer) durable(rec uint64) error {
	if y.s.journal.Synced() >= rec {
		return nil
	}
	y.group.Lock()
	defer y.group.Unlock()
	if y.s.journal.Synced() >= rec {
		return nil
	}
	return y.flushLocked()
}

// ahead makes the records durable that were journaled before it was called, and not what they speak of.
func (y *syncer) ahead() error {
	if y.s.journal.Ahead() == nil {
		return nil
	}
	return y.flush() // which writes anew what may be lost
}

// syncData makes the staged files durable that were written since the last group.
func (y *syncer) syncData() error {
	y.mu.Lock()
	stages, others := y.stages, y.all
	y.stages, y.all = make(map[uint64]struct{}), false
	y.mu.Unlock()
	if others || len(stages) > syncFiles {
		return y.syncAll()
	}
	dirs := make(map[string]struct{})
	for stage := range stages {
		if err := y.syncStage(stage); err != nil {
			y.mu.Lock()
			maps.Copy(y.stages, stages) // the others are still to be synced
			y.mu.Unlock()
			return err
		}
		dirs[stageDir(stage)] = struct{}{}
	}
	for dir := range dirs {
		if err := y.s.fs.SyncDir(dir); err != nil {
			y.mu.Lock()
			y.all = true
			y.mu.Unlock()
			return err
		}
	}
	return nil
}

func (y *syncer) syncStage(stage uint64) error {
	f, err := y.s.fs.Open(stageName(stage))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // sent and removed meanwhile
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		y.doubt(stage)
		return err
	}
	return nil
}

// syncAll syncs the whole filesystem.
func (y *syncer) syncAll() error {
	err := y.s.fs.SyncAll()
	if err != nil {
		y.doubtAll()
	}
	return err
}

// errDoubtful says that a snapshot would speak for staged files that may not be on the disk.
var errDoubtful = errors.New("writeback: a sync of staged files has failed: they are to be written anew first")

// compact forgets the journal's past when it has grown.
func (y *syncer) compact() {
	if !y.s.journal.Grown() {
		return
	}
	if err := y.s.compact(); err != nil {
		y.s.log.Error("the journal was not compacted", "error", err)
	}
}

func (s *Store) compact() error {
	if s.opened.Load() {
		s.opt.Forget()
	}
	return s.journal.Compact(func(rotate func() error) (func(emit func([]byte) error) error, error) {
		s.change.Lock()
		defer s.change.Unlock()
		if err := rotate(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		emit := s.v.freeze()
		return func(to func([]byte) error) error {
			// A snapshot counts as durable: so must be the staged files it speaks of.
			if err := s.sync.syncAll(); err != nil {
				return err
			}
			if s.sync.doubtful() {
				return errDoubtful
			}
			return emit(to)
		}, nil
	})
}
