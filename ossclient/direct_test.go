package ossclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// wireServer answers each request of a connection with what answer gives for the how-manieth of all it is, and closes the
// connection when that is done or says so.
type wireServer struct {
	url      string
	accepted atomic.Int32
	requests atomic.Int32
	closed   chan struct{} // one for each connection that the client has closed
}

func newWireServer(t *testing.T, answer func(n int32, r *http.Request, c net.Conn) (more bool)) *wireServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wireServer{url: "http://" + listener.Addr().String(), closed: make(chan struct{}, 100)}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { listener.Close() })
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						s.closed <- struct{}{}
						return
					}
					if _, err := io.Copy(io.Discard, r.Body); err != nil || !answer(s.requests.Add(1), r, c) {
						return
					}
				}
			})
		}
	})
	return s
}

func say(c net.Conn, lines ...string) bool {
	_, err := io.WriteString(c, strings.Join(lines, "\r\n"))
	return err == nil
}

func sayHello(c net.Conn) bool { return say(c, "HTTP/1.1 200 OK", "Content-Length: 5", "", "hello") }

func newDirect(t *testing.T) *direct {
	t.Helper()
	d, err := newTransport(Config{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.CloseIdleConnections)
	return d
}

// fetch makes a request and reads the whole answer.
func fetch(ctx context.Context, d *direct, method, url, body string) (status int, got string, err error) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return 0, "", err
	}
	resp, err := d.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(p), err
}

func wantHello(t *testing.T, d *direct, method, url, body string) {
	t.Helper()
	if status, got, err := fetch(t.Context(), d, method, url, body); status != 200 || got != "hello" || err != nil {
		t.Errorf("%s: %d, %q, %v, want 200 and hello", method, status, got, err)
	}
}

func (s *wireServer) want(t *testing.T, connections int32) {
	t.Helper()
	if got := s.accepted.Load(); got != connections {
		t.Errorf("%d connections, want %d", got, connections)
	}
}

func TestDirectUsesConnectionsAgain(t *testing.T) {
	s := newWireServer(t, func(_ int32, r *http.Request, c net.Conn) bool {
		if r.Method == http.MethodHead {
			return say(c, "HTTP/1.1 200 OK", "Content-Length: 5", "", "")
		}
		if r.URL.Path == "/chunked" {
			return say(c, "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "2", "he", "3", "llo", "0", "", "")
		}
		return sayHello(c)
	})
	d := newDirect(t)
	for range 3 {
		wantHello(t, d, http.MethodGet, s.url, "")
		wantHello(t, d, http.MethodPut, s.url, "a body")
		wantHello(t, d, http.MethodGet, s.url+"/chunked", "")
		if status, got, err := fetch(t.Context(), d, http.MethodHead, s.url, ""); status != 200 || got != "" || err != nil {
			t.Errorf("HEAD: %d, %q, %v", status, got, err)
		}
	}
	s.want(t, 1)
	d.CloseIdleConnections()
	<-s.closed // it was idle
	wantHello(t, d, http.MethodGet, s.url, "")
	<-s.closed // nobody uses the transport any more
	s.want(t, 2)
}

func TestDirectTLS(t *testing.T) {
	var fresh atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			fresh.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	d := newDirect(t)
	d.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	for range 3 {
		wantHello(t, d, http.MethodGet, s.URL, "")
	}
	if n := fresh.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	d.TLSClientConfig = nil
	d.CloseIdleConnections()
	if _, _, err := fetch(t.Context(), d, http.MethodGet, s.URL, ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with an unknown certificate: %v", err)
	}
}

// A connection is closed, and not used again, where that is not safe.
func TestDirectGivesConnectionsUp(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(c net.Conn) bool
		read   int
	}{
		"the server says so": {func(c net.Conn) bool {
			return say(c, "HTTP/1.1 200 OK", "Connection: close", "Content-Length: 5", "", "hello")
		}, 5},
		"HTTP 1.0":                {func(c net.Conn) bool { return say(c, "HTTP/1.0 200 OK", "Content-Length: 5", "", "hello") }, 5},
		"more than the answer":    {func(c net.Conn) bool { return say(c, "HTTP/1.1 200 OK", "Content-Length: 5", "", "hello, world") }, 5},
		"a body that is not read": {func(c net.Conn) bool { return say(c, "HTTP/1.1 200 OK", "Content-Length: 9", "", "hello") }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWireServer(t, func(n int32, _ *http.Request, c net.Conn) bool {
				if n == 1 {
					return test.answer(c)
				}
				return sayHello(c)
			})
			d := newDirect(t)
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
			resp, err := d.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, test.read)
			if _, err := io.ReadFull(resp.Body, p); string(p) != "hello" || err != nil {
				t.Errorf("%q, %v", p, err)
			}
			resp.Body.Close()
			<-s.closed
			wantHello(t, d, http.MethodGet, s.url, "")
			s.want(t, 2)
		})
	}
}

// Whatever the server does to an idle connection, who asks next hears nothing of it.
func TestDirectIdleConnectionsThatDie(t *testing.T) {
	for name, die := range map[string]func(c net.Conn, told chan<- struct{}){
		"closed": func(c net.Conn, told chan<- struct{}) { c.Close(); told <- struct{}{} },
		"spoken to": func(c net.Conn, told chan<- struct{}) {
			say(c, "HTTP/1.1 408 Request Timeout", "Content-Length: 0", "", "")
			told <- struct{}{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			idle, told := make(chan struct{}), make(chan struct{})
			s := newWireServer(t, func(n int32, _ *http.Request, c net.Conn) bool {
				more := sayHello(c)
				if n == 1 {
					go func() {
						<-idle
						die(c, told)
					}()
				}
				return more
			})
			d := newDirect(t)
			wantHello(t, d, http.MethodPut, s.url, "a body")
			idle <- struct{}{}
			<-told
			wantHello(t, d, http.MethodPut, s.url, "a body")
			s.want(t, 2)
		})
	}
}

// The server closes an idle connection at the moment at which it is used: what can be sent again is.
func TestDirectConnectionThatDiesWhenItIsUsed(t *testing.T) {
	s := newWireServer(t, func(n int32, _ *http.Request, c net.Conn) bool { return n%2 == 1 && sayHello(c) })
	d := newDirect(t)
	wantHello(t, d, http.MethodGet, s.url, "")
	wantHello(t, d, http.MethodGet, s.url, "") // the second request, which is not answered, and the third
	s.want(t, 2)
	if _, _, err := fetch(t.Context(), d, http.MethodPut, s.url, "a body"); err == nil {
		t.Error("a PUT whose answer was lost has succeeded: nobody knows what became of it")
	}
	if n := s.requests.Load(); n != 4 {
		t.Errorf("%d requests, want 4: the PUT once", n)
	}
}

func TestDirectOddAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(c net.Conn) bool
		err    string // empty: hello
	}{
		"early hints":       {func(c net.Conn) bool { return say(c, "HTTP/1.1 103 Early Hints", "Link: x", "", "") && sayHello(c) }, ""},
		"hints without end": {func(c net.Conn) bool { return say(c, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20)) }, "1xx"},
		"headers without end": {func(c net.Conn) bool {
			return say(c, "HTTP/1.1 200 OK", strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 200))
		}, "too large"},
		"no answer":      {func(net.Conn) bool { return false }, "EOF"},
		"half an answer": {func(c net.Conn) bool { say(c, "HTTP/1.1 200 OK", "Content-Length: 5", "", "he"); return false }, "EOF"},
		"nonsense":       {func(c net.Conn) bool { return say(c, "220 mail.example.com ESMTP", "", "") }, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool { return test.answer(c) })
			_, got, err := fetch(t.Context(), newDirect(t), http.MethodGet, s.url, "")
			switch {
			case test.err == "" && (err != nil || got != "hello"):
				t.Errorf("%q, %v", got, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("the error is %v, want one of %q", err, test.err)
			}
		})
	}
}

// The end of the context ends the request at once, wherever it is, and closes the connection.
func TestDirectCancelled(t *testing.T) {
	why := errors.New("not wanted any more")
	t.Run("before", func(t *testing.T) {
		s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool { return sayHello(c) })
		d := newDirect(t)
		wantHello(t, d, http.MethodGet, s.url, "")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		for range 100 {
			if _, _, err := fetch(ctx, d, http.MethodPut, s.url, "a body"); !errors.Is(err, why) {
				t.Errorf("the error is %v, want %v", err, why)
			}
		}
		wantHello(t, d, http.MethodGet, s.url, "")
		if n := s.requests.Load(); n != 2 {
			t.Errorf("%d requests, want 2: none that was cancelled before", n)
		}
		s.want(t, 1)
	})
	t.Run("headers", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newWireServer(t, func(int32, *http.Request, net.Conn) bool {
			cancel(why)
			return true
		})
		if _, _, err := fetch(ctx, newDirect(t), http.MethodGet, s.url, ""); !errors.Is(err, why) {
			t.Errorf("the error is %v, want %v", err, why)
		}
		<-s.closed
	})
	t.Run("body", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool {
			return say(c, "HTTP/1.1 200 OK", "Content-Length: 5", "", "he")
		})
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		resp, err := newDirect(t).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		go cancel(why)
		if _, err := resp.Body.Read(make([]byte, 3)); !errors.Is(err, why) {
			t.Errorf("the error is %v, want %v", err, why)
		}
		<-s.closed
	})
}

// The limit is for headers alone.
func TestDirectLargeBody(t *testing.T) {
	body := strings.Repeat("0123456789", maxHeaderBytes/5)
	s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool {
		return say(c, "HTTP/1.1 200 OK", "Content-Length: "+strconv.Itoa(len(body)), "", body)
	})
	d := newDirect(t)
	for range 2 {
		if status, got, err := fetch(t.Context(), d, http.MethodGet, s.url, ""); status != 200 || got != body || err != nil {
			t.Errorf("%d, %d bytes of %d, %v", status, len(got), len(body), err)
		}
	}
	s.want(t, 1)
}

func TestDirectTidy(t *testing.T) {
	s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool { return sayHello(c) })
	d := newDirect(t)
	age := func(by time.Duration) {
		d.idle.mu.Lock()
		defer d.idle.mu.Unlock()
		for _, list := range d.idle.links {
			for _, l := range list {
				l.since = l.since.Add(-by)
			}
		}
	}
	wantHello(t, d, http.MethodGet, s.url, "")
	age(idleTimeout / 2)
	d.idle.tidy()
	wantHello(t, d, http.MethodGet, s.url, "")
	s.want(t, 1)
	age(idleTimeout)
	d.idle.tidy()
	<-s.closed
	wantHello(t, d, http.MethodGet, s.url, "")
	age(idleTimeout)
	wantHello(t, d, http.MethodGet, s.url, "") // before it was tidied
	<-s.closed
	s.want(t, 3)
}

func TestDirectTakes(t *testing.T) {
	d := newDirect(t)
	d.Proxy = func(r *http.Request) (*url.URL, error) {
		switch r.URL.Hostname() {
		case "proxied":
			return &url.URL{Scheme: "http", Host: "proxy"}, nil
		case "unknown":
			return nil, errors.New("no such proxy")
		}
		return nil, nil
	}
	for _, test := range []struct {
		url    string
		length int64
		body   io.ReadCloser
		want   bool
	}{
		{"http://a", 0, nil, true},
		{"https://a:1", 0, http.NoBody, true},
		{"http://a", directBody, io.NopCloser(strings.NewReader("")), true},
		{"http://a", directBody + 1, io.NopCloser(strings.NewReader("")), false},
		{"http://a", -1, io.NopCloser(strings.NewReader("")), false},
		{"http://a", 0, io.NopCloser(strings.NewReader("")), false}, // of a length that nobody knows
		{"http://ä", 0, nil, false},
		{"http://proxied", 0, nil, false},
		{"http://unknown", 0, nil, false},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.takes(&http.Request{URL: u, ContentLength: test.length, Body: test.body}); got != test.want {
			t.Errorf("a request to %s with %d bytes is taken: %v", test.url, test.length, got)
		}
	}
}

func TestPlaceAddress(t *testing.T) {
	for _, test := range []struct{ scheme, host, want string }{
		{"http", "a.example", "a.example:80"},
		{"https", "a.example", "a.example:443"},
		{"https", "a.example:8443", "a.example:8443"},
		{"http", "[::1]", "[::1]:80"},
		{"http", "[::1]:8080", "[::1]:8080"},
		{"http", "127.0.0.1", "127.0.0.1:80"},
	} {
		if got := (place{test.scheme, test.host}).address(); got != test.want {
			t.Errorf("%s of %s is %s, want %s", test.host, test.scheme, got, test.want)
		}
	}
}

// A body that cannot be read ends the request at once: the server still waits for it, and would not answer.
func TestDirectBodyThatCannotBeRead(t *testing.T) {
	s := newWireServer(t, func(_ int32, _ *http.Request, c net.Conn) bool { return sayHello(c) })
	d := newDirect(t)
	why := errors.New("the disk is gone")
	for _, warm := range []bool{false, true} {
		if warm {
			wantHello(t, d, http.MethodGet, s.url, "")
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(why)))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 8
		if _, err := d.RoundTrip(r); err == nil || !strings.Contains(err.Error(), why.Error()) { // net/http does not wrap it
			t.Errorf("the error is %v, want %v", err, why)
		}
	}
	wantHello(t, d, http.MethodPut, s.url, "a body")
}

// A server that answers without taking the whole request is heard.
func TestDirectAnswerToHalfARequest(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	l := newLink(near, nil, place{})
	go func() {
		say(far, "HTTP/1.1 403 Forbidden", "Content-Length: 0", "", "") // nobody reads what is written
		far.Close()
	}()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a", strings.NewReader("a body"))
	l.lost, l.Conn = false, deaf{near}
	resp, err := l.roundTrip(r)
	if err != nil || resp.StatusCode != http.StatusForbidden || !resp.Close {
		t.Errorf("got %v, %v, want 403 and a connection that is not used again", resp, err)
	}
}

// deaf is a connection that takes nothing.
type deaf struct{ net.Conn }

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }
