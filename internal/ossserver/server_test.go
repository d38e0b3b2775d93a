package ossserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testBucket = "test"
	testID     = "id"
	testSecret = "secret"
)

// client sends signed requests. Its signature is a text of its own: the shortest that V1 can be.
type client struct {
	t        testing.TB
	server   *Server
	endpoint string
	http     *http.Client
	now      func() time.Time
}

// start starts a server with the bucket "test".
func start(t testing.TB, o Options) *client {
	t.Helper()
	o.Keys = append(o.Keys, Key{ID: testID, Secret: testSecret})
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if !s.HasBucket(testBucket) {
		if err := s.CreateBucket(testBucket); err != nil {
			t.Fatal(err)
		}
	}
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: 10 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return &client{t, s, endpoint, &http.Client{Transport: transport}, now}
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
	code   string // of an error document
	err    error  // of reading the body
}

// request makes a request of "/bucket/key?query", not yet signed.
func (c *client) request(method, target, body string, headers ...string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequest(method, c.endpoint+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header[http.CanonicalHeaderKey(headers[i])] = append(req.Header[http.CanonicalHeaderKey(headers[i])], headers[i+1])
	}
	return req
}

func (c *client) sign(req *http.Request) {
	if req.Header.Get("Date") == "" {
		req.Header.Set("Date", c.now().UTC().Format(http.TimeFormat))
	}
	var names []string
	for name := range req.Header {
		if strings.HasPrefix(name, "X-Oss-") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	text := req.Method + "\n" + req.Header.Get("Content-Md5") + "\n" + req.Header.Get("Content-Type") + "\n" + req.Header.Get("Date") + "\n"
	for _, name := range names {
		text += strings.ToLower(name) + ":" + req.Header.Get(name) + "\n"
	}
	resource := req.URL.Path
	if strings.Count(resource, "/") == 1 && resource != "/" {
		resource += "/"
	}
	text += resource
	var params []string
	for name, values := range req.URL.Query() {
		switch name {
		case "list-type", "prefix", "delimiter", "marker", "start-after", "max-keys", "encoding-type", "fetch-owner", "max-parts",
			"part-number-marker", "max-uploads", "key-marker", "upload-id-marker", "regions":
			continue
		}
		if values[0] != "" {
			name += "=" + values[0]
		}
		params = append(params, name)
	}
	sort.Strings(params)
	if len(params) > 0 {
		text += "?" + strings.Join(params, "&")
	}
	h := hmac.New(sha1.New, []byte(testSecret))
	h.Write([]byte(text))
	req.Header.Set("Authorization", "OSS "+testID+":"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

// do sends a signed request.
func (c *client) do(method, target, body string, headers ...string) answer {
	c.t.Helper()
	req := c.request(method, target, body, headers...)
	c.sign(req)
	return c.send(req)
}

func (c *client) send(req *http.Request) answer {
	c.t.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode, header: res.Header, body: string(p), err: err}
	if res.StatusCode >= 400 {
		var doc struct{ Code, Message, RequestId, HostId, EC string }
		text := p
		if req.Method == http.MethodHead {
			text, _ = base64.StdEncoding.DecodeString(res.Header.Get("X-Oss-Err"))
		}
		if err := xml.Unmarshal(text, &doc); err != nil {
			c.t.Errorf("%s %s: the error document %q: %v", req.Method, req.URL, text, err)
		}
		a.code = doc.Code
		if doc.Message == "" || doc.RequestId != res.Header.Get("X-Oss-Request-Id") || doc.HostId == "" || doc.EC == "" || doc.EC != res.Header.Get("X-Oss-Ec") {
			c.t.Errorf("%s %s: the error document lacks something: %s", req.Method, req.URL, text)
		}
	}
	return a
}

// must sends a signed request that has to succeed.
func (c *client) must(method, target, body string, headers ...string) answer {
	c.t.Helper()
	a := c.do(method, target, body, headers...)
	if a.err != nil || a.status >= 300 {
		c.t.Fatalf("%s %s: %d %s %v", method, target, a.status, a.body, a.err)
	}
	return a
}

// refused sends a signed request that has to be refused so.
func (c *client) refused(status int, code, method, target, body string, headers ...string) answer {
	c.t.Helper()
	a := c.do(method, target, body, headers...)
	if a.err != nil || a.status != status || a.code != code {
		c.t.Errorf("%s %s %q: %d %s %v, want %d %s", method, target, headers, a.status, a.code, a.err, status, code)
	}
	return a
}

func (c *client) put(key, body string, headers ...string) answer {
	c.t.Helper()
	return c.must(http.MethodPut, "/test/"+url.PathEscape(key), body, headers...)
}

// elements returns the texts of all elements of a name.
func elements(doc, name string) []string {
	var list []string
	scanXML(doc, nil, func(path, text string) {
		if path == name || strings.HasSuffix(path, "/"+name) {
			list = append(list, text)
		}
	})
	return list
}

func element(doc, name string) string {
	if list := elements(doc, name); len(list) > 0 {
		return list[0]
	}
	return ""
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func repeat(n int) string { return string(bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]) }
