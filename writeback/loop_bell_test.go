package writeback

import (
	"testing"
	"time"
)

// The loop is woken for what is due before it looks by itself, for whatever comes while somebody waits, and when very much waits for it;
// and it does not rest while something does.
func TestLoopIsWokenForWhatIsDue(t *testing.T) {
	now := time.Now()
	rings := func(l *loop) bool {
		select {
		case <-l.bell:
			return true
		default:
			return false
		}
	}
	for name, tt := range map[string]struct {
		waiters, held, many bool
		at                  time.Time
		want                bool
	}{
		"at once":           {at: time.Time{}, want: true},
		"before":            {at: now.Add(time.Minute), want: true},
		"after":             {at: now.Add(2 * time.Hour)},
		"never":             {at: never},
		"somebody waits":    {waiters: true, at: never, want: true},
		"something is held": {held: true, at: never, want: true},
		"very many":         {many: true, at: never, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(nil)
			if tt.waiters {
				l.waiters[&waiter{}] = struct{}{}
			}
			if tt.held {
				l.held["a"] = struct{}{}
			}
			if !l.rests(now.Add(time.Hour)) {
				t.Fatal("it does not rest though nothing waits")
			}
			ran := 0
			if tt.many {
				for range inboxMost - 1 {
					l.postBy(never, func() { ran++ })
				}
				if rings(l) {
					t.Fatal("it is woken for what may wait")
				}
			}
			l.postBy(tt.at, func() { ran++ })
			if got := rings(l); got != tt.want {
				t.Errorf("woken: %v, want %v", got, tt.want)
			}
			if l.rests(now.Add(time.Hour)) {
				t.Error("it rests while something waits")
			}
			if !l.drain() || ran == 0 || ran != 1 && !tt.many {
				t.Errorf("%d functions ran", ran)
			}
			l.postBy(now, func() {})
			if rings(l) {
				t.Error("it is woken though it does not rest")
			}
		})
	}
}
