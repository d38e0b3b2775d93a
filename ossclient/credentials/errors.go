package credentials

import (
	"errors"
	"fmt"
)

// passedOver says why a source gives nothing. The search goes on.
type passedOver struct {
	why     string
	present bool // there is something, but it cannot be used: worth a warning
}

var _ error = (*passedOver)(nil)

func (e *passedOver) Error() string { return e.why }

// Temporary is false: what is not configured does not come by itself.
func (e *passedOver) Temporary() bool { return false }

// absent says that a source is not configured.
func absent(format string, args ...any) error {
	return &passedOver{why: fmt.Sprintf(format, args...)}
}

// unusable says that a source is configured in a way that can never work as it is.
func unusable(format string, args ...any) error {
	return &passedOver{why: fmt.Sprintf(format, args...), present: true}
}

// failure is a source that is configured and did not answer with credentials. The search ends.
type failure struct {
	why       string
	temporary bool  // the network, or a service having a bad moment: worth another try
	err       error // the cause; its text has no secret in it
}

var _ error = (*failure)(nil)

func (e *failure) Error() string {
	if e.err == nil {
		return e.why
	}
	return e.why + ": " + e.err.Error()
}

func (e *failure) Unwrap() error { return e.err }

// Temporary reports whether another try may succeed.
func (e *failure) Temporary() bool { return e.temporary }

func isTemporary(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.temporary
}

func asPassedOver(err error) (*passedOver, bool) {
	var p *passedOver
	ok := errors.As(err, &p)
	return p, ok
}
