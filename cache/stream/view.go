package stream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/ossfs/ossfs/cache"
)

// usualPins is how many blocks a view has room for without an allocation: a kernel's largest read, which
// need not begin with a block.
const usualPins = 1<<20/cache.BlockSize + 1

// View is what one read gives: the bytes where they lie, in blocks that stay as long as the View does.
type View struct {
	file   *File
	pieces [][]byte
	reading

	pinStore   [usualPins]pin
	pieceStore [usualPins][]byte
}

// reading is one step of a read.
type reading struct {
	off, end int64
	window   *window
	pins     []pin
	first    bool // it is the first of its file, and at its beginning
	whole    bool // it completes the reading of the whole object in order
	failed   bool // its bytes were not given
}

// View reads len(dst) bytes at off, or fewer at the end of the object, and at most 4 MiB, without copying
// them. dst is written to only where no memory is left for blocks. The caller must release the View; the errors are
// those of ReadAt, io.EOF included.
func (f *File) View(ctx context.Context, dst []byte, off int64) (*View, error) {
	return f.view(ctx, dst, int64(len(dst)), off)
}

// view is View of n bytes; dst may be nil, and then a want of memory is an error.
func (f *File) view(ctx context.Context, dst []byte, n, off int64) (*View, error) {
	if off < 0 {
		return nil, fs.ErrInvalid
	}
	if damaged := f.damaged.Load(); damaged != nil {
		return nil, *damaged
	}
	size := f.object.version.Size
	if off >= size {
		return nil, io.EOF
	}
	n = min(n, size-off, maxRead)
	v := f.pool.views.Get().(*View)
	v.file = f
	v.reading = reading{off: off, end: off + n, pins: v.pinStore[:0]}
	v.pieces = v.pieceStore[:0]
	err := f.begin(&v.reading)
	if errors.Is(err, errNoMemory) {
		f.pool.reclaim(n + 2*cache.BlockSize)
		err = f.begin(&v.reading)
	}
	if errors.Is(err, errNoMemory) && dst != nil {
		return v.direct(ctx, dst[:n])
	}
	if err != nil {
		v.recycle()
		return nil, err
	}
	if err := v.fill(ctx); err != nil {
		f.lapse(err)
		v.failed = true
		v.Release()
		return nil, err
	}
	f.volume.Add(n)
	return v, nil
}

// Ready is a View of the whole of a small object if all of it is in memory already, and nil if a read would
// have to wait. It counts as the reading of the file.
func (f *File) Ready() *View {
	o := f.object
	if o.version.Size == 0 || o.version.Size > aheadLimit || !o.ready() {
		return nil
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel() // what leaves the store just now is not waited for
	v, err := f.view(gone, nil, o.version.Size, 0)
	if err != nil {
		return nil
	}
	return v
}

// ready says whether every block is there.
func (o *object) ready() bool {
	o.lock()
	defer o.unlock()
	for i := range o.blocks {
		if s := o.slots[i]; s != nil && s.fetch == nil || s == nil && o.pool.ranges.Has(o.version, i) {
			continue
		}
		return false
	}
	return true
}

// Slices are the bytes. They are valid until Release.
func (v *View) Slices() [][]byte { return v.pieces }

// Len is how many bytes there are.
func (v *View) Len() int { return int(v.end - v.off) }

// Release ends the reading. The View must not be used any more.
func (v *View) Release() {
	if v.window != nil {
		v.file.end(&v.reading)
	}
	v.recycle()
}

func (v *View) recycle() {
	pool := v.file.pool
	clear(v.pinStore[:])
	clear(v.pieceStore[:])
	v.file, v.pieces, v.reading = nil, nil, reading{}
	pool.views.Put(v)
}

// fill waits for the bytes.
func (v *View) fill(ctx context.Context) error {
	f := v.file
	if v.first {
		f.pool.trails.follow(f)
	}
	v.pieces = slices.Grow(v.pieces, len(v.pins))
	for i := range v.pins {
		piece, err := f.piece(ctx, &v.reading, i)
		if err != nil {
			return err
		}
		v.pieces = append(v.pieces, piece)
	}
	if !v.whole {
		return nil
	}
	err := f.object.verify(ctx)
	if errors.Is(err, ErrCorrupt) {
		f.damaged.Store(&err)
	}
	return err
}

// direct reads into dst: there is no memory for blocks.
func (v *View) direct(ctx context.Context, dst []byte) (*View, error) {
	f := v.file
	v.window = nil
	n, err := f.object.readDirect(ctx, dst, v.off)
	if err != nil {
		f.lapse(err)
		v.recycle()
		return nil, err
	}
	f.volume.Add(int64(n))
	v.pieces = append(v.pieces, dst[:n])
	return v, nil
}

// lapse notes that the object was replaced, when that is what an error says. A kernel asks several times for what it did not get, and others may do so for as
// long as they have the file open.
func (f *File) lapse(err error) {
	if errors.Is(err, ErrStale) {
		f.stale.CompareAndSwap(nil, &err)
	}
}

// piece waits for what r wants of its i-th block.
func (f *File) piece(ctx context.Context, r *reading, i int) ([]byte, error) {
	p := &r.pins[i]
	start := p.index * cache.BlockSize
	from, to := int(max(r.off-start, 0)), int(min(r.end-start, cache.BlockSize))
	if p.block == nil {
		if err := f.object.await(ctx, p, to); err != nil {
			return nil, err
		}
	}
	return p.block.Bytes()[from:to], nil
}
