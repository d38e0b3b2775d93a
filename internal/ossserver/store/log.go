package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// The log is the magic and then frames: length and CRC-32C of the payload (four bytes each, little
// end first), and the payload, which is one transaction's changes (see record.go).
const (
	logMagic     = "OSSfs server log 1\n"
	frameHeader  = 8
	maxFrameSize = 1 << 30
)

// log appends transactions to the index file. It is guarded by Store.mu.
type log struct {
	disk    *disk
	f       *os.File
	size    int64
	records int64 // frames, living or not
	buf     []byte
	broken  error // after a failed append nothing may be appended any more
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// append writes one frame with one write.
func (l *log) append(changes []change) error {
	if l.broken != nil {
		return l.broken
	}
	l.buf = appendFrame(l.buf[:0], changes)
	if err := l.disk.writeAt(l.f, l.buf, l.size); err != nil {
		// Part of the frame may be there; a shorter one written over it would leave its tail.
		l.broken = fmt.Errorf("index log: %w", err)
		return l.broken
	}
	l.size += int64(len(l.buf))
	l.records++
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return nil
}

func appendFrame(buf []byte, changes []change) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, frameHeader)...)
	e := encoder{buf}
	for _, c := range changes {
		e.change(c)
	}
	buf = e.buf
	payload := buf[start+frameHeader:]
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(buf[start+4:], crc32.Checksum(payload, castagnoli()))
	return buf
}

// readLog calls f with each whole frame's payload and returns where the last one ends. A torn or damaged
// frame ends the log: what follows was never acknowledged, or was lost with the power.
func readLog(r io.Reader, f func(payload []byte) error) (end, frames int64, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	magic := make([]byte, len(logMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return 0, 0, ignoreEOF(err)
	}
	if string(magic) != logMagic {
		return 0, 0, errors.New("not an index log of this program")
	}
	end = int64(len(logMagic))
	var header [frameHeader]byte
	var payload []byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return end, frames, ignoreEOF(err)
		}
		n, sum := binary.LittleEndian.Uint32(header[:]), binary.LittleEndian.Uint32(header[4:])
		if n == 0 || n > maxFrameSize {
			return end, frames, nil
		}
		if payload, err = readPayload(in, payload, int(n)); err != nil {
			return end, frames, ignoreEOF(err)
		}
		if crc32.Checksum(payload, castagnoli()) != sum {
			return end, frames, nil
		}
		if err := f(payload); err != nil {
			return end, frames, err
		}
		end += frameHeader + int64(n)
		frames++
	}
}

// readPayload reads n bytes, growing as they come: a damaged length must not cost its memory.
func readPayload(in io.Reader, buf []byte, n int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		step := min(n-len(buf), max(cap(buf)-len(buf), 64<<10))
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(in, buf[len(buf)-step:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// openLog replays the index into s and opens it for appending.
func (s *Store) openLog() error {
	f, err := os.OpenFile(s.disk.indexName(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l := newLoader(s)
	end, frames, err := readLog(f, l.frame)
	if err == nil && end == 0 {
		end = int64(len(logMagic))
		err = s.disk.writeAt(f, []byte(logMagic), 0)
	}
	if err == nil {
		err = f.Truncate(end) // what is torn was never acknowledged
	}
	if err != nil {
		_ = f.Close() // the other error says more
		return fmt.Errorf("index log %s: %w", f.Name(), err)
	}
	s.log = &log{disk: s.disk, f: f, size: end, records: frames}
	return l.finish()
}

// rewriteLog replaces the log by one that says only what is.
func (s *Store) rewriteLog() error {
	name := filepath.Join(s.disk.dir, "index.tmp")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	l := &log{disk: s.disk, f: f}
	if err := s.writeSnapshot(l); err != nil {
		_ = f.Close() // the other error says more
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := s.disk.allowed("rename", 0); err != nil {
		return err
	}
	if err := os.Rename(name, s.disk.indexName()); err != nil {
		return err
	}
	old := s.log.f
	s.log = l
	return old.Close()
}

// writeSnapshot writes all that is, in frames gathered into large writes.
func (s *Store) writeSnapshot(l *log) error {
	buf := []byte(logMagic)
	flush := func() error {
		err := l.disk.writeAt(l.f, buf, l.size)
		l.size += int64(len(buf))
		buf = buf[:0]
		return err
	}
	var failed error
	s.eachChange(func(c change) bool {
		buf = appendFrame(buf, []change{c})
		l.records++
		if len(buf) >= 1<<20 {
			failed = flush()
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return flush()
}
