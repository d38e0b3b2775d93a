package ossclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxErrorBytes bounds an error document.
const maxErrorBytes = 64 << 10

// failure is an attempt that failed, with what the retry needs to know.
type failure struct {
	err       *Error
	retry     bool
	throttle  bool
	ambiguous bool          // the request may have had its effect
	after     time.Duration // the server's Retry-After
	skew      time.Duration // how far the server's clock is ahead, when that is the trouble
	skewed    bool
	limit     time.Duration // a shorter budget than the configured one; 0: none
	answer    *answer       // what came of the attempt, for the observer; may be nil
	wrong     bool          // the answer came whole and is wrong: repeated a few times only
	final     bool          // no other attempt follows
}

// errorDocument is the body of an error answer. It is also sent base64-encoded as x-oss-err, which is
// all there is to a HEAD (https://help.aliyun.com/en/oss/developer-reference/headobject).
type errorDocument struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	Message    string
	RequestID  string `xml:"RequestId"`
	EC         string
	ServerTime string
	Endpoint   string
}

// refused makes a failure of an answer that is not 2xx, and reads its body.
func (b *Bucket) refused(ctx context.Context, r *request, a *answer) *failure {
	body, err := io.ReadAll(io.LimitReader(a.reader(), maxErrorBytes))
	if ctx.Err() != nil {
		return &failure{err: b.canceled(ctx, r, nil), answer: a}
	}
	if len(body) == 0 {
		body, _ = base64.StdEncoding.DecodeString(a.header.Get("X-Oss-Err")) // absent or damaged: the status has to do
	}
	var doc errorDocument
	if xml.Unmarshal(body, &doc) != nil {
		doc = errorDocument{} // not OSS's: a proxy's page perhaps
	}
	e := b.newError(r, nil)
	e.Status, e.Code, e.EC, e.Message = a.status, doc.Code, doc.EC, doc.Message
	e.RequestID = cmp.Or(a.header.Get("X-Oss-Request-Id"), doc.RequestID)
	e.EC = cmp.Or(e.EC, a.header.Get("X-Oss-Ec"))
	e.elsewhere = doc.Endpoint
	if e.Code == "" {
		e.Err = err
	}
	c := classOf(e.Status, e.Code)
	e.Kind = c.kind
	f := &failure{err: e, retry: c.retry, throttle: c.throttle, after: retryAfter(a.header), answer: a}
	f.ambiguous = e.Status >= 500 && (!c.throttle || e.Code == "") || e.Status == http.StatusRequestTimeout // a 503 without a code is a gateway's, which knows nothing
	if e.Code == "RequestTimeTooSkewed" || e.Status == http.StatusForbidden && e.Code == "" {
		f.skew, f.skewed = b.serverAhead(doc, a.header)
	}
	return f
}

// maxSkew is how far OSS lets clocks be apart, less a little.
const maxSkew = 14 * time.Minute

// serverAhead reads the server's clock from an answer, and tells whether it explains the refusal: a 403
// to a HEAD may have nothing but its Date.
func (b *Bucket) serverAhead(doc errorDocument, h http.Header) (time.Duration, bool) {
	t, err := time.Parse(time.RFC3339, doc.ServerTime)
	if err != nil {
		t, err = http.ParseTime(h.Get(headerDate))
	}
	if err != nil {
		return 0, false
	}
	return time.Until(t), doc.Code != "" || t.Sub(b.now()).Abs() > maxSkew
}

// retryAfter reads the header in its form of seconds; a date is not used by OSS.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}

// broken makes a failure of an error that is no answer of OSS: the network's, the context's, the
// reader's of the body.
func (b *Bucket) broken(ctx context.Context, r *request, err error) *failure {
	if ctx.Err() != nil {
		return &failure{err: b.canceled(ctx, r, nil)}
	}
	var final *Error
	if errors.As(err, &final) {
		return &failure{err: final}
	}
	e := b.newError(r, err)
	f := &failure{err: e, retry: true, ambiguous: true}
	e.Kind = ErrUnavailable
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		dns      *net.DNSError
		corrupt  *corruption
		bad      *badAnswer
		notHTTPS tls.RecordHeaderError
		dial     *net.OpError
	)
	switch {
	case errors.As(err, &corrupt):
		e.Kind, f.wrong = ErrCorrupt, true
	case errors.As(err, &bad):
		f.wrong = true
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &notHTTPS):
		f.retry, f.ambiguous = false, false
	case errors.As(err, &dns):
		f.ambiguous = false
		if dns.IsNotFound {
			f.limit = shortBudget
		}
	case errors.As(err, &dial) && dial.Op == "dial":
		f.ambiguous = false
	case errors.Is(err, http.ErrSchemeMismatch): // HTTP spoken on a port we took for HTTPS
		f.retry, f.ambiguous = false, false
	}
	return f
}

// shortBudget is for names that do not exist: a spelling mistake more often than a broken resolver.
const shortBudget = 5 * time.Second

// corruption is a checksum that did not match.
type corruption struct {
	what      string
	got, want uint64
}

func (c *corruption) Error() string {
	return c.what + ": CRC-64 is " + strconv.FormatUint(c.got, 10) + ", want " + strconv.FormatUint(c.want, 10)
}

// badAnswer is an answer that cannot be read although it came whole.
type badAnswer struct{ err error }

func (e *badAnswer) Error() string { return "bad answer: " + e.err.Error() }
func (e *badAnswer) Unwrap() error { return e.err }

// canceled is the error of a caller's context that ended. It carries the context's error and its
// cause; why the last attempt failed, if one did, stands in its words only.
func (b *Bucket) canceled(ctx context.Context, r *request, last *Error) *Error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if last != nil {
		err = fmt.Errorf("%w (the last attempt: %s)", err, last.why())
	}
	e := b.newError(r, err)
	e.Kind = ErrCanceled
	return e
}

// newError begins an error of a request.
func (b *Bucket) newError(r *request, err error) *Error {
	return &Error{Op: r.op.String(), Bucket: b.cfg.Bucket, Key: r.key, Err: err}
}

// invalid is the error of a request that is not worth sending.
func (b *Bucket) invalid(op operation, key Key, why string) *Error {
	return &Error{Op: op.String(), Bucket: b.cfg.Bucket, Key: key, Kind: ErrInvalid, Err: errors.New(why)}
}

// isCode reports whether an error is OSS's answer of that code: for the few places of this package
// where a kind says too little.
func isCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
