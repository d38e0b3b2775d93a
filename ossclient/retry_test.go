package ossclient

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryKeepsItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			f    failure
			most time.Duration
			min  int // attempts
			max  int
		}{
			{"unavailable", failure{err: &Error{Kind: ErrUnavailable}, retry: true}, time.Minute, 8, 200},
			{"no such name", failure{err: &Error{Kind: ErrUnavailable}, retry: true, limit: shortBudget}, shortBudget, 3, 100},
			{"for good", failure{err: &Error{Kind: ErrPermission}}, 0, 1, 1},
			{"corrupt", failure{err: &Error{Kind: ErrCorrupt}, retry: true}, time.Second, maxWrong, maxWrong},
			{"skewed", failure{err: &Error{Kind: ErrPermission}, skewed: true}, 0, maxSkewed, maxSkewed},
			{"retry-after", failure{err: &Error{Kind: ErrThrottled}, retry: true, after: 25 * time.Second}, time.Minute, 3, 3},
			{"retry-after beyond the budget", failure{err: &Error{Kind: ErrThrottled}, retry: true, after: 2 * time.Minute}, 0, 1, 1},
		} {
			r := newRetry(time.Minute)
			start, n := time.Now(), 1
			for ; ; n++ {
				wait, again := r.next(&c.f)
				if !again {
					break
				}
				if wait < c.f.after || wait > max(maxBackoff, c.f.after) {
					t.Errorf("%s: waits %v", c.name, wait)
				}
				time.Sleep(wait)
			}
			if took := time.Since(start); took > c.most || n < c.min || n > c.max {
				t.Errorf("%s: %d attempts in %v, want %d to %d in at most %v", c.name, n, took, c.min, c.max, c.most)
			}
		}
	})
}

func TestProgressRenewsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetry(time.Second)
		f := &failure{err: &Error{Kind: ErrUnavailable}, retry: true}
		time.Sleep(2 * time.Second)
		if _, again := r.next(f); again {
			t.Error("repeats beyond the budget")
		}
		r.renew()
		if _, again := r.next(f); !again {
			t.Error("does not repeat after progress")
		}
	})
}
