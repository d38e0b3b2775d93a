package ossclient

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watched runs a script under a watch and returns when and why the watch ended it; 0 when it did not.
func watched(t *testing.T, size int64, script func(w *watch, u *upload)) (after time.Duration, why error) {
	u := &upload{content: content{reader: strings.NewReader(""), size: size}}
	ctx, cancel := context.WithCancelCause(t.Context())
	start := time.Now()
	w := newWatch(newAlarm(), cancel, u, patience{stall: 20 * time.Second, answer: time.Minute})
	stop := context.AfterFunc(ctx, func() { after, why = time.Since(start), context.Cause(ctx) })
	script(w, u)
	synctest.Wait()
	stop()
	why = w.cause()
	w.stop()
	return after, why
}

func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int64
		script func(w *watch, u *upload)
		after  time.Duration
		why    error
	}{
		{"an answer in time", 0, func(w *watch, u *upload) { time.Sleep(50 * time.Second); w.answered(); time.Sleep(time.Hour) }, 0, nil},
		{"no answer", 0, func(w *watch, u *upload) { time.Sleep(time.Hour) }, time.Minute, errSlowAnswer},
		{"a body that is not taken", 100, func(w *watch, u *upload) { time.Sleep(time.Hour) }, 20 * time.Second, errStalled},
		{"a body that is taken slowly", 100, func(w *watch, u *upload) {
			for range 10 {
				time.Sleep(15 * time.Second)
				u.moved.Add(10)
			}
			time.Sleep(30 * time.Second) // all is sent: the answer may take longer
			w.answered()
		}, 0, nil},
		{"a body that stalls in the middle", 100, func(w *watch, u *upload) {
			time.Sleep(15 * time.Second)
			u.moved.Add(50)
			time.Sleep(time.Hour)
		}, 40 * time.Second, errStalled},
		{"a slow reader", 0, func(w *watch, u *upload) {
			w.answered()
			for range 10 {
				time.Sleep(time.Hour)
				w.reading()
				time.Sleep(19 * time.Second)
				w.read()
			}
		}, 0, nil},
		{"an answer's body that stalls", 0, func(w *watch, u *upload) {
			w.answered()
			w.reading()
			time.Sleep(time.Hour)
		}, 20 * time.Second, errStalled},
		{"a race that is lost", 0, func(w *watch, u *upload) { time.Sleep(time.Second); w.abort(errOutrun) }, time.Second, errOutrun},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				after, why := watched(t, c.size, c.script)
				if why != c.why || after < c.after || after > c.after+c.after/2 {
					t.Errorf("ended after %v by %v, want %v by %v", after, why, c.after, c.why)
				}
			})
		})
	}
}
