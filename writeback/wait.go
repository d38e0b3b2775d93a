package writeback

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Unsent is the error of a flush that left something behind: it is kept, and sent by the next mount.
type Unsent struct {
	Count int   // entries
	Err   error // the first one's
}

// Error says how many, and why the first.
func (e *Unsent) Error() string {
	return fmt.Sprintf("writeback: %d not sent (kept): %v", e.Count, e.Err)
}

// Unwrap is the first failure.
func (e *Unsent) Unwrap() error { return e.Err }

// Progress is how far a Flush has come.
type Progress struct {
	Entries, DoneEntries int64
	Bytes, DoneBytes     int64 // done: what is on its way counts as far as it has come, and again when it must be sent again
	Failed               int   // entries that trying again does not help
}

// waiter waits until the bucket has everything below a prefix, or one key, as it was when it began.
type waiter struct {
	prefix     Key
	exact      bool
	upto       uint64
	witness    Key  // an entry that is not sent yet
	absentOnly bool // only deletes that need not wait for a Hold; nothing is urged
	done       chan struct{}
	failed     int
	err        error // of the first that failed
}

// Sync sends what is pending of a key now, and returns when the bucket has it (LocalFsync: the disk). A
// failure that trying again cannot cure is returned; other failures are tried again until ctx ends.
func (s *Store) Sync(ctx context.Context, key Key) error {
	if f := s.liveFile(key); f != nil {
		return f.Sync(ctx)
	}
	if s.opt.LocalFsync {
		return s.syncDisk(ctx)
	}
	return s.syncBucket(ctx, key)
}

// Send is Sync as where fsync means the bucket, whatever it means here: for who has to know what the bucket has.
func (s *Store) Send(ctx context.Context, key Key) error {
	f := s.liveFile(key)
	if f == nil {
		return s.syncBucket(ctx, key)
	}
	if err := f.commit(); err != nil {
		return err
	}
	return s.syncFile(ctx, f)
}

// Sync is Store.Sync for what is written to a File, whatever its key is. What was removed need not be sent.
func (f *File) Sync(ctx context.Context) error {
	if err := f.commit(); err != nil {
		return err
	}
	if f.s.opt.LocalFsync {
		return f.s.syncDisk(ctx)
	}
	return f.s.syncFile(ctx, f)
}

// syncFile returns when the bucket has what is committed of a File, whatever its key is by then: nothing may be left to be sent
// of the one that it had.
func (s *Store) syncFile(ctx context.Context, f *File) error {
	for {
		s.mu.RLock()
		key, detached := f.key, f.detached
		s.mu.RUnlock()
		if detached {
			return nil
		}
		if err := s.syncBucket(ctx, key); err != nil || f.Key() == key {
			return err
		}
	}
}

func (s *Store) syncBucket(ctx context.Context, key Key) error {
	return s.wait(ctx, &waiter{prefix: key, exact: true})
}

// SyncTree is Sync for everything below a prefix, and the prefix itself.
func (s *Store) SyncTree(ctx context.Context, prefix Key) error {
	if err := s.commitBelow(prefix); err != nil {
		return err
	}
	if s.opt.LocalFsync {
		return s.syncDisk(ctx)
	}
	return s.wait(ctx, &waiter{prefix: prefix})
}

// commitBelow commits what is written to open files, all that can be, and returns the first failure.
func (s *Store) commitBelow(prefix Key) error {
	var files []*File
	s.mu.RLock()
	for key, f := range s.live {
		if strings.HasPrefix(string(key), string(prefix)) {
			files = append(files, f)
		}
	}
	s.mu.RUnlock()
	var first error
	for _, f := range files {
		if err := f.commit(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *Store) syncDisk(ctx context.Context) error {
	done := make(chan error, 1)
	if !s.spawn(func() { done <- s.sync.flush() }) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush sends everything below a prefix, failed entries too, and returns when the bucket has it or
// nothing but permanent failures is left: then the error is *Unsent. report, when not nil, is called
// from time to time.
func (s *Store) Flush(ctx context.Context, prefix Key, report func(Progress)) error {
	refused := s.commitBelow(prefix)
	if err := s.flush(ctx, prefix, report); err != nil || refused == nil {
		return err
	}
	// The disk had no room for what was written last; what has been sent gave some back.
	if err := s.commitBelow(prefix); err != nil {
		return err
	}
	return s.flush(ctx, prefix, report)
}

func (s *Store) flush(ctx context.Context, prefix Key, report func(Progress)) error {
	w := &waiter{prefix: prefix}
	if report == nil {
		return s.unsent(w, s.wait(ctx, w))
	}
	end := make(chan error, 1)
	start := s.progress(prefix, Progress{})
	if !s.spawn(func() { end <- s.wait(ctx, w) }) {
		return ErrClosed
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-end:
			report(s.progress(prefix, start))
			return s.unsent(w, err)
		case <-tick.C:
			report(s.progress(prefix, start))
		}
	}
}

// unsent is the error of a flush. A waiter that has not been told is the loop's still: who waited for it has gone away.
func (s *Store) unsent(w *waiter, err error) error {
	select {
	case <-w.done:
	default:
		return err
	}
	if err != nil && w.failed > 0 {
		return &Unsent{w.failed, err}
	}
	return err
}

// progress compares what is pending with what was, at the start.
func (s *Store) progress(prefix Key, start Progress) Progress {
	var now Progress
	failed := make(map[Key]uint64)
	_ = s.loop.ask(func() { // ErrClosed: nothing fails any more
		for key, t := range s.loop.troubles {
			if t.permanent && s.loop.active[key] == nil {
				failed[key] = t.seq
			}
		}
	})
	s.mu.RLock()
	s.v.tree.below(prefix, "", func(e *entry) bool {
		now.Entries++
		now.Bytes += max(s.unsentLocked(e)-s.passing.bytes(e.stage), 0)
		if seq, in := failed[e.key]; in && seq == e.seq {
			now.Failed++
		}
		return true
	})
	s.mu.RUnlock()
	p := Progress{Failed: now.Failed, Entries: max(start.Entries, now.Entries), Bytes: max(start.Bytes, now.Bytes)}
	p.DoneEntries, p.DoneBytes = p.Entries-now.Entries, p.Bytes-now.Bytes
	return p
}

// unsentLocked is what of an entry's content the bucket has not taken yet, in bytes. Parts of it may be there already.
func (s *Store) unsentLocked(e *entry) int64 {
	if e.kind != Content {
		return 0
	}
	left := e.size
	if u := s.v.uploads[e.stage]; u != nil {
		for _, p := range u.parts {
			left -= p.Size
		}
	}
	return max(left, 0)
}

func (s *Store) wait(ctx context.Context, w *waiter) error {
	if err := s.usable(); err != nil {
		return err
	}
	w.done = make(chan struct{})
	s.loop.post(func() { s.loop.addWaiter(w) })
	select {
	case <-w.done:
		return s.sealed(w)
	case <-ctx.Done():
		s.loop.post(func() { delete(s.loop.waiters, w) })
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// sealed makes durable that the bucket has what a waiter has waited for: a loss of power must not bring back an older state, which would be sent over
// it. For a whole directory that includes where everything is, and so what is staged elsewhere.
func (s *Store) sealed(w *waiter) error {
	switch {
	case w.err != nil || w.absentOnly:
		return w.err
	case w.exact:
		return s.sync.ahead()
	}
	return s.sync.flush()
}

func (l *loop) addWaiter(w *waiter) {
	l.s.mu.RLock()
	w.upto = l.s.v.seq
	l.s.mu.RUnlock()
	l.urge(w.prefix, w.exact, w.absentOnly)
	l.waiters[w] = struct{}{}
	l.advance(w)
}

// look lets the waiters see that something happened to a key.
func (l *loop) look(key Key) {
	for w := range l.waiters {
		if w.witness == key {
			l.advance(w)
		}
	}
}

// advance looks for an entry the waiter has to wait for; there being none, it is done. It goes on where
// it found the last one, and once more from the beginning, since an entry may have been renamed to a key
// that was passed already.
func (l *loop) advance(w *waiter) {
	from := w.witness
	if l.find(w, from) || from != "" && l.find(w, "") {
		l.hurry(w)
		return
	}
	delete(l.waiters, w)
	close(w.done)
}

// hurry sends what a waiter waits for, when it changed since it was urged: it would rest again.
func (l *loop) hurry(w *waiter) {
	e := l.s.get(w.witness)
	if e == nil || w.absentOnly {
		return
	}
	if t := l.troubles[e.key]; t != nil && t.seq == e.seq {
		return // it has its time
	}
	if l.active[e.key] == nil {
		l.enqueue(e, true)
	}
}

func (l *loop) find(w *waiter, from Key) bool {
	w.witness = ""
	if from == "" {
		w.failed, w.err = 0, nil
	}
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	l.s.v.tree.below(w.prefix, from, func(e *entry) bool {
		if w.exact && e.key != w.prefix {
			return false
		}
		if e.since > w.upto {
			return true
		}
		if w.absentOnly && (l.holds[e.key] > 0 || e.kind != Absent) {
			return true
		}
		if t := l.troubles[e.key]; t != nil && t.permanent && t.seq == e.seq && l.active[e.key] == nil && !l.small.has(e.key) && !l.large.has(e.key) && !l.absent.has(e.key) {
			w.failed++
			if w.err == nil {
				w.err = t.err
			}
			return true
		}
		w.witness = e.key
		return false
	})
	return w.witness != ""
}

func (q *queue) has(key Key) bool {
	_, in := q.queued[key]
	return in
}

// Hold says that a clean file is open: as long as it is held, a delete or an overwrite of the object by
// us waits, so that what was opened can be read. A Sync of the key does not wait.
func (s *Store) Hold(key Key) (release func()) {
	s.loop.postBy(never, func() { s.loop.holds[key]++ })
	return func() { s.loop.postBy(never, func() { s.loop.unhold(key) }) }
}

func (l *loop) unhold(key Key) {
	if l.holds[key]--; l.holds[key] > 0 {
		return
	}
	delete(l.holds, key)
	if _, waiting := l.held[key]; !waiting {
		return
	}
	delete(l.held, key)
	if e := l.s.get(key); e != nil {
		l.enqueue(e, false)
	}
}
