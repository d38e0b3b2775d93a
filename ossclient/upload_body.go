package ossclient

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// content is the body of a request: bytes that can be read again and again. Whatever repeats a
// request opens it anew, so that two attempts never share a position.
type content struct {
	reader io.ReaderAt
	size   int64
	summed bool // compute the CRC-64 while it is read
}

// sending is one attempt's pass over a content. net/http reads it in a goroutine that may outlive the
// attempt; after Close it touches the content no more.
type sending struct {
	content content
	upload  *upload

	mu     sync.Mutex // guards the fields below
	off    int64
	sum    crc.Digest
	err    error // why the content could not be read
	closed bool
}

var errBodyClosed = errors.New("body of a request that is over")

var _ io.ReadCloser = (*sending)(nil)

// Read gives the next bytes.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errBodyClosed
	}
	left := s.content.size - s.off
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	n, err := s.content.reader.ReadAt(p, s.off)
	if s.content.summed {
		s.sum.Write(p[:n])
	}
	s.off += int64(n)
	s.upload.count(int64(n))
	switch {
	case n == len(p):
		return n, nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	s.err = err
	return n, err
}

// Close waits for a Read in progress and ends all others.
func (s *sending) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// outcome is the checksum of what was read, how much that was, and why reading failed.
func (s *sending) outcome() (sum uint64, n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum.Sum64(), s.off, s.err
}

// upload is the body of one attempt: all its passes, of which the last counts.
type upload struct {
	content content
	bucket  *Bucket      // which counts them, too; nil: nobody does
	moved   atomic.Int64 // bytes handed out, by all passes

	mu     sync.Mutex // guards the field below
	passes []*sending
}

func (u *upload) open() *sending {
	s := &sending{content: u.content, upload: u}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.passes = append(u.passes, s)
	return s
}

func (u *upload) count(n int64) {
	u.moved.Add(n)
	if u.bucket != nil {
		u.bucket.moved(n, 0)
	}
}

// attach gives a request the body, its length and the means to begin it again.
func (u *upload) attach(r *http.Request) {
	r.ContentLength = u.content.size
	if u.content.size == 0 {
		r.Body = http.NoBody
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return
	}
	r.Body = u.open()
	r.GetBody = func() (io.ReadCloser, error) { return u.open(), nil }
}

// finish ends every pass and gives the last one's outcome.
func (u *upload) finish() (sum uint64, n int64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.passes {
		s.Close()
	}
	if len(u.passes) == 0 {
		return 0, 0, nil
	}
	return u.passes[len(u.passes)-1].outcome()
}
