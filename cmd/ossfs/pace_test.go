package main

import (
	"math"
	"testing"
	"time"
)

// The rate is that of the last ten seconds.
func TestPace(t *testing.T) {
	var p pace
	start := time.Unix(1700000000, 0)
	if got := p.rate(start); got != 0 {
		t.Errorf("nothing sent: %v", got)
	}
	for tenths := range 300 {
		p.add(start.Add(time.Duration(tenths)*time.Second/10), 100)
	}
	rate := func(at time.Duration, want float64) {
		t.Helper()
		if got := p.rate(start.Add(at)); math.Abs(got-want) > want/100 {
			t.Errorf("after %v: %v bytes a second, want %v", at, got, want)
		}
	}
	for at, want := range map[time.Duration]float64{
		29990 * time.Millisecond: 1000, 30500 * time.Millisecond: 1000 * 9 / 9.5, 35 * time.Second: 1000 * 4 / 9.0, time.Minute: 0,
	} {
		rate(at, want)
	}
	p.add(start.Add(time.Hour), 1000) // after a pause it is the pace of what came since
	p.add(start.Add(time.Hour+time.Second), 1000)
	rate(time.Hour+2*time.Second, 1000)
}
