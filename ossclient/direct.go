package ossclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// direct makes the requests that are written at once: all but those with a large body, and those by way of a proxy, which
// net/http's Transport makes. That one has two goroutines for each connection, so that a request may be answered before
// it was read; a request then costs several changes of threads, which take longer than the kernel's work and ours. What is written at
// once needs neither of them. How requests are written and answers read is net/http's business in any case.
type direct struct {
	*http.Transport // dials, and makes the other requests
	idle            idleLinks
}

// directBody is up to which size a body is written with the headers of its request.
const directBody = 32 << 10

var _ http.RoundTripper = (*direct)(nil)

// RoundTrip makes a request, as http.Transport does.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if !d.takes(r) {
		return d.Transport.RoundTrip(r)
	}
	if err := causeOf(r.Context(), nil); err != nil {
		return nil, err // it must not have an effect any more
	}
	where := place{r.URL.Scheme, r.URL.Host}
	if l := d.idle.take(where); l != nil {
		resp, err := d.exchange(l, r)
		// The server may have closed the connection at that moment. What has no body can be sent again, whatever the reason.
		if err == nil || r.Context().Err() != nil || r.ContentLength > 0 || r.Method == http.MethodPost {
			return resp, err
		}
	}
	l, err := d.dial(r.Context(), where)
	if err != nil {
		return nil, err
	}
	return d.exchange(l, r)
}

// takes says whether a request is ours.
func (d *direct) takes(r *http.Request) bool {
	if r.ContentLength < 0 || r.ContentLength > directBody || r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody {
		return false
	}
	for i := range len(r.URL.Host) {
		if r.URL.Host[i] >= 0x80 { // an international name
			return false
		}
	}
	proxy, err := d.Proxy(r)
	return proxy == nil && err == nil
}

// CloseIdleConnections closes the connections that nobody uses.
func (d *direct) CloseIdleConnections() {
	d.idle.close()
	d.Transport.CloseIdleConnections()
}

// place is where a connection goes.
type place struct{ scheme, host string }

// address is the place as host and port.
func (p place) address() string {
	host, port, err := net.SplitHostPort(p.host)
	if err == nil {
		return net.JoinHostPort(host, port)
	}
	host = p.host
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	if p.scheme == "https" {
		return net.JoinHostPort(host, "443")
	}
	return net.JoinHostPort(host, "80")
}

// dial makes a connection.
func (d *direct) dial(ctx context.Context, p place) (*link, error) {
	address := p.address()
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if p.scheme != "https" {
		return newLink(c, c, p), nil
	}
	t, err := d.secure(ctx, c, address)
	if err != nil {
		_ = c.Close() // it was of no use
		return nil, err
	}
	return newLink(t, c, p), nil
}

// secure begins TLS on a connection.
func (d *direct) secure(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	config := d.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address) // it was joined by us
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.TLSHandshakeTimeout, errSlowHandshake)
	defer cancel()
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, causeOf(ctx, err)
	}
	return t, nil
}

var errSlowHandshake = errors.New("no TLS handshake within the deadline")

// causeOf is why a context has ended, when that is the reason for an error.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// exchange sends a request on a connection, which is the answer's from then on, and gives it back to the idle ones when the
// body was read.
func (d *direct) exchange(l *link, r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	stop := context.AfterFunc(ctx, l.abort)
	resp, err := l.roundTrip(r)
	if err != nil {
		stop()
		_ = l.Close() // it was of no use
		return nil, causeOf(ctx, err)
	}
	b := &linkBody{ReadCloser: resp.Body, direct: d, link: l, ctx: ctx, stop: stop, keep: !resp.Close && !r.Close}
	if resp.Body == http.NoBody {
		b.end(true)
	} else {
		resp.Body = b
	}
	return resp, nil
}

// most1xx is how many answers may come before the answer.
const most1xx = 5

// roundTrip writes a request and reads the answer's headers.
func (l *link) roundTrip(r *http.Request) (*http.Response, error) {
	l.left = maxHeaderBytes
	unsent := r.Write(l.w)
	if unsent == nil {
		unsent = l.w.Flush()
	}
	if unsent != nil && !l.lost { // the body could not be read: the server waits for the rest of it
		return nil, unsent
	}
	for range most1xx + 1 {
		resp, err := http.ReadResponse(l.r, r)
		switch {
		case err != nil && unsent != nil:
			return nil, unsent
		case err != nil:
			return nil, err
		case resp.StatusCode < 100 || resp.StatusCode > 199 || resp.StatusCode == http.StatusSwitchingProtocols:
			l.left = unlimited
			resp.Close = resp.Close || unsent != nil // the server has answered without reading all, and why is in the answer
			return resp, nil
		}
	}
	return nil, fmt.Errorf("more than %d answers of status 1xx", most1xx)
}

// linkBody is the body of an answer.
type linkBody struct {
	io.ReadCloser
	direct *direct
	link   *link
	ctx    context.Context
	stop   func() bool // ends the wait for the end of ctx
	keep   bool        // the server keeps the connection
	ended  bool
}

// Read gives the connection back at the end.
func (b *linkBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.end(true)
	case err != nil:
		b.end(false)
		err = causeOf(b.ctx, err)
	}
	return n, err
}

// Close closes the connection unless the whole body was read.
func (b *linkBody) Close() error {
	b.end(false)
	return nil
}

func (b *linkBody) end(whole bool) {
	if b.ended {
		return
	}
	b.ended = true
	if alive := b.stop(); alive && whole && b.keep && b.link.r.Buffered() == 0 {
		b.direct.idle.put(b.link)
	} else {
		_ = b.link.Close() // nobody needs it
	}
}

var aLongTimeAgo = time.Unix(1, 0)
