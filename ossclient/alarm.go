package ossclient

import (
	"sync"
	"time"
)

// alarm rings bells after a while, as time.AfterFunc calls functions. It is one timer of the runtime's for all
// bells of a Bucket. A timer that ends before all others of its thread wakes an idle thread when it is set, and
// each attempt of a request would set two that hardly ever end: that costs more than signing it does. A bell that
// is set for later than the first one, and stopped, costs a few stores.
type alarm struct {
	begun time.Time // what due and next count from, by the monotonic clock

	mu    sync.Mutex // guards the fields below, and the bells' due and place
	set   []*bell    // in no order
	timer *time.Timer
	next  time.Duration // when the timer ends, which is not after the first bell; never: it does not
}

// bell is a function to be called by an alarm.
type bell struct {
	alarm *alarm
	ring  func() // called in a goroutine of its own
	due   time.Duration
	place int // in alarm.set, counted from 1; 0: not set
}

const never = time.Duration(1<<63 - 1)

func newAlarm() *alarm { return &alarm{begun: time.Now(), next: never} }

// now is the time on the alarm's clock.
func (a *alarm) now() time.Duration { return time.Since(a.begun) }

// reset has the bell ring after d, and not when it was to before.
func (b *bell) reset(d time.Duration) {
	a := b.alarm
	a.mu.Lock()
	defer a.mu.Unlock()
	b.due = a.now() + d
	if b.place == 0 {
		a.set = append(a.set, b)
		b.place = len(a.set)
	}
	if b.due < a.next {
		a.startLocked(b.due, d)
	}
}

// stop has the bell not ring, unless it does already.
func (b *bell) stop() {
	b.alarm.mu.Lock()
	defer b.alarm.mu.Unlock()
	if b.place != 0 {
		b.removeLocked()
	}
}

// removeLocked puts the last bell into the place of b.
func (b *bell) removeLocked() {
	a := b.alarm
	end := len(a.set) - 1
	last := a.set[end]
	last.place = b.place
	a.set[b.place-1] = last
	a.set[end] = nil
	a.set = a.set[:end]
	b.place = 0
}

// startLocked sets the timer for a time that is d away.
func (a *alarm) startLocked(next, d time.Duration) {
	a.next = next
	if a.timer == nil {
		a.timer = time.AfterFunc(d, a.ring)
		return
	}
	a.timer.Reset(d)
}

// ring rings the bells that are due: none, if the one that the timer was set for is stopped. It sets the timer
// for the first of the others.
func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, next := a.now(), never
	for i := len(a.set) - 1; i >= 0; i-- { // downwards: what comes into the place of one removed was looked at
		if b := a.set[i]; b.due <= now {
			b.removeLocked()
			go b.ring()
		} else {
			next = min(next, b.due)
		}
	}
	a.next = never
	if next != never {
		a.startLocked(next, next-now)
	}
}
