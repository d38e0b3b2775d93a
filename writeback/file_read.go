package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/extent"
)

// ReadAt reads content as it is now; io.EOF at its end. Bytes that are not staged come from the version
// that is edited.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if !f.wasRead.Load() {
		f.wasRead.Store(true)
	}
	n := 0
	for n < len(p) {
		m, err := f.readPiece(ctx, p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readPiece reads bytes that are all in one place.
func (f *File) readPiece(ctx context.Context, p []byte, off int64) (int, error) {
	f.mu.RLock()
	if off >= f.size {
		f.mu.RUnlock()
		return 0, io.EOF
	}
	end := min(f.size, off+int64(len(p)))
	if missing := f.missingLocked(off, end); len(missing) == 0 || missing[0].Off > off {
		if len(missing) > 0 {
			end = missing[0].Off
		}
		handle := f.f
		if handle == nil {
			f.mu.RUnlock()
			return f.reopen(ctx, p, off)
		}
		defer f.mu.RUnlock()
		return readZero(handle, p[:end-off], off)
	} else {
		end = missing[0].End
	}
	if off < f.limit {
		end = min(end, f.limit)
	}
	base, fill := f.base, f.fill
	inBase := f.inBaseLocked(extent.Range{Off: off, End: end})
	f.mu.RUnlock()
	if !inBase { // sent, and given up here: the upload is completed, and then read
		return 0, f.checkpoint(ctx)
	}
	p = p[:end-off]
	var err error
	if fill != nil {
		err = fill(ctx, p, off)
	} else {
		err = f.s.fetch(ctx, *base, p, off)
	}
	if err == nil {
		return len(p), nil
	}
	if again, werr := f.replaced(ctx, base); werr != nil || again {
		return 0, werr // the caller tries again
	}
	return 0, err
}

// replaced says whether the base that could not be read was replaced by us, and waits for what is on its
// way: between the answer of the bucket and its confirmation the old version is gone already. When no answer was heard, as by a process
// that died, it is asked now what the bucket has.
func (f *File) replaced(ctx context.Context, base *ossclient.Version) (bool, error) {
	s := f.s
	s.mu.RLock()
	key := f.key
	flight, sending := s.inflight[key]
	e, _ := s.v.tree.Get(key)
	unheard := !f.detached && e != nil && (e.trial != nil || s.tried[key] != nil)
	s.mu.RUnlock()
	switch {
	case sending && flight.done != nil:
		select {
		case <-flight.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	case unheard:
		if err := s.syncBucket(ctx, key); err != nil {
			return false, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rebase()
	return f.base == nil || f.base.ETag != base.ETag || f.base.Key != base.Key, nil
}

// Local says whether all of the content is staged, so that reading it asks the bucket for nothing.
func (f *File) Local() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.missingLocked(0, f.size)) == 0
}

// Settle has the bucket get what is nowhere but in an upload that is not completed yet, as another key or none cannot have it:
// afterwards all of the content is staged, or of the object that it changes.
func (f *File) Settle(ctx context.Context) error {
	for {
		f.mu.RLock()
		lost := slices.ContainsFunc(f.missingLocked(0, f.size), func(r extent.Range) bool { return !f.inBaseLocked(r) })
		f.mu.RUnlock()
		if !lost {
			return nil
		}
		if err := f.checkpoint(ctx); err != nil {
			return err
		}
	}
}

// missingLocked are the parts of [off, end) that are not staged: before the limit the base has them, after it only the
// upload in which they were sent. It needs f.mu.
func (f *File) missingLocked(off, end int64) []extent.Range {
	if end = min(end, f.size); off >= end {
		return nil
	}
	return f.local.Missing(off, end)
}

// inBaseLocked says whether the base has all of a range. It needs f.mu.
func (f *File) inBaseLocked(r extent.Range) bool { return f.base != nil && r.End <= f.limit }

func (f *File) reopen(ctx context.Context, p []byte, off int64) (int, error) {
	f.mu.Lock()
	_, err := f.openLocked()
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return f.readPiece(ctx, p, off)
}

// readZero reads from a staged file, whose end may lie before that of the content: then come zeros.
func readZero(handle disk.File, p []byte, off int64) (int, error) {
	n, err := handle.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// fetch reads a range of an object's version.
func (s *Store) fetch(ctx context.Context, v ossclient.Version, p []byte, off int64) error {
	body, err := s.bucket.Get(ctx, ossclient.GetRequest{Key: v.Key, IfMatch: v.ETag, Offset: off, Length: int64(len(p))})
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.ReadFull(body, p); err != nil {
		return fmt.Errorf("writeback: %q at %d: %w", v.Key, off, err)
	}
	return nil
}

// content is the staged file as the body of a request: all of it is local by now.
type content struct {
	f    *File
	off  int64
	sent *sentState // which it must still be; nil: whatever it is
}

// ReadAt gives bytes of the state that is being sent. A write waits meanwhile, or is seen.
func (c content) ReadAt(p []byte, off int64) (int, error) {
	c.f.mu.RLock()
	defer c.f.mu.RUnlock()
	if err := c.sent.overtaken(); err != nil {
		return 0, err
	}
	if c.f.f == nil {
		return 0, ErrClosed
	}
	return readZero(c.f.f, p, c.off+off)
}

// sumOf is the CRC-64 of the first size bytes of a file.
func sumOf(f io.ReaderAt, size int64) (uint64, error) {
	var d crc.Digest
	n, err := io.Copy(&d, io.NewSectionReader(f, 0, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return d.Sum64(), err
}

// sumRanges is the CRC-64 of some ranges of a staged file, one after the other.
func sumRanges(f disk.File, ranges []extent.Range) (uint64, error) {
	var d crc.Digest
	p := make([]byte, 64<<10)
	for _, r := range ranges {
		for at := r.Off; at < r.End; at += int64(len(p)) {
			q := p[:min(int64(len(p)), r.End-at)]
			if _, err := readZero(f, q, at); err != nil {
				return 0, err
			}
			_, _ = d.Write(q) // never fails
		}
	}
	return d.Sum64(), nil
}
