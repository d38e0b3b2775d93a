package store

import (
	"errors"
	"io"
	"os"
)

const (
	chunkSize = 1 << 20   // bytes of memory blobs, and of a stage's buffer
	packLimit = 128 << 10 // blobs up to this size share a file
)

// Stage takes the bytes of a content that is being received. Nothing sees them until the content is put
// in an Update. It is for one goroutine.
type Stage struct {
	store *Store
	size  int64 // bytes so far
	hint  int64 // bytes expected; -1: unknown

	// memory
	chunks [][]byte

	// disk
	buf  []byte
	fill int
	file *os.File
	id   uint64
	done int64 // bytes in the file
}

// Stage begins a content. hint is the number of bytes expected, or -1.
func (s *Store) Stage(hint int64) *Stage { return &Stage{store: s, hint: hint} }

// Next returns room for the next bytes; never empty. What is put there counts after Advance.
func (t *Stage) Next() []byte {
	if t.store.disk != nil {
		if t.buf == nil {
			t.buf = make([]byte, t.room())
		} else if t.fill == len(t.buf) { // more comes than was expected
			t.buf = append(t.buf, make([]byte, chunkSize)...)
		}
		return t.buf[t.fill:]
	}
	if n := len(t.chunks); n > 0 && t.size < int64(n)*chunkSize && len(t.chunks[n-1]) == cap(t.chunks[n-1]) && cap(t.chunks[n-1]) < chunkSize {
		grown := make([]byte, len(t.chunks[n-1]), chunkSize) // the hint was too small
		copy(grown, t.chunks[n-1])
		t.chunks[n-1] = grown
	} else if n == 0 || len(t.chunks[n-1]) == cap(t.chunks[n-1]) {
		t.chunks = append(t.chunks, make([]byte, 0, t.room()))
	}
	last := t.chunks[len(t.chunks)-1]
	return last[len(last):cap(last)]
}

// room is how much to allocate for what is still to come.
func (t *Stage) room() int64 {
	if left := t.hint - t.size; t.hint >= 0 && left > 0 && left < chunkSize {
		return left
	}
	if t.hint < 0 && t.size == 0 && t.store.disk == nil {
		return 64 << 10
	}
	return chunkSize
}

// Advance says that the first n bytes of what Next gave have been filled.
func (t *Stage) Advance(n int) error {
	t.size += int64(n)
	if t.store.disk == nil {
		last := &t.chunks[len(t.chunks)-1]
		*last = (*last)[:len(*last)+n]
		return nil
	}
	t.fill += n
	if t.fill < len(t.buf) || t.size == t.hint && t.file == nil && t.size <= packLimit {
		return nil
	}
	return t.spill()
}

// spill writes the buffer to the stage's file.
func (t *Stage) spill() error {
	if t.file == nil {
		f, id, err := t.store.disk.createBlob()
		if err != nil {
			return err
		}
		t.file, t.id = f, id
	}
	if err := t.store.disk.writeAt(t.file, t.buf[:t.fill], t.done); err != nil {
		return err
	}
	t.done += int64(t.fill)
	t.fill = 0
	if t.hint >= 0 && t.hint-t.size > 0 && t.hint-t.size < int64(len(t.buf)) {
		t.buf = t.buf[:t.hint-t.size]
	}
	return nil
}

// Write takes p.
func (t *Stage) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := copy(t.Next(), p[done:])
		if err := t.Advance(n); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// Finish returns what was staged, with one reference.
func (t *Stage) Finish() (*Content, error) {
	b := &blob{size: t.size}
	switch {
	case t.size == 0:
		return newContent(t.store, nil), nil
	case t.store.disk == nil:
		b.place, b.mem = inMemory, t.chunks
	case t.file == nil && t.fill <= packLimit:
		if err := t.store.disk.pack(b, t.buf[:t.fill]); err != nil {
			return nil, err
		}
	default:
		if t.fill > 0 || t.file == nil {
			if err := t.spill(); err != nil {
				return nil, err
			}
		}
		if err := t.file.Close(); err != nil {
			return nil, err
		}
		t.file = nil
		b.place, b.id = inFile, t.id
	}
	t.buf = nil
	return newContent(t.store, []segment{{b, 0, t.size}}), nil
}

// Discard gives up what was staged. After Finish it does nothing.
func (t *Stage) Discard() {
	if t.file == nil {
		return
	}
	_ = t.file.Close() // its bytes are not wanted
	_ = t.store.disk.remove(t.store.disk.blobName(t.id))
	t.file = nil
}

var _ io.Writer = (*Stage)(nil)

// ErrClosed: the store was closed.
var ErrClosed = errors.New("store is closed")
