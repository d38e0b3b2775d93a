package ossclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// GetRequest asks for an object's bytes.
type GetRequest struct {
	Key     Key
	IfMatch ETag  // empty: whatever version is there
	Offset  int64 // of the first byte
	Length  int64 // in bytes; negative: to the end. 0 at Offset with nothing there is no error.
}

// Body is the bytes of a GET. It is for one goroutine. A connection that breaks is replaced and
// reading goes on at the byte where it broke, of the same version.
type Body struct {
	Object Object // as the answer's headers describe it; Size is the whole object's

	bucket *Bucket
	ctx    context.Context
	req    GetRequest
	start  int64 // offset of the first byte in the object
	length int64 // bytes in all
	off    int64 // bytes given so far
	verify bool  // the whole object is read, and its checksum is known
	sum    crc.Digest
	answer *answer
	retry  *retry
	err    error // the end: what every further Read returns
}

var _ io.ReadCloser = (*Body)(nil)

// Get opens an object, or a range of it (GetObject). A range that runs past the end gives what is
// there; one that begins past the end fails with ErrRange. The body must be closed.
func (b *Bucket) Get(ctx context.Context, g GetRequest) (*Body, error) {
	op := opGet()
	if err := b.checkKey(op, g.Key); err != nil {
		return nil, err
	}
	if g.Offset < 0 {
		return nil, b.invalid(op, g.Key, "negative offset")
	}
	body := &Body{bucket: b, ctx: ctx, req: g, start: g.Offset, retry: newRetry(b.cfg.RetryBudget)}
	if g.Length == 0 {
		body.err = io.EOF
		return body, nil
	}
	a, err := b.do(ctx, body.request())
	if err != nil {
		return nil, err
	}
	if err := body.begin(a); err != nil {
		a.close()
		return nil, err
	}
	return body, nil
}

// request asks for what is still missing.
func (y *Body) request() *request {
	h := make(http.Header, 8)
	first, last := y.start+y.off, int64(-1)
	if y.req.Length >= 0 {
		last = y.req.Offset + y.req.Length - 1
	}
	if first > 0 || last >= 0 {
		v := "bytes=" + strconv.FormatInt(first, 10) + "-"
		if last >= 0 {
			v += strconv.FormatInt(last, 10)
		}
		h["Range"] = []string{v}
		h["X-Oss-Range-Behavior"] = []string{"standard"}
	}
	match := y.req.IfMatch
	if match == "" {
		match = y.Object.ETag
	}
	if match != "" {
		h["If-Match"] = []string{`"` + string(match) + `"`}
	}
	return &request{op: opGet(), key: y.req.Key, header: h}
}

// begin reads the first answer.
func (y *Body) begin(a *answer) error {
	total, err := y.check(a)
	if err != nil {
		return err
	}
	y.Object = objectOf(y.req.Key, total, a.header)
	y.length = a.length
	y.verify = a.status == http.StatusOK && y.Object.HasCRC64 && y.Object.Metadata.ContentEncoding == ""
	y.answer = a
	return nil
}

// check finds out whether the answer is the range that was asked for, and the object's size.
func (y *Body) check(a *answer) (total int64, err error) {
	e := y.bucket.newError(&request{op: opGet(), key: y.req.Key}, nil)
	e.Kind, e.Status, e.RequestID = ErrUnavailable, a.status, a.header.Get("X-Oss-Request-Id")
	if a.length < 0 {
		e.Err = errors.New("the answer has no Content-Length")
		return 0, e
	}
	if a.status == http.StatusOK {
		if y.start+y.off > 0 || y.req.Length >= 0 && a.length > y.req.Length {
			e.Err = errors.New("the answer is the whole object, not the range asked for")
			return 0, e
		}
		return a.length, nil
	}
	first, last, total, ok := parseContentRange(a.header.Get("Content-Range"))
	if !ok || first != y.start+y.off || last-first+1 != a.length {
		e.Err = fmt.Errorf("the answer's Content-Range %q is not the range asked for", a.header.Get("Content-Range"))
		return 0, e
	}
	return total, nil
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, size, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, 0, false
	}
	a, z, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, 0, false
	}
	first, err1 := strconv.ParseInt(a, 10, 64)
	last, err2 := strconv.ParseInt(z, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	return first, last, total, err1 == nil && err2 == nil && err3 == nil && first >= 0 && first <= last && last < total
}

// Read gives the next bytes. Every error but io.EOF is an *Error; ErrCorrupt instead of io.EOF means
// that the bytes given are not what was stored.
func (y *Body) Read(p []byte) (int, error) {
	for y.err == nil {
		if y.off == y.length {
			y.finish()
			break
		}
		if len(p) == 0 {
			return 0, nil
		}
		p = p[:min(int64(len(p)), y.length-y.off)]
		n, err := y.answer.reader().Read(p)
		y.off += int64(n)
		y.bucket.counters.received.Add(int64(n))
		if y.verify {
			y.sum.Write(p[:n])
		}
		if n > 0 {
			y.retry.renew()
			return n, nil
		}
		if err != nil {
			y.resume(err)
		}
	}
	return 0, y.err
}

// resume asks for the rest after the connection broke.
func (y *Body) resume(cause error) {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	y.answer.close()
	y.answer = nil
	r := y.request()
	f := y.bucket.broken(y.ctx, r, cause)
	wait, again := y.retry.next(f)
	if !again {
		y.bucket.failed(y.ctx, f.err)
		y.err = f.err
		return
	}
	if !sleep(y.ctx, wait) {
		y.err = y.bucket.canceled(y.ctx, r)
		return
	}
	y.bucket.counters.resumes.Add(1)
	a, err := y.bucket.do(y.ctx, r)
	if err != nil {
		y.err = err
		return
	}
	if _, err := y.check(a); err == nil && a.length == y.length-y.off {
		y.answer = a
		return
	}
	a.close()
	f.err.Err = errors.New("the rest of the object is not what was asked for")
	y.err = f.err
}

// finish compares the checksum once all is read.
func (y *Body) finish() {
	y.err = io.EOF
	if y.verify && y.sum.Sum64() != y.Object.CRC64 {
		y.bucket.counters.corrupt.Add(1)
		e := y.bucket.newError(y.request(), &corruption{"object", y.sum.Sum64(), y.Object.CRC64})
		e.Kind, e.RequestID = ErrCorrupt, y.answer.header.Get("X-Oss-Request-Id")
		y.bucket.failed(y.ctx, e)
		y.err = e
	}
	y.answer.close()
	y.answer = nil
}

// Close gives the connection back. It never fails.
func (y *Body) Close() error {
	if y.answer != nil {
		y.answer.close()
		y.answer = nil
	}
	if y.err == nil {
		y.err = errClosed
	}
	return nil
}

var errClosed = errors.New("read of a closed body")

// close ends an answer whose body was handed on.
func (a *answer) close() {
	a.body.Close()
	a.watch.stop()
}
