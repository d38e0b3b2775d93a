package ossclient

import (
	"context"
	"errors"
	"io"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// maxHeld is how large a whole object may be to be verified before its first byte is given, whatever
// buffer it is read into.
const maxHeld = 1 << 20

// Body is the bytes of a GET. It is for one goroutine. A connection that breaks is replaced, and reading
// goes on at the byte where it broke, of the same version.
//
// When a whole object was asked for, its checksum is compared. If it is at most 1 MiB, or fits into the
// buffer of the first Read, that is done before any byte is given, and a mismatch is repaired by asking
// again. Otherwise the bytes are given as they come, and a mismatch is ErrCorrupt in place of the last of them.
type Body struct {
	// Object is what the answer's headers say; its Size is the whole object's.
	Object Object

	bucket *Bucket
	ctx    context.Context
	req    GetRequest
	length int64 // bytes in all
	off    int64 // bytes taken from the network so far
	verify bool  // the whole object is read, and its checksum is known
	sum    crc.Digest
	held   []byte // verified bytes not given yet
	answer *answer
	retry  *retry
	err    error // the end: what every further Read returns
}

var _ io.ReadCloser = (*Body)(nil)

// Len is how many bytes the body has in all.
func (y *Body) Len() int64 { return y.length }

// Read gives the next bytes. Every error but io.EOF is an *Error.
func (y *Body) Read(p []byte) (int, error) {
	if len(y.held) > 0 {
		n := copy(p, y.held)
		y.held = y.held[n:]
		return n, nil
	}
	switch {
	case y.err != nil:
		return 0, y.err
	case y.off == y.length:
		y.end(io.EOF)
		return 0, y.err
	case len(p) == 0:
		return 0, nil
	case y.verify && y.off == 0 && int64(len(p)) >= y.length:
		return y.whole(p[:y.length])
	case y.verify && y.off == 0 && y.length <= maxHeld:
		held := make([]byte, y.length)
		if _, err := y.whole(held); err != nil {
			return 0, err
		}
		n := copy(p, held)
		y.held = held[n:]
		return n, nil
	}
	return y.some(p)
}

// some reads what the connection has, and brings a new connection when it breaks.
func (y *Body) some(p []byte) (int, error) {
	p = p[:min(int64(len(p)), y.length-y.off)]
	for y.err == nil {
		n, err := y.answer.reader().Read(p)
		y.off += int64(n)
		if y.verify {
			y.sum.Write(p[:n])
		}
		if y.off == y.length {
			if e := y.mismatch(); e != nil {
				y.bucket.failed(y.ctx, e)
				y.end(e)
				return 0, e
			}
			return n, nil
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			y.resume(err)
		}
	}
	return 0, y.err
}

// whole fills p with the whole object and gives it only when its checksum is right.
func (y *Body) whole(p []byte) (int, error) {
	for {
		for y.off < y.length && y.err == nil {
			piece := p[y.off:y.length]
			n, err := y.answer.reader().Read(piece)
			y.off += int64(n)
			y.sum.Write(piece[:n])
			if err != nil && y.off < y.length {
				y.resume(err)
			}
		}
		if y.err != nil {
			return 0, y.err
		}
		e := y.mismatch()
		if e == nil {
			return len(p), nil
		}
		y.off = 0
		y.sum.Reset()
		if y.again(&failure{err: e, retry: true, answer: y.answer}); y.err != nil {
			return 0, y.err
		}
	}
}

// mismatch compares the checksum once all is read.
func (y *Body) mismatch() *Error {
	if !y.verify || y.sum.Sum64() == y.Object.CRC64 {
		return nil
	}
	y.bucket.counters.corrupt.Add(1)
	e := y.bucket.corrupt(y.request(), &corruption{"object", y.sum.Sum64(), y.Object.CRC64})
	e.RequestID = y.answer.header.Get("X-Oss-Request-Id")
	return e
}

// resume asks for the rest after the connection broke.
func (y *Body) resume(cause error) {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if y.answer.received > 0 {
		y.retry.renew() // it moved: the budget is for standing still
	}
	f := y.bucket.broken(y.ctx, y.answer.req, cause)
	f.answer = y.answer
	y.again(f)
}

// again brings a new answer that begins at y.off, or sets y.err.
func (y *Body) again(f *failure) {
	wait, again := y.retry.next(f)
	y.answer.release()
	y.bucket.tell(y.answer, f.err, !again)
	y.answer = nil
	r := y.request()
	switch {
	case !again:
		y.bucket.failed(y.ctx, f.err)
		y.err = f.err
		return
	case !sleep(y.ctx, wait):
		y.err = y.bucket.canceled(y.ctx, r, f.err)
		return
	}
	a, err := y.bucket.do(y.ctx, r)
	if err != nil {
		y.err = err
		return
	}
	if _, err = y.check(a); err == nil && a.length != y.length-y.off {
		err = errors.New("the answer is not the rest of the object")
	}
	if err != nil {
		e := y.bucket.nonsense(r, a, err)
		y.bucket.tell(a, e, true)
		a.release()
		y.err = e
		return
	}
	y.answer = a
	y.bucket.counters.resumes.Add(1)
}

// end gives the connection back and remembers what every further Read returns.
func (y *Body) end(err error) {
	y.err = err
	if y.answer == nil {
		return
	}
	a := y.answer
	y.answer = nil
	a.release()
	e, _ := errors.AsType[*Error](err)
	y.bucket.tell(a, e, true)
}

// Close gives the connection back. It never fails.
func (y *Body) Close() error {
	if y.err == nil || y.answer != nil {
		y.end(errClosed)
	}
	y.held = nil
	return nil
}

var errClosed = errors.New("read of a closed body")
