package ossclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// GetRequest asks for an object's bytes.
type GetRequest struct {
	Key     Key
	IfMatch ETag  // empty: whatever version is there
	Offset  int64 // of the first byte
	Length  int64 // in bytes; negative: to the end. With 0 nothing is asked and nothing given.
}

// Get opens an object, or a range of it (GetObject). A range that runs past the end gives what is
// there; one that begins past the end fails with ErrRange, another ETag with ErrPrecondition. The body
// must be closed; ctx governs it, too.
func (b *Bucket) Get(ctx context.Context, g GetRequest) (*Body, error) {
	op := opGet
	if err := b.checkVersion(op, g.Key, g.IfMatch); err != nil {
		return nil, err
	}
	if g.Offset < 0 {
		return nil, b.invalid(op, g.Key, "negative offset")
	}
	body := &Body{bucket: b, ctx: ctx, req: g, retry: newRetry(b.cfg.RetryBudget)}
	if g.Length == 0 {
		body.err = io.EOF
		return body, nil
	}
	r := body.request()
	a, err := b.do(ctx, r)
	if err != nil {
		return nil, err
	}
	total, err := body.check(a)
	if err != nil {
		e := b.nonsense(r, a, err)
		b.tell(a, e, true)
		a.release()
		return nil, e
	}
	body.Object = objectOf(g.Key, total, a.header)
	body.length = a.length
	body.verify = a.length == total && body.Object.HasCRC64
	body.answer = a
	return body, nil
}

// rangeStandard has OSS answer a range past the end as HTTP does. Headers of many requests share it: none changes it.
var rangeStandard = []string{"standard"}

// request asks for what is still missing.
func (y *Body) request() *request {
	var h http.Header // none: a whole object is asked for with the signature's headers alone
	first, last := y.req.Offset+y.off, int64(-1)
	if y.req.Length >= 0 {
		last = y.req.Offset + y.req.Length - 1
	}
	if first > 0 || last >= 0 {
		h = make(http.Header, 3)
		v := make([]byte, 0, 48)
		v = append(v, "bytes="...)
		v = strconv.AppendInt(v, first, 10)
		v = append(v, '-')
		if last >= 0 {
			v = strconv.AppendInt(v, last, 10)
		}
		h["Range"] = []string{string(v)}
		h["X-Oss-Range-Behavior"] = rangeStandard
	}
	match := y.req.IfMatch
	if match == "" {
		match = y.Object.ETag // of a body that goes on
	}
	if match != "" {
		if h == nil {
			h = make(http.Header, 1)
		}
		h["If-Match"] = []string{`"` + string(match) + `"`}
	}
	return &request{op: opGet, key: y.req.Key, header: h}
}

// check finds out whether an answer is the range that was asked for, and the object's size.
func (y *Body) check(a *answer) (total int64, err error) {
	if a.length < 0 {
		return 0, errors.New("the answer has no Content-Length")
	}
	if a.status == http.StatusOK {
		if y.req.Offset+y.off > 0 || y.req.Length >= 0 && a.length > y.req.Length {
			return 0, errors.New("the answer is the whole object, not the range asked for")
		}
		return a.length, nil
	}
	span := a.header.Get("Content-Range")
	first, last, total, ok := parseContentRange(span)
	if !ok || first != y.req.Offset+y.off || last-first+1 != a.length {
		return 0, fmt.Errorf("the answer's Content-Range %s is not what was asked for", strconv.Quote(span))
	}
	return total, nil
}

// nonsense is the error of an answer that is not one to the request.
func (b *Bucket) nonsense(r *request, a *answer, err error) *Error {
	e := b.newError(r, err)
	e.Kind, e.Status, e.RequestID = ErrUnavailable, a.status, a.header.Get("X-Oss-Request-Id")
	return e
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	s, ok1 := strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	a, z, ok3 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(a, 10, 64)
	last, err2 := strconv.ParseInt(z, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	ok = ok1 && ok2 && ok3 && err1 == nil && err2 == nil && err3 == nil
	return first, last, total, ok && first >= 0 && first <= last && last < total
}
