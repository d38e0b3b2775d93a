package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/journal"
)

// ErrClosed is the error of a Store that was closed.
var ErrClosed = errors.New("writeback: the store is closed")

// Store is the persistent map from key to desired state, and what makes the bucket match it.
type Store struct {
	opt     Options
	fs      disk.FS
	log     *slog.Logger
	bucket  Bucket
	journal *journal.Log
	lock    io.Closer
	loop    *loop
	sync    *syncer
	space   *space
	passing passing

	ctx       context.Context // ends when the Store is closed: every request's parent
	cancel    context.CancelFunc
	wg        sync.WaitGroup // every goroutine of the Store
	conflicts atomic.Int64
	streaming atomic.Int64 // parts of files that are being written, on their way
	opened    atomic.Bool
	pressing  atomic.Bool      // pressure was posted
	solid     atomic.Bool      // the disk has no holes: nothing is given up in the stage
	told      map[Key]struct{} // keys that were confirmed before the Store was opened; not changed any more
	parts     chan struct{}    // a token for each part that may be sent at once

	change    sync.Mutex // one change of the map at a time: it is journaled, then applied; guards the next
	lastStage uint64     // the highest number given to a staged file
	found     []op       // what a recovery has to journal
	recent    recent
	aside     time.Time // the next conflict has this time in its name, or a later one

	mu       sync.RWMutex     // guards the fields below; held over no disk and no request
	v        view             // written only with change held too
	files    map[uint64]*File // in use, by the number of the staged file
	live     map[Key]*File    // those in use that have a key
	inflight map[Key]flight   // what is being sent
	tried    map[Key]*trial   // what was sent, and not confirmed yet
	closed   bool
}

// flight is a state that is being sent.
type flight struct {
	seq    uint64
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

// get returns the entry of a key, nil when there is none.
func (s *Store) get(key Key) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, _ := s.v.tree.Get(key)
	return e
}

// commitLocked journals ops as one record and applies them. It needs change. On a full disk it writes into what the
// journal keeps for that: it is for what has happened, or makes room.
func (s *Store) commitLocked(ops ...op) error { return s.commitKeeping(0, ops) }

// startLocked is commitLocked for what makes a full disk fuller.
func (s *Store) startLocked(ops ...op) error { return s.commitKeeping(journal.Reserve, ops) }

// removeLocked is commitLocked for what makes room at last, but can be asked for without end.
func (s *Store) removeLocked(ops ...op) error { return s.commitKeeping(journal.Spare, ops) }

func (s *Store) commitKeeping(keep int64, ops []op) error {
	s.mu.RLock()
	for i := range ops {
		if e := ops[i].entry; e != nil {
			e.trial = s.tried[e.key].over(e.trial)
		}
	}
	s.mu.RUnlock()
	ops = s.withDrops(ops)
	rec, err := s.journal.Append(encodeOps(ops), keep)
	if err != nil {
		return fmt.Errorf("writeback: the journal: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ops {
		if e := ops[i].entry; e != nil {
			e.rec = rec
			if old, ok := s.v.tree.Get(e.key); ok && old.seq != e.seq {
				e.after = e.after || old.after || old.committed()
			}
		}
		s.dropStageLocked(&ops[i], rec)
		s.v.apply(&ops[i])
	}
	s.sync.wake()
	return nil
}

// unspokenLocked is the entry whose staged content an op takes the last mention of away; nil: none. It needs mu.
func (s *Store) unspokenLocked(o *op) *entry {
	key := o.key
	switch o.code {
	case opSet:
		key = o.entry.key
	case opDel:
	default:
		return nil
	}
	old, ok := s.v.tree.Get(key)
	if !ok || old.stage == 0 || o.moved || o.code == opSet && o.entry.stage == old.stage {
		return nil
	}
	return old
}

// dropStageLocked notices that an op takes away the last mention of a staged file.
func (s *Store) dropStageLocked(o *op, rec uint64) {
	old := s.unspokenLocked(o)
	if old == nil {
		return
	}
	if s.files[old.stage] == nil { // else its last use takes it away
		s.space.set(old.stage, 0)
	}
	if _, small := s.v.small[old.stage]; !small { // else there is no file, or its last use takes it away
		s.sync.orphan(old.stage, rec)
	}
}

// nextSeqLocked is the number of a new state. It needs change.
func (s *Store) nextSeqLocked() uint64 { return s.v.seq + 1 }

// replaceLocked makes the entry that follows old (nil: none) at key: the bucket's side is inherited, since
// the map knows best what the bucket has at a key that it has a state of. Of attributes it is not: whoever has put there what a caller
// saw, base, they are set on that. It needs change.
func (s *Store) replaceLocked(key Key, kind Kind, old *entry, base ossclient.Version) *entry {
	seq := s.nextSeqLocked()
	e := &entry{key: key, kind: kind, seq: seq, since: seq, when: time.Now().UnixNano(), base: baseOf(base)}
	if old != nil {
		e.since, e.when = old.since, old.when
		if old.kind != Attributes || e.base == nil {
			e.base = old.base
		}
		e.flags = old.flags & (flagUnknown | flagSuspect)
		e.trial = old.trial
	}
	s.mu.RLock()
	_, sending := s.inflight[key]
	s.mu.RUnlock()
	if sending && old == nil {
		e.flags |= flagUnknown
	}
	return e
}

// seenLocked is the version that a caller means to replace who saw this: nothing, when it has not the key.
func (s *Store) seenLocked(key Key, seen Seen) ossclient.Version {
	if seen.Key != key {
		return seen.Version
	}
	return s.shownLocked(key, seen)
}

// shownLocked is the version that a caller means who saw this at a key. Where a file is open to be written to, a program sees what is open, by
// the name, too, whatever others have put there since. It needs change.
func (s *Store) shownLocked(key Key, seen Seen) ossclient.Version {
	f := s.liveFile(key)
	if f == nil || f.confirmed == nil {
		return s.recent.now(key, seen)
	}
	v := *f.confirmed
	v.Key = key // a rename may have put the file there and, without it, what another client had put in its place
	return v
}

// spawn starts a goroutine of the Store, unless it is being closed.
func (s *Store) spawn(f func()) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// usable is the error of a Store that was closed.
func (s *Store) usable() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Close stops sending: what is in flight is cut, and stays pending. Uploads
// in parts that nothing pending needs are given up. It makes everything durable and gives
// the directory free. Files still open can be read but not written.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		<-done // every goroutine ends with s.ctx: this is short, and the journal must not be closed under them
	}
	if s.sync.flush() == nil { // a loss of power must not bring back what they were of
		s.abandonAll(s.forgotten())
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	s.settleIntents(patience, s.intents())
	cancel()
	err := errors.Join(s.commitOps(op{code: opClosed}), s.sync.flush())
	s.sync.clear()
	s.mu.Lock()
	for _, f := range s.files {
		f.abandon()
	}
	s.mu.Unlock()
	return errors.Join(err, s.journal.Close(), s.lock.Close())
}
