package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
)

// blob is a run of bytes that never changes. Which field says where it lies depends on its place.
type blob struct {
	id   uint64
	size int64
	refs atomic.Int64 // contents that use it; only blobs on disk are counted

	place place
	mem   [][]byte // inMemory: all but the last of chunkSize
	pack  *pack    // inPack
	at    int64    // inPack: where it begins
	seed  uint64   // synthetic
}

type place uint8

const (
	inMemory place = iota
	inFile
	inPack
	synthetic
)

// segment is a part of a blob.
type segment struct {
	blob     *blob
	off, len int64
}

// Content is the bytes of an object or a part: counted, and never changed.
type Content struct {
	store *Store
	size  int64
	segs  []segment
	refs  atomic.Int64

	once sync.Once
	crc  uint64 // of a synthetic content, after once
}

// newContent makes a content with one reference, the caller's.
func newContent(s *Store, segs []segment) *Content {
	c := &Content{store: s, segs: segs}
	c.refs.Store(1)
	for _, g := range segs {
		c.size += g.len
		g.blob.refs.Add(1)
	}
	return c
}

// Size is the number of bytes.
func (c *Content) Size() int64 { return c.size }

// Acquire adds a reference. It must be called while another one is known to exist: the caller's own, or,
// within View and Update, that of an object or part found there.
func (c *Content) Acquire() *Content {
	c.refs.Add(1)
	return c
}

// Release gives a reference back; after the last one the content's space may be used again.
func (c *Content) Release() {
	if c == nil || c.refs.Add(-1) != 0 {
		return
	}
	for _, g := range c.segs {
		if g.blob.refs.Add(-1) == 0 {
			c.store.discard(g.blob)
		}
	}
}

// discard gives the space of a blob that nobody uses back. A failure leaves a file that the next start removes.
func (s *Store) discard(b *blob) {
	if s.disk == nil || s.disk.loading {
		return
	}
	switch b.place {
	case inFile:
		_ = s.disk.remove(s.disk.blobName(b.id))
	case inPack:
		s.disk.unpack(b)
	}
}

// Slice returns bytes off to off+n as a content with one reference, sharing blobs with c.
func (c *Content) Slice(off, n int64) *Content {
	var segs []segment
	c.each(off, n, func(g segment) error {
		segs = append(segs, g)
		return nil
	})
	return newContent(c.store, segs)
}

// Join returns the contents one after another as one with one reference, sharing blobs with them.
func (s *Store) Join(parts ...*Content) *Content {
	var segs []segment
	for _, p := range parts {
		if p != nil {
			segs = append(segs, p.segs...)
		}
	}
	return newContent(s, segs)
}

// each calls f for the segments that make bytes off to off+n.
func (c *Content) each(off, n int64, f func(segment) error) error {
	for _, g := range c.segs {
		if n <= 0 {
			return nil
		}
		if off >= g.len {
			off -= g.len
			continue
		}
		part := segment{g.blob, g.off + off, min(g.len-off, n)}
		if err := f(part); err != nil {
			return err
		}
		off, n = 0, n-part.len
	}
	return nil
}

// Write writes bytes off to off+n to w. A w that can read a file itself (a net/http response over TCP does)
// gets the file, so that the kernel moves the bytes.
func (c *Content) Write(w io.Writer, off, n int64) error {
	if off < 0 || n < 0 || off+n > c.size {
		return fmt.Errorf("range %d+%d outside %d bytes", off, n, c.size)
	}
	return c.each(off, n, func(g segment) error { return c.store.writeSegment(w, g) })
}

func (s *Store) writeSegment(w io.Writer, g segment) error {
	switch g.blob.place {
	case inMemory:
		return writeChunks(w, g)
	case inFile:
		f, err := os.Open(s.disk.blobName(g.blob.id))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Seek(g.off, io.SeekStart); err != nil {
			return err
		}
		return copyExactly(w, f, g.len)
	case inPack:
		buf := make([]byte, g.len)
		if _, err := g.blob.pack.f.ReadAt(buf, g.blob.at+g.off); err != nil {
			return err
		}
		_, err := w.Write(buf)
		return err
	case synthetic:
		return writeSynthetic(w, g)
	}
	return errors.New("blob without a place")
}

func copyExactly(w io.Writer, f *os.File, n int64) error {
	m, err := io.Copy(w, &io.LimitedReader{R: f, N: n})
	if err == nil && m < n {
		return io.ErrUnexpectedEOF
	}
	return err
}

func writeChunks(w io.Writer, g segment) error {
	i, off, left := g.off/chunkSize, g.off%chunkSize, g.len
	for ; left > 0; i++ {
		p := g.blob.mem[i][off:]
		p = p[:min(int64(len(p)), left)]
		if _, err := w.Write(p); err != nil {
			return err
		}
		left -= int64(len(p))
		off = 0
	}
	return nil
}

// Bytes returns all of the content.
func (c *Content) Bytes() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(c.size))
	err := c.Write(&b, 0, c.size)
	return b.Bytes(), err
}

// lazy reports whether the checksum is computed when it is asked for.
func (c *Content) lazy() bool {
	return len(c.segs) == 1 && c.segs[0].blob.place == synthetic && c.segs[0].len == c.segs[0].blob.size
}

func (c *Content) syntheticCRC() uint64 {
	c.once.Do(func() {
		var sum crcWriter
		_ = c.Write(&sum, 0, c.size) // a crcWriter does not fail
		c.crc = uint64(sum)
	})
	return c.crc
}

type crcWriter uint64

func (w *crcWriter) Write(p []byte) (int, error) {
	*w = crcWriter(crc.Update(uint64(*w), p))
	return len(p), nil
}
