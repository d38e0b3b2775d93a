package stream

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossfs/ossfs/internal/budget"
)

// windowClass is the budget's class of the blocks that windows hold or fetch.
const windowClass = "windows"

const (
	// maxPart is the length of the largest GET, in bytes: at 100 MB/s and 15 ms it takes 57 ms, of which
	// the round trip is a quarter.
	maxPart = 4 << 20
	// minPart is the length of the smallest GET that reads ahead, in bytes.
	minPart = 256 << 10
	// stretch is how much of what the network gives a window may hold, and least how small that may make it.
	stretch = 2 * time.Second
	least   = 4 << 20
	// maxWindow is the most that one window reaches ahead, in bytes: 32 GETs of maxPart.
	maxWindow = 128 << 20
)

// governor shares connections and memory between the files of a Pool. Its lock is a leaf.
//
// A read that waits always comes first: what reads ahead leaves some connections and a quarter of the
// windows' memory alone, and takes only what is there at once.
type governor struct {
	budget *budget.Budget
	limit  int64        // bytes that reading ahead may fill
	conns  int          // GETs at most
	spare  int          // of them not for reading ahead
	active atomic.Int64 // files that read ahead now
	held   atomic.Int64 // bytes of windowClass
	rate   atomic.Int64 // bytes per second that have come of late, at best; 0: not known

	running sync.WaitGroup // goroutines that enter let in

	mu     sync.Mutex // guards the fields below
	closed bool
	busy   int
	queue  []chan struct{} // reads that wait for a connection, first come first; closed when it is theirs
}

func newGovernor(b *budget.Budget, ranges int64, conns int) *governor {
	return &governor{budget: b, limit: max(b.Total()-ranges, 0) / 4 * 3, conns: conns, spare: conns / 8}
}

// enter lets one more goroutine begin; it calls running.Done in the end. After close it refuses.
func (g *governor) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Add(1)
	}
	return !g.closed
}

// close refuses what comes and says whether it was open.
func (g *governor) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := !g.closed
	g.closed = true
	return open
}

// share is how far one window may reach ahead now, in bytes. On a slow network a long window would only make
// everybody else wait: it ends where stretch ends.
func (g *governor) share() int64 {
	n := max(g.active.Load(), 1)
	share := min(maxWindow, g.limit/n, int64(g.conns-g.spare)*maxPart/n)
	if rate := g.rate.Load(); rate > 0 {
		share = min(share, max(least, rate*int64(stretch/time.Second)/n))
	}
	return share
}

// take takes n bytes if they are there.
func (g *governor) take(n int64, ahead bool) bool {
	if ahead && g.held.Load()+n > g.limit || !g.budget.TryAcquire(windowClass, n) {
		return false
	}
	g.held.Add(n)
	return true
}

// admit lets a fetch of n bytes begin. What reads ahead has its connection then; who waits for his bytes
// asks for one in the fetch's goroutine.
func (g *governor) admit(n int64, ahead bool) bool {
	if ahead && !g.tryConn() {
		return false
	}
	if g.take(n, ahead) {
		if g.enter() {
			return true
		}
		g.give(n)
	}
	if ahead {
		g.endConn()
	}
	return false
}

func (g *governor) give(n int64) {
	g.held.Add(-n)
	g.budget.Release(windowClass, n)
}

// tryConn takes a connection for reading ahead if one is to spare.
func (g *governor) tryConn() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 || g.busy >= g.conns-g.spare {
		return false
	}
	g.busy++
	return true
}

// conn waits for a connection.
func (g *governor) conn(ctx context.Context) error {
	g.mu.Lock()
	if g.busy < g.conns && len(g.queue) == 0 {
		g.busy++
		g.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	g.queue = append(g.queue, mine)
	g.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		g.mu.Lock()
		i := slices.Index(g.queue, mine)
		if i >= 0 {
			g.queue = slices.Delete(g.queue, i, i+1)
		}
		g.mu.Unlock()
		if i < 0 {
			g.endConn()
		}
		return ctx.Err()
	}
}

// endConn gives a connection back, to the first who waits.
func (g *governor) endConn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 {
		close(g.queue[0])
		g.queue = g.queue[1:]
		return
	}
	g.busy--
}

func (g *governor) inFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy
}
