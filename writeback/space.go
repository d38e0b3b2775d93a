package writeback

import (
	"context"
	"slices"
	"sync"
	"syscall"
)

// space counts the bytes that are staged. Over the budget writers wait until something was sent.
type space struct {
	total   int64
	relieve func() // the stage is full: give up what need not be staged
	urge    func() // and send what can be sent, now; fail is called when nothing can

	mu      sync.Mutex       // guards the fields below
	of      map[uint64]int64 // bytes of each staged file; none of it: not in the map
	used    int64            // their sum
	waiters []*spaceWaiter
}

// spaceWaiter is who waits for space.
type spaceWaiter struct {
	answer   chan error // has room for it
	relieved bool       // what need not be staged was given up since it waits
}

// set notes how many bytes a staged file has. It is told the whole each time: what was given up of a file, or kept beside
// what counts, may be seen by another process, or another use of it, than the one that counted it.
func (sp *space) set(stage uint64, n int64) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	before := sp.of[stage]
	if n == before {
		return
	}
	if sp.used += n - before; n == 0 {
		delete(sp.of, stage)
	} else {
		sp.of[stage] = n
	}
	if n < before {
		sp.releaseLocked() // it may not be enough: then what the waiters hoped for may be gone, and they urge again
	}
}

func (sp *space) releaseLocked() {
	for _, w := range sp.waiters {
		w.answer <- nil
	}
	sp.waiters = nil
}

// poke wakes the waiters to look again.
func (sp *space) poke() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.releaseLocked()
}

// full says whether somebody waits for space, or soon will.
func (sp *space) full() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return len(sp.waiters) > 0 || sp.used > sp.total/8*7
}

// fail ends the waiting: nothing more can be sent. Who has only begun to wait is asked about again: what was being sent until now
// could not be given up, and now it can.
func (sp *space) fail() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.waiters = slices.DeleteFunc(sp.waiters, func(w *spaceWaiter) bool {
		if w.relieved {
			w.answer <- syscall.ENOSPC
		}
		return w.relieved
	})
}

func (sp *space) usage() int64 {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.used
}

// wait returns when n bytes more may be staged. One write may run over the budget, so that a budget
// smaller than a write is no deadlock.
func (sp *space) wait(ctx context.Context, n int64) error {
	for {
		sp.mu.Lock()
		if sp.used == 0 || sp.used+n <= sp.total {
			sp.mu.Unlock()
			return nil
		}
		w := &spaceWaiter{answer: make(chan error, 1)}
		sp.waiters = append(sp.waiters, w)
		sp.mu.Unlock()
		sp.relieve()
		sp.mu.Lock()
		w.relieved = true
		sp.mu.Unlock()
		sp.urge()
		select {
		case err := <-w.answer:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
