package ossclient

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// request is one call of the API, however many attempts it takes. It is not changed once it is sent.
type request struct {
	op     operation
	key    Key     // empty: about the bucket
	params []param // sorted by name
	header http.Header
	body   content

	// accept reads the answer's body and judges it; an error of its own is retried like a broken
	// connection. nil: the answer is handed on with its body open.
	accept func(*answer) error

	// settle finds out whether a request whose answer was lost has had its effect, so that it is over.
	// It is asked before such a request is repeated, and when its repetition fails. nil: repeating is
	// harmless.
	settle func(ctx context.Context, f *failure) (done bool)
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	length int64 // of the body; -1: unknown
	body   io.ReadCloser
	sum    uint64 // CRC-64 of the body that was sent, when the content is summed
	watch  *watch // of the attempt; the body's reader feeds it

	bucket    *Bucket
	req       *request
	attempt   int
	hedge     bool
	start     time.Time
	firstByte time.Duration
	sent      int64
	received  int64
}

// blank is what the HTTP requests have in common.
var blank = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// build makes the HTTP request of one attempt, signed.
func (b *Bucket) build(ctx context.Context, r *request, cred Credential, u *upload) *http.Request {
	path := b.target.prefix + "/" + string(r.key)
	raw := b.target.prefix + "/" + escapePath(string(r.key))
	header := make(http.Header, len(r.header)+5) // the agent's and the signer's
	maps.Copy(header, r.header)
	header["User-Agent"] = b.agent
	if cred.ID != "" {
		b.signer.sign(&signing{
			method: r.op.method(),
			bucket: b.cfg.Bucket,
			key:    string(r.key),
			params: r.params,
			header: header,
			cred:   cred,
			now:    b.now(),
		})
	}
	hr := blank.WithContext(ctx) // a copy, as it would be of one that is filled
	hr.Method = r.op.method()
	hr.URL = &url.URL{Scheme: b.target.scheme, Host: b.target.host, Path: path, RawPath: raw, RawQuery: encodeParams(r.params)}
	hr.Header = header
	hr.Host = b.target.host
	if r.op.method() == http.MethodPut || r.op.method() == http.MethodPost {
		u.attach(hr)
	}
	return hr
}
