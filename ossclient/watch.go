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
	bell     bell // rings look when the present wait may have lasted for too long

	phase atomic.Int32
	since atomic.Int64 // when the present wait began, on the alarm's clock; notWaiting

	mu   sync.Mutex // guards the fields below
	sent int64      // bytes of the request's body when look last looked
	done bool
	why  error
}

const (
	phaseHeaders int32 = iota
	phaseBody
)

const notWaiting = -1

func newWatch(a *alarm, cancel context.CancelCauseFunc, u *upload, p patience) *watch {
	w := &watch{cancel: cancel, upload: u, deadline: p.answer, stall: p.stall}
	w.bell = bell{alarm: a, ring: w.look}
	w.reading()
	w.bell.reset(w.allowed())
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
	now := int64(w.bell.alarm.now())
	if moved := w.upload.moved.Load(); w.phase.Load() == phaseHeaders && moved != w.sent {
		w.sent = moved
		w.since.Store(now)
	}
	since, allowed := w.since.Load(), w.allowed()
	if since == notWaiting {
		w.bell.reset(w.stall)
		return
	}
	if left := allowed - time.Duration(now-since); left > 0 {
		w.bell.reset(left)
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
	w.read()
	w.phase.Store(phaseBody)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.bell.reset(w.stall)
	}
}

// reading and read bracket a read of the body.
func (w *watch) reading() { w.since.Store(int64(w.bell.alarm.now())) }
func (w *watch) read()    { w.since.Store(notWaiting) }

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
	w.bell.stop()
	w.mu.Unlock()
	w.cancel(nil)
}
