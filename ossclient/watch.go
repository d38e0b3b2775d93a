package ossclient

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// stallLimit is how long a connection may move no byte.
const stallLimit = 20 * time.Second

var (
	errSlowAnswer = errors.New("no answer within the deadline")
	errStalled    = errors.New("connection moved no byte for too long")
)

// patience is how long an attempt may stand still.
type patience struct {
	stall  time.Duration // a body that moves no byte
	answer time.Duration // at most, whatever the operation allows
}

// watch guards one attempt: it cancels it when the request's body, the answer's headers or the answer's
// body stop moving. Only time spent waiting for the network counts: a slow reader of a body is not the
// connection's fault.
type watch struct {
	cancel   context.CancelCauseFunc
	upload   *upload
	deadline time.Duration // for the answer
	stall    time.Duration

	phase atomic.Int32
	since atomic.Int64 // when the present wait began, UnixNano; 0: not waiting

	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	sent  int64 // bytes of the request's body when the timer last looked
	done  bool
	why   error
}

const (
	phaseHeaders int32 = iota
	phaseBody
)

func newWatch(cancel context.CancelCauseFunc, u *upload, p patience) *watch {
	w := &watch{cancel: cancel, upload: u, deadline: p.answer, stall: p.stall}
	w.since.Store(time.Now().UnixNano())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.allowed(), w.look)
	return w
}

// allowed is how long the present wait may last.
func (w *watch) allowed() time.Duration {
	if w.phase.Load() == phaseHeaders && w.upload.moved.Load() >= w.upload.content.size {
		return w.deadline
	}
	return w.stall
}

// look cancels the attempt if it waits for too long, or comes back when it might.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	now := time.Now().UnixNano()
	if moved := w.upload.moved.Load(); w.phase.Load() == phaseHeaders && moved != w.sent {
		w.sent = moved
		w.since.Store(now)
	}
	since, allowed := w.since.Load(), w.allowed()
	if since == 0 {
		w.timer.Reset(w.stall)
		return
	}
	if left := allowed - time.Duration(now-since); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.done = true
	if w.phase.Load() == phaseHeaders && allowed == w.deadline {
		w.why = errSlowAnswer
	} else {
		w.why = errStalled
	}
	w.cancel(w.why)
}

// answered says that the headers are there: from now on only reads of the body are timed.
func (w *watch) answered() {
	w.since.Store(0)
	w.phase.Store(phaseBody)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.timer.Reset(w.stall)
	}
}

// reading and read bracket a read of the body.
func (w *watch) reading() { w.since.Store(time.Now().UnixNano()) }
func (w *watch) read()    { w.since.Store(0) }

// abort cancels the attempt.
func (w *watch) abort(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.done, w.why = true, why
		w.cancel(why)
	}
}

// cause is why the watch cancelled the attempt; nil when it did not.
func (w *watch) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// stop ends the watch and releases the attempt's context.
func (w *watch) stop() {
	w.mu.Lock()
	w.done = true
	w.timer.Stop()
	w.mu.Unlock()
	w.cancel(nil)
}
