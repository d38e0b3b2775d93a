package ossclient

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// chime remembers when it was called.
type chime struct {
	mu    sync.Mutex // guards the field below
	times []time.Duration
}

func (c *chime) ring(start time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, time.Since(start))
}

// TestBellsAreTimers does to bells and to timers of package time the same, at random: they must ring at the same times.
func TestBellsAreTimers(t *testing.T) {
	const bells, steps = 7, 400
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			start, a := time.Now(), newAlarm()
			var got, want [bells]chime
			var ours [bells]bell
			var timers [bells]*time.Timer
			for i := range bells {
				ours[i] = bell{alarm: a, ring: func() { got[i].ring(start) }}
				timers[i] = time.AfterFunc(time.Hour, func() { want[i].ring(start) })
				timers[i].Stop()
			}
			for range steps {
				i := r.IntN(bells)
				switch r.IntN(4) {
				case 0:
					ours[i].stop()
					timers[i].Stop()
				case 1:
					time.Sleep(time.Duration(r.IntN(40)))
					synctest.Wait() // what rings now has rung
				default:
					d := time.Duration(1 + r.IntN(100))
					ours[i].reset(d)
					timers[i].Reset(d)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			for i := range bells {
				if !slices.Equal(got[i].times, want[i].times) {
					t.Errorf("seed %d, bell %d rang at %v, want %v", seed, i, got[i].times, want[i].times)
				}
			}
			if len(a.set) != 0 || a.next != never {
				t.Errorf("seed %d: %d bells are set in the end, the next for %v", seed, len(a.set), a.next)
			}
		})
	}
}

func TestBellSetsItselfAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var c chime
		b := bell{alarm: newAlarm()}
		b.ring = func() {
			if c.ring(start); time.Since(start) < 3*time.Second {
				b.reset(time.Second)
			}
		}
		b.reset(time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !slices.Equal(c.times, want) {
			t.Errorf("rang at %v, want %v", c.times, want)
		}
	})
}

// TestLaterBellsLeaveTheTimerAlone is why there is an alarm.
func TestLaterBellsLeaveTheTimerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarm()
		first := bell{alarm: a, ring: func() {}}
		first.reset(time.Second)
		first.stop()
		next := a.next
		for range 100 { // attempts that are answered in time
			time.Sleep(time.Millisecond)
			b := bell{alarm: a, ring: func() { t.Error("a bell rang that was stopped") }}
			b.reset(time.Second)
			if a.next != next {
				t.Fatalf("a later bell set the timer for %v, it was set for %v", a.next, next)
			}
			b.stop()
		}
		time.Sleep(time.Minute)
	})
}
