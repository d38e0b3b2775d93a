package ossclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of failure. Each *Error is exactly one of them.
var (
	// ErrNotExist: the object (or multipart upload, or bucket) is not there: 404.
	ErrNotExist = fs.ErrNotExist
	// ErrExist: x-oss-forbid-overwrite met an object: 409 FileAlreadyExists.
	ErrExist = fs.ErrExist
	// ErrPermission: 403 that no retry cures: AccessDenied, SignatureDoesNotMatch, InvalidAccessKeyId, ...
	ErrPermission = fs.ErrPermission
	// ErrInvalid: OSS refused the request as malformed or out of bounds: 400 and its like.
	ErrInvalid = fs.ErrInvalid

	// ErrPrecondition: an If-* condition did not hold: 412, or 304.
	ErrPrecondition = errors.New("precondition failed")
	// ErrArchived: the object must be restored before it can be read: 403 InvalidObjectState.
	ErrArchived = errors.New("object is archived and not restored")
	// ErrRange: the range asked for lies outside the object: 416.
	ErrRange = errors.New("range not satisfiable")
	// ErrQuota: the bucket or account may not store more, or pays no longer: QuotaExceeded, UserDisable, ...
	ErrQuota = errors.New("quota exceeded")
	// ErrNotAppendable: AppendObject met an object of another type, or the wrong position: 409.
	ErrNotAppendable = errors.New("object is not appendable at this position")
	// ErrUnsupported: the service, or the kind of object, does not know this operation: 405, 501, NotImplemented.
	ErrUnsupported = errors.ErrUnsupported
	// ErrCredentials: no source of credentials gave any, or they could not be renewed.
	ErrCredentials = errors.New("no usable credentials")
	// ErrCorrupt: bytes arrived whose checksum is not the one that was stored or announced.
	ErrCorrupt = errors.New("checksum mismatch")
	// ErrThrottled: 503 and its like outlasted the retry budget.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the network or the service (5xx) failed for longer than the retry budget.
	ErrUnavailable = errors.New("service unavailable")
	// ErrCanceled: the caller's context ended; errors.Is finds its cause (context.Canceled or DeadlineExceeded) too.
	ErrCanceled = errors.New("canceled")
)

// Kinds lists every kind, for tables that must have a row for each.
func Kinds() []error {
	return []error{
		ErrNotExist, ErrExist, ErrPermission, ErrInvalid, ErrPrecondition, ErrArchived, ErrRange, ErrQuota,
		ErrNotAppendable, ErrUnsupported, ErrCredentials, ErrCorrupt, ErrThrottled, ErrUnavailable, ErrCanceled,
	}
}

// Error is a request that failed for good. It holds no credentials and no signed URL.
type Error struct {
	Op        string // the API's name: "GetObject", "UploadPart", ...
	Bucket    string
	Key       Key
	Kind      error  // one of Kinds
	Status    int    // HTTP status; 0 when no answer came
	Code      string // OSS's error code: "NoSuchKey"; empty when no answer came
	EC        string // OSS's extended code: "0026-00000001"
	Message   string // OSS's words
	RequestID string // x-oss-request-id, what support asks for
	Err       error  // the cause below: a network error, a context's error; may be nil

	elsewhere string // the endpoint OSS named instead, when the bucket lies in another region
	logged    bool
}

// Error is one line: what failed, on what, why. A key that would not print as it is, is quoted.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Bucket != "" {
		b.WriteString(" oss://")
		b.WriteString(printable(e.Bucket))
	}
	if e.Key != "" {
		b.WriteByte('/')
		b.WriteString(printable(string(e.Key)))
	}
	b.WriteString(": ")
	b.WriteString(e.why())
	if e.RequestID != "" {
		b.WriteString(" [request ")
		b.WriteString(printable(e.RequestID))
		b.WriteByte(']')
	}
	return b.String()
}

// why is the message without what it is about.
func (e *Error) why() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", e.Kind)
	switch {
	case e.Code != "":
		fmt.Fprintf(&b, " (%d %s", e.Status, printable(e.Code))
		if e.EC != "" {
			fmt.Fprintf(&b, ", EC %s", printable(e.EC))
		}
		if e.Message != "" {
			fmt.Fprintf(&b, ": %s", printable(strings.TrimSpace(e.Message)))
		}
		b.WriteByte(')')
	case e.Status != 0:
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Log writes the error to a log, each thing under its own name and the bucket left out. more takes the place of what has
// the same name. It is for whoever has the error alone, before anybody else sees it.
func (e *Error) Log(ctx context.Context, log *slog.Logger, level slog.Level, what string, more ...slog.Attr) {
	e.logged = true
	if !log.Enabled(ctx, level) {
		return
	}
	list := slices.Clone(more)
	for _, a := range e.attrs() {
		if !slices.ContainsFunc(more, func(m slog.Attr) bool { return m.Key == a.Key }) {
			list = append(list, a)
		}
	}
	log.LogAttrs(ctx, level, what, list...)
}

// Logged reports whether a log has the error already.
func (e *Error) Logged() bool { return e.logged }

type notLogged struct{}

// WithoutLog is a context whose failed requests are not logged: who asks tells of them, by [Error.Log], with what came of it.
func WithoutLog(ctx context.Context) context.Context {
	return context.WithValue(ctx, notLogged{}, true)
}

func (e *Error) attrs() []slog.Attr {
	list := []slog.Attr{slog.String("op", e.Op)}
	add := func(name, value string) {
		if value != "" {
			list = append(list, slog.String(name, value))
		}
	}
	add("key", string(e.Key))
	add("why", e.Kind.Error())
	if e.Status != 0 {
		list = append(list, slog.Int("status", e.Status))
	}
	add("code", e.Code)
	add("ec", e.EC)
	add("request", e.RequestID)
	add("message", strings.TrimSpace(e.Message))
	if e.Err != nil {
		add("cause", e.Err.Error())
	}
	return list
}

// maxPrinted bounds a foreign text in a message, in bytes.
const maxPrinted = 1100

// printable is s as it is, or quoted where control characters or broken UTF-8 would spoil the line.
func printable(s string) string {
	if len(s) > maxPrinted {
		s = s[:maxPrinted] + "..."
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

// Unwrap gives errors.Is and errors.As the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
