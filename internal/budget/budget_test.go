package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAcquireAndRelease(t *testing.T) {
	b := New(100)
	if !b.TryAcquire("a", 60) || b.TryAcquire("b", 50) || !b.TryAcquire("b", 40) {
		t.Error("TryAcquire of 60, 50, 40 of 100: want yes, no, yes")
	}
	if got, want := b.Used(), map[string]int64{"a": 60, "b": 40}; !maps.Equal(got, want) {
		t.Errorf("Used() = %v, want %v", got, want)
	}
	if err := b.Acquire(t.Context(), "a", 101); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Acquire of 101 of 100 = %v, want ErrTooLarge", err)
	}
	b.Release("a", 60)
	b.Release("b", 40)
	if got := b.Used(); len(got) != 0 || b.Free() != 100 {
		t.Errorf("after all releases Used() = %v, Free() = %d, want none and 100", got, b.Free())
	}
	if !b.TryAcquire("a", 0) {
		t.Error("TryAcquire of nothing = false")
	}
}

func TestReleaseOfWhatIsNotHeldPanics(t *testing.T) {
	b := New(10)
	defer func() {
		if recover() == nil {
			t.Error("releasing what was never acquired did not panic")
		}
	}()
	b.Release("a", 1)
}

// Waiters of a class come in order, classes take turns, and a small request does not overtake.
func TestOrderOfWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		if err := b.Acquire(t.Context(), "x", 10); err != nil {
			t.Fatal(err)
		}
		var order []string
		start := func(class, name string, n int64) {
			go func() {
				if err := b.Acquire(t.Context(), class, n); err != nil {
					t.Error(err)
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		start("a", "a1", 10)
		start("a", "a2", 1)
		start("a", "a3", 1)
		start("b", "b1", 1)
		if b.TryAcquire("c", 0) != true || b.TryAcquire("c", 1) {
			t.Error("TryAcquire overtook the waiting")
		}
		b.Release("x", 9)
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("with 9 of 10 bytes free %v went before a1", order)
		}
		b.Release("x", 1)
		synctest.Wait()
		if !slices.Equal(order, []string{"a1"}) {
			t.Errorf("with 10 bytes free %v were served, want a1", order)
		}
		for range 3 {
			b.Release("a", 1)
			synctest.Wait()
		}
		if want := []string{"a1", "b1", "a2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		_ = b.TryAcquire("x", 5)
		ctx, cancel := context.WithCancel(t.Context())
		var failed error
		served := false
		go func() { failed = b.Acquire(ctx, "a", 10) }()
		synctest.Wait()
		go func() { served = b.Acquire(t.Context(), "b", 5) == nil }()
		synctest.Wait()
		if served {
			t.Error("b went before a")
		}
		cancel()
		synctest.Wait()
		if !errors.Is(failed, context.Canceled) || !served {
			t.Errorf("a's error %v, b served %v; want canceled, true", failed, served)
		}
		if got, want := b.Used(), map[string]int64{"x": 5, "b": 5}; !maps.Equal(got, want) {
			t.Errorf("Used() = %v, want %v", got, want)
		}
	})
}

func TestShortageIsTold(t *testing.T) {
	b := New(10)
	_ = b.TryAcquire("cache", 10)
	var asked int64
	b.OnShortage(func(n int64) {
		asked = n
		b.Release("cache", n)
	})
	if err := b.Acquire(t.Context(), "a", 4); err != nil || asked != 4 {
		t.Errorf("Acquire = %v after the cache was asked for %d bytes, want nil and 4", err, asked)
	}
}

// Many goroutines of several classes, some impatient: the sum never exceeds the total and nothing is lost.
func TestNeverOver(t *testing.T) {
	const total = 1000
	b := New(total)
	var held atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			class := fmt.Sprint(i % 3)
			for range 2000 {
				n := rnd.Int64N(total) + 1
				ctx, cancel := context.WithCancel(t.Context())
				if rnd.IntN(3) == 0 {
					go cancel()
				}
				if b.Acquire(ctx, class, n) == nil {
					if sum := held.Add(n); sum > total {
						t.Errorf("%d bytes held of %d", sum, total)
					}
					held.Add(-n)
					b.Release(class, n)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if b.Free() != total {
		t.Errorf("Free() = %d at the end, want %d", b.Free(), total)
	}
}
