package ossclient

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateHalvesOncePerCongestion(t *testing.T) {
	g := newGate(64)
	start := time.Now()
	for range 40 {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // all began before the first was told to slow down
		g.leave(start, false, true)
	}
	if inside, limit := g.state(); inside != 30 || limit != 20 {
		t.Errorf("after ten refusals of one moment: %d inside, limit %d; want 30, 20", inside, limit)
	}
	g.leave(time.Now().Add(time.Second), false, true)
	if _, limit := g.state(); limit != 10 {
		t.Errorf("after a later refusal: limit %d, want 10", limit)
	}
}

func TestGateGrowsByOnePerRound(t *testing.T) {
	g := newGate(64)
	g.limit = 4
	for range 10 { // rounds that use the whole limit
		n := 0
		for g.tryEnter() {
			n++
		}
		for range n {
			g.leave(time.Now(), true, false)
		}
	}
	if _, limit := g.state(); limit < 7 || limit > 14 {
		t.Errorf("after ten rounds from 4: limit %d, want about one more for each", limit)
	}
	idle := newGate(64)
	idle.limit = 10
	for range 1000 {
		idle.tryEnter()
		idle.leave(time.Now(), true, false)
	}
	if _, limit := idle.state(); limit != 10 {
		t.Errorf("a limit that was not felt grew to %d, want 10", limit)
	}
}

func TestGateNeverLetsMoreIn(t *testing.T) {
	g := newGate(3)
	var mu sync.Mutex
	inside, most := 0, 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if err := g.enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				inside--
				mu.Unlock()
				g.leave(time.Now(), true, false)
			}
		})
	}
	wg.Wait()
	if n, _ := g.state(); n != 0 || most > 3 || g.waiting.Len() != 0 {
		t.Errorf("%d inside at the end, at most %d at once, %d waiting; want 0, 3, 0", n, most, g.waiting.Len())
	}
}

func TestGateGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		g.leave(time.Now(), true, false)
		if n, _ := g.state(); n != 0 || g.waiting.Len() != 0 {
			t.Errorf("%d inside, %d waiting, want none", n, g.waiting.Len())
		}
	})
}
