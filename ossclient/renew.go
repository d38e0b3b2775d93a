package ossclient

import "errors"

// Renewer is what [Credentials] may be besides. It is told of a credential that OSS refused as unknown
// or expired, and reports whether another is to be had, so that the request is worth repeating.
type Renewer interface {
	Rejected(c Credential) bool
}

// rejected reports whether a refused request is to be repeated with other credentials
// (https://help.aliyun.com/en/oss/support/http-status-code).
func (b *Bucket) rejected(e *Error, c Credential) bool {
	switch e.Code {
	case "InvalidAccessKeyId", "SecurityTokenExpired", "InvalidSecurityToken":
		r, ok := b.cfg.Credentials.(Renewer)
		return ok && r.Rejected(c)
	}
	return false
}

// noCredential makes a failure of what [Credentials] said. What says of itself that it is not
// temporary is not asked again: nothing is configured, and will not be in five seconds.
func (b *Bucket) noCredential(r *request, err error) *failure {
	var own *Error
	if errors.As(err, &own) && own.Kind == ErrCredentials && own.Err != nil {
		err = own.Err // so that nothing is said twice
	}
	e := b.newError(r, err)
	e.Kind = ErrCredentials
	f := &failure{err: e, retry: true, limit: shortBudget}
	var t interface{ Temporary() bool }
	if errors.As(err, &t) {
		f.retry = t.Temporary()
	}
	return f
}
