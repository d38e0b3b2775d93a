package stream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// maxRead is how much one step of a ReadAt asks for, in bytes.
	maxRead = maxPart
	// maxWindows is how many streams of one file are told apart.
	maxWindows = 16
	// patience is for how many reads elsewhere a stream is kept that nobody reads; longPatience when the
	// file is known to be read in several places by turns.
	patience, longPatience = 16, 256
)

// errNoMemory says that the windows' share of the budget has no room for a read.
var errNoMemory = errors.New("no memory for a read")

// File is one open handle of an object version. It is safe for concurrent use.
type File struct {
	pool   *Pool
	object *object
	hint   Hint
	seen   atomic.Int64 // when it was last read, in Unix nanoseconds
	volume atomic.Int64 // bytes read
	trail  atomic.Pointer[trail]
	// damaged is set once the whole was read and is not the object: a kernel whose read-ahead failed asks again,
	// for a page.
	damaged atomic.Pointer[error]
	stale   atomic.Pointer[error] // set once the object was found replaced: what is not in memory is not asked for again
	helped  atomic.Bool           // it was fetched before it was opened

	mu      sync.Mutex // guards the fields below; before Pool.mu
	closed  bool
	active  bool  // counted by the governor
	count   int64 // reads
	windows []*window
	several bool // read in several places by turns
	order   order
}

// Version is what was opened.
func (f *File) Version() ossclient.Version { return f.object.version }

// ReadAt reads len(dst) bytes at off into dst, or fewer and io.EOF at the end of the object. The errors are
// ErrStale, ErrCorrupt, the context's when that ends, and the Source's.
func (f *File) ReadAt(ctx context.Context, dst []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	size := f.object.version.Size
	if off >= size {
		return 0, io.EOF
	}
	var eof error
	if rest := size - off; int64(len(dst)) > rest {
		dst, eof = dst[:rest], io.EOF
	}
	done := 0
	for done < len(dst) {
		n, err := f.read(ctx, dst[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, eof
}

// read is one step of a ReadAt.
func (f *File) read(ctx context.Context, dst []byte, off int64) (int, error) {
	v, err := f.View(ctx, dst, off)
	if err != nil {
		return 0, err
	}
	defer v.Release()
	n := 0
	for _, piece := range v.Slices() {
		n += copy(dst[n:], piece)
	}
	return n, nil
}

// begin finds the stream that r belongs to, pins its blocks and starts what has to be fetched, for r and
// ahead of it.
func (f *File) begin(r *reading) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.seen.Store(time.Now().UnixNano())
	o := f.object
	if r.window == nil { // not a second try
		r.whole = f.order.add(r.off, r.end, o.version.Size)
		r.first = f.count == 0 && r.off == 0
	}
	w, fresh := f.locate(r)
	r.window = w
	o.lock()
	defer o.unlock()
	missing := int64(0)
	for i := r.off / cache.BlockSize; i*cache.BlockSize < r.end; i++ {
		p := o.pinLocked(i)
		if p.missing() {
			missing++
		}
		r.pins = append(r.pins, p)
	}
	f.pool.counters.pinned(r.pins, missing)
	var err error
	if stale := f.stale.Load(); missing > 0 && stale != nil {
		err = *stale
	} else if missing > 0 && !f.fetchLocked(r, fresh) {
		err = errNoMemory
	}
	if err != nil {
		for i := range r.pins {
			o.unpinLocked(&r.pins[i])
		}
		r.pins = r.pins[:0]
		return err
	}
	for i := range r.pins {
		o.keepLocked(w, r.pins[i].index)
	}
	if r.first && o.version.Size <= aheadLimit {
		for i := range o.blocks { // it may have been fetched ahead: this file holds it from now on
			o.keepLocked(w, i)
		}
	}
	f.aheadLocked(w)
	return nil
}

// end gives back what begin pinned and what the window has no more use for.
func (f *File) end(r *reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, w := f.object, r.window
	o.lock()
	defer o.unlock()
	for i := range r.pins {
		p := &r.pins[i]
		if h := w.holds[p.index]; h != nil && p.block != nil && !r.failed {
			start := p.index * cache.BlockSize
			h.served += int(min(r.end, start+cache.BlockSize) - max(r.off, start))
			if h.served >= len(p.block.Bytes()) {
				h.slot.offered = h.slot.offered || f.hint.PageCache
				o.letGoLocked(w, p.index)
			}
		}
		o.unpinLocked(p)
	}
	for w.stride == 0 {
		block, ok := w.passed()
		if !ok {
			break
		}
		o.letGoLocked(w, block)
	}
}

// Close ends the reading. What was fetched for this handle alone is given up.
func (f *File) Close() error {
	f.pool.trails.closed(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.giveUpLocked(func(*window) bool { return true })
	f.idleLocked()
	f.pool.release(f)
	return nil
}
