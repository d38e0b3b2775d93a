package stream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/internal/budget"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		memory, files, rate, want int64
	}{
		{1 << 30, 0, 0, maxWindow},
		{1 << 30, 1, 0, maxWindow},
		{1 << 30, 4, 0, 56 * maxPart / 4},
		{64 * mib, 1, 0, 48 * mib},
		{64 * mib, 100, 0, 48 * mib / 100},
		{1 << 30, 1, 10e6, 20e6},
		{1 << 30, 8, 10e6, least},
		{1 << 30, 1, 1e9, maxWindow},
		{0, 1, 0, 0},
	} {
		g := newGovernor(budget.New(c.memory+100), 100, 64)
		g.active.Store(c.files)
		g.rate.Store(c.rate)
		if got := g.share(); got != c.want {
			t.Errorf("share of %d files, %d bytes, %d bytes/s = %d, want %d", c.files, c.memory, c.rate, got, c.want)
		}
	}
}

// Reads that wait have connections before what reads ahead, in the order in which they came.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(budget.New(1), 0, 16)
		for range 14 {
			if !g.tryConn() {
				t.Fatal("no connection to read ahead")
			}
		}
		if g.tryConn() {
			t.Error("the spare connections went to reading ahead")
		}
		for range 2 {
			if err := g.conn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var order []int
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 3 {
			go func() {
				c := t.Context()
				if i == 1 {
					c = ctx
				}
				if err := g.conn(c); err == nil {
					order = append(order, i)
				} else if i != 1 || !errors.Is(err, context.Canceled) {
					t.Errorf("conn %d = %v", i, err)
				}
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		for range 16 {
			g.endConn()
			synctest.Wait()
		}
		if len(order) != 2 || order[0] != 0 || order[1] != 2 {
			t.Errorf("served %v, want [0 2]", order)
		}
		if got := g.inFlight(); got != 2 {
			t.Errorf("%d connections are busy, want 2", got)
		}
	})
}
