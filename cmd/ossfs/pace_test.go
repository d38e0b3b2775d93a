package main

import (
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
	for i := range 30 {
		p.add(start.Add(time.Duration(i)*time.Second), 1000)
	}
	for at, want := range map[int]float64{29: 1000, 34: 500, 60: 0} {
		if got := p.rate(start.Add(time.Duration(at) * time.Second)); got != want {
			t.Errorf("after %d s: %v bytes a second, want %v", at, got, want)
		}
	}
	p.add(start.Add(time.Hour), 1000) // after a pause it is the pace of what came since
	p.add(start.Add(time.Hour+time.Second), 1000)
	if got := p.rate(start.Add(time.Hour + 2*time.Second)); got != 1000 {
		t.Errorf("after a pause: %v bytes a second, want 1000", got)
	}
}
