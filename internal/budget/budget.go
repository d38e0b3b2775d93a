package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ErrTooLarge is returned for a request that exceeds the whole budget: waiting would never end.
var ErrTooLarge = errors.New("more memory asked for than the whole budget")

// Budget is an amount of memory shared by classes of use. It is safe for concurrent use.
type Budget struct {
	total int64

	mu       sync.Mutex // guards the fields below
	used     map[string]int64
	sum      int64
	queues   map[string][]*waiter // never empty: a class that waits for nothing has no entry
	turns    []string             // the classes of queues, next turn first
	relieves []func(n int64)
}

type waiter struct {
	n       int64
	granted chan struct{} // closed, under Budget.mu, when the bytes are the waiter's
}

// New makes a budget of total bytes.
func New(total int64) *Budget {
	return &Budget{total: max(total, 0), used: map[string]int64{}, queues: map[string][]*waiter{}}
}

// Total is the size of the budget in bytes.
func (b *Budget) Total() int64 { return b.total }

// Used says how many bytes each class holds now; classes that hold none are left out.
func (b *Budget) Used() map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.used)
}

// Free is how many bytes nobody holds now.
func (b *Budget) Free() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.sum
}

// OnShortage has relieve called, in the goroutine that is about to wait and with no lock held, whenever an
// Acquire of n bytes does not find them. It is for caches that can give bytes back; it must not block.
func (b *Budget) OnShortage(relieve func(n int64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.relieves = append(b.relieves, relieve)
}

// Acquire takes n bytes for class and waits until it has them. It returns ErrTooLarge when n exceeds the
// total, and the context's error when that ends first; then nothing is held.
func (b *Budget) Acquire(ctx context.Context, class string, n int64) error {
	if n > b.total {
		return fmt.Errorf("%w: %d bytes for %s of %d", ErrTooLarge, n, class, b.total)
	}
	if b.TryAcquire(class, n) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w, relieves := b.enqueue(class, n)
	for _, relieve := range relieves {
		relieve(n)
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		b.withdraw(class, w)
		return ctx.Err()
	}
}

// TryAcquire takes n bytes for class if they are there and nobody waits for them, and says so.
func (b *Budget) TryAcquire(class string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 && (len(b.turns) > 0 || b.sum+n > b.total) {
		return false
	}
	b.takeLocked(class, n)
	return true
}

// Release gives back n bytes of class. It panics when the class does not hold them: the count of whoever
// calls is wrong, and with it every later decision.
func (b *Budget) Release(class string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || b.used[class] < n {
		panic(fmt.Sprintf("budget: release of %d bytes of %s, which holds %d", n, class, b.used[class]))
	}
	b.takeLocked(class, -n)
	b.grantLocked()
}

func (b *Budget) takeLocked(class string, n int64) {
	b.sum += n
	b.used[class] += n
	if b.used[class] == 0 {
		delete(b.used, class)
	}
}

func (b *Budget) enqueue(class string, n int64) (*waiter, []func(int64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &waiter{n: n, granted: make(chan struct{})}
	if len(b.queues[class]) == 0 {
		b.turns = append(b.turns, class)
	}
	b.queues[class] = append(b.queues[class], w)
	b.grantLocked() // bytes may have come back since the first try
	return w, slices.Clone(b.relieves)
}

// grantLocked serves waiters, one of each class in turn, until the next one does not fit.
func (b *Budget) grantLocked() {
	for len(b.turns) > 0 {
		class := b.turns[0]
		w := b.queues[class][0]
		if b.sum+w.n > b.total {
			return
		}
		b.takeLocked(class, w.n)
		close(w.granted)
		b.turns = b.turns[1:]
		b.dropLocked(class, 0)
		if len(b.queues[class]) > 0 {
			b.turns = append(b.turns, class)
		}
	}
}

// dropLocked removes waiter i of class; the class's turn is the caller's to mend.
func (b *Budget) dropLocked(class string, i int) {
	q := slices.Delete(b.queues[class], i, i+1)
	b.queues[class] = q
	if len(q) == 0 {
		delete(b.queues, class)
	}
}

// withdraw takes a waiter out of its queue, or gives back what it was granted meanwhile.
func (b *Budget) withdraw(class string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queues[class], w); i >= 0 {
		b.dropLocked(class, i)
		if len(b.queues[class]) == 0 {
			b.turns = slices.DeleteFunc(b.turns, func(c string) bool { return c == class })
		}
	} else {
		b.takeLocked(class, -w.n)
	}
	b.grantLocked()
}
