package stream

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/ossclient"
)

// rangesClass is the budget's class of the store of ranges.
const rangesClass = "ranges"

// Options are a Pool's.
type Options struct {
	Source   Source
	Ranges   *cache.Ranges  // blocks already read; nil: none are kept. The caller closes it after the Pool
	Budget   *budget.Budget // New takes the capacity of Ranges from it, class "ranges"; the rest serves the windows. nil: 256 MiB
	MaxConns int            // GETs in flight at most; 0: 64
	Logger   *slog.Logger   // nil: slog.Default()

	// Room says how many bytes the kernel's page cache can be trusted with; nil: none. It is asked rarely.
	Room func() int64

	// FetchTimeout is how long a GET may go without completing a block, retries of the Source included;
	// 0: 2 minutes.
	FetchTimeout time.Duration
}

// opener sends one GET.
type opener func(ctx context.Context, req ossclient.GetRequest) (io.ReadCloser, ossclient.Object, error)

// Pool is what all open files of a mount share. It is safe for concurrent use.
type Pool struct {
	opts     Options
	open     opener
	ranges   *cache.Ranges
	governor *governor
	limbo    *limbo
	trails   *trails
	giver    *giver
	shift    *shifter
	log      *slog.Logger
	reserved int64 // bytes of rangesClass

	ctx    context.Context // of every fetch
	cancel context.CancelFunc

	views     sync.Pool // of *View
	counters  counters
	reclaimed atomic.Int64 // when files were last asked for memory, in Unix nanoseconds

	mu      sync.Mutex // guards the fields below; after File.mu, before object.mu
	objects map[ossclient.Version]*object
	files   map[*File]struct{}
}

type counters struct {
	gets, bytes, direct   atomic.Int64
	ahead, stored, missed atomic.Int64 // blocks wanted by reads
	straight              atomic.Int64 // bytes read without a block
}

// pinned counts where the blocks of a read were found.
func (c *counters) pinned(pins []pin, missed int64) {
	ahead := int64(0)
	for i := range pins {
		if pins[i].slot != nil {
			ahead++
		}
	}
	c.ahead.Add(ahead)
	c.missed.Add(missed)
	c.stored.Add(int64(len(pins)) - ahead - missed)
}

// New makes a Pool.
func New(opts Options) *Pool {
	return newPool(opts, func(ctx context.Context, req ossclient.GetRequest) (io.ReadCloser, ossclient.Object, error) {
		body, err := opts.Source.Get(ctx, req)
		if err != nil {
			return nil, ossclient.Object{}, err
		}
		return body, body.Object, nil
	})
}

func newPool(opts Options, open opener) *Pool {
	p := &Pool{opts: opts, open: open, ranges: opts.Ranges, log: opts.Logger, shift: newShifter(),
		objects: map[ossclient.Version]*object{}, files: map[*File]struct{}{}}
	if p.ranges == nil {
		p.ranges = cache.NewRanges(0)
	}
	if p.opts.Budget == nil {
		p.opts.Budget = budget.New(256<<20 + p.ranges.Capacity())
	}
	if p.opts.MaxConns <= 0 {
		p.opts.MaxConns = 64
	}
	if p.opts.FetchTimeout <= 0 {
		p.opts.FetchTimeout = 2 * time.Minute
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	if n := p.ranges.Capacity(); p.opts.Budget.TryAcquire(rangesClass, n) {
		p.reserved = n
	} else {
		p.log.Warn("the store of ranges is larger than the memory budget has left", "bytes", n, "budget", p.opts.Budget.Total())
	}
	p.governor = newGovernor(p.opts.Budget, p.ranges.Capacity(), p.opts.MaxConns)
	p.giver = newGiver()
	p.trails = &trails{pool: p, recent: newRecent()}
	p.limbo = &limbo{limit: min(8<<20, p.governor.limit/4)}
	p.views.New = func() any { return new(View) }
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.opts.Budget.OnShortage(func(n int64) { p.reclaim(n) })
	p.governor.enter()
	go p.keep()
	p.governor.enter()
	go p.give()
	return p
}

// Close gives up everything that is under way and waits for it. Every File must have been closed.
func (p *Pool) Close() {
	if !p.governor.close() {
		return
	}
	p.trails.expire(true)
	p.cancel()
	p.governor.running.Wait()
	p.keepGifts()
	p.expire(p.limbo.shrink(0))
	p.opts.Budget.Release(rangesClass, p.reserved)
}

// Hint is what the opener knows of a file beside its version.
type Hint struct {
	// Dir is the identity of the directory that the file was found in.
	Dir string
	// PageCache says that the kernel keeps what is read: a block that was read in full needs no second place
	// in the store of ranges. Memory that is touched for the first time costs more than the reading itself.
	PageCache bool
	// Give hands the kernel bytes of the file that it has not asked for, and says whether it took them. It may
	// wait until reads under way have ended. nil: it cannot be given any.
	Give func(off int64, data []byte) bool
	// CRC64 is the CRC-64 of the whole object, when it is known.
	CRC64 *uint64
	// Next returns up to n versions of the files that follow this one in its directory's order. It must not
	// block on the network. nil: nothing is fetched ahead of this file.
	Next func(n int) []ossclient.Version
}

// Open begins the reading of v, for one handle. It is cheap and sends nothing.
func (p *Pool) Open(v ossclient.Version, hint Hint) *File {
	f := &File{pool: p, hint: hint}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.object = p.objectLocked(v)
	p.files[f] = struct{}{}
	f.object.lock()
	defer f.object.unlock()
	if hint.CRC64 != nil {
		f.object.sums.expect(*hint.CRC64)
	}
	if hint.Give != nil {
		f.object.give = hint.Give
	}
	return f
}

// objectLocked finds or makes the object of v and counts one more file of it.
func (p *Pool) objectLocked(v ossclient.Version) *object {
	o := p.objects[v]
	if o == nil {
		o = &object{pool: p, version: v, blocks: cache.Blocks(v.Size), slots: map[int64]*slot{}, sums: sums{size: v.Size}}
		p.objects[v] = o
	}
	o.mu.Lock()
	o.refs++
	o.mu.Unlock()
	return o
}

// forget drops o from the table if no file and no block of it is left.
func (p *Pool) forget(o *object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refs == 0 && len(o.slots) == 0 && p.objects[o.version] == o {
		delete(p.objects, o.version)
	}
}

// retire offers a complete block that nobody holds to the store of ranges and moves it to limbo.
func (p *Pool) retire(r retiree) {
	if r.offer {
		p.ranges.Put(r.slot.block)
	}
	p.expire(p.limbo.push(r.slot))
}

// expire lets go of slots that have been in limbo, unless they are held again.
func (p *Pool) expire(slots []*slot) {
	for _, s := range slots {
		s.obj.lock()
		s.queued = false
		if s.holders == 0 {
			s.obj.removeLocked(s)
		}
		s.obj.unlock()
	}
}
