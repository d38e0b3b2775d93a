package ossserver

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/sign"
)

// call is one request on its way.
type call struct {
	server *Server
	w      http.ResponseWriter
	conn   http.ResponseWriter // w, also when nobody shall see the answer
	r      *http.Request
	id     string
	op     operation
	start  time.Time

	bucket, key string
	query       []sign.Param
	signed      bool

	status int
	spoil  *spoiler // of the answer's body; nil: none
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.RLock()
	defer s.running.RUnlock()
	c := &call{server: s, w: w, conn: w, r: r, id: s.ids.next(), start: time.Now()}
	c.parse()
	c.route()
	s.stats.count(c.op.name)
	h := w.Header()
	h["Server"] = []string{"AliyunOSS"}
	h["X-Oss-Request-Id"] = []string{c.id}
	h["Date"] = []string{s.opts.Now().UTC().Format(http.TimeFormat)}
	defer c.log()
	if d := s.speed.latency.Load(); d > 0 && !c.sleep(time.Duration(d)) {
		return
	}
	fault, faulty := s.faults.choose(c.op.name, c.key)
	if faulty && c.before(fault) {
		return
	}
	err := c.do()
	if err != nil {
		if errors.Is(err, errAbandoned) || c.status != 0 {
			c.reset() // the header is out: only a broken connection can say that the body is not whole
		}
		c.answer(asFailure(err))
	}
	if faulty && fault.Kind == ResetAfter {
		c.reset()
	}
}

// do checks who asks and what for, and does it.
func (c *call) do() error {
	id, refused := c.server.sign.Verify(&sign.Request{
		Method: c.r.Method, Bucket: c.bucket, Key: c.key, Query: c.query, Header: c.r.Header, Host: c.r.Host,
	})
	if refused != nil {
		return refused
	}
	c.signed = id != ""
	if c.op.do == nil {
		return methodNotAllowed(c.r.Method)
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := c.authorize(); err != nil {
		return err
	}
	return c.op.do(c)
}

func (c *call) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.r.Context().Done():
		return false
	case <-c.server.faults.stop:
		return true
	}
}

func (c *call) log() {
	c.server.opts.Log.Debug("request", "op", c.op.name, "bucket", c.bucket, "key", c.key, "status", c.status,
		"ms", time.Since(c.start).Milliseconds(), "bytes", c.r.ContentLength, "range", c.r.Header.Get("Range"), "id", c.id)
}

// parse finds bucket, key and parameters
// (https://help.aliyun.com/en/oss/user-guide/access-oss-via-bucket-domain-name).
func (c *call) parse() {
	raw := c.r.RequestURI
	if raw == "" { // a handler's test without a connection
		raw = c.r.URL.RequestURI()
	}
	if _, after, ok := strings.Cut(raw, "://"); ok { // absolute form
		_, raw, _ = strings.Cut(after, "/")
		raw = "/" + raw
	}
	rawPath, rawQuery, _ := strings.Cut(raw, "?")
	c.query = sign.ParseQuery(rawQuery)
	path := strings.TrimPrefix(rawPath, "/")
	if bucket, ok := c.server.hostBucket(c.r.Host); ok {
		c.bucket = bucket
	} else {
		c.bucket, path, _ = strings.Cut(path, "/")
		c.bucket = unescapePath(c.bucket)
	}
	c.key = unescapePath(path)
}

// unescapePath decodes a path; one that does not decode stands for itself.
func unescapePath(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// hostBucket returns the bucket that a host name means; ok is false for the service's own name, where the path
// begins with the bucket.
func (s *Server) hostBucket(host string) (bucket string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	if bucket, ok := s.opts.CNames[host]; ok {
		return bucket, true
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return "", false
	}
	if s.opts.Domain != "" {
		if host == s.opts.Domain {
			return "", false
		}
		if bucket, ok := strings.CutSuffix(host, "."+s.opts.Domain); ok {
			return bucket, true
		}
	}
	first, rest, found := strings.Cut(host, ".")
	switch {
	case !found:
		return "", false // "localhost", a machine's name
	case strings.HasSuffix(host, ".aliyuncs.com"):
		// BUCKET.oss-REGION.aliyuncs.com, or oss-REGION.aliyuncs.com, s3.oss-..., REGION.oss.aliyuncs.com (dual-stack)
		if strings.Count(rest, ".") >= 2 && !strings.HasPrefix(rest, "oss.aliyuncs") {
			return first, true
		}
		return "", false
	case rest == "localhost":
		return first, true
	}
	return "", false
}

// has reports whether a parameter is there.
func (c *call) has(name string) bool {
	_, ok := c.lookup(name)
	return ok
}

// param is a parameter's value, empty when it is not there.
func (c *call) param(name string) string {
	v, _ := c.lookup(name)
	return v
}

func (c *call) lookup(name string) (string, bool) {
	for _, p := range c.query {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// writeHeader sends the status and the headers.
func (c *call) writeHeader(status int) {
	c.status = status
	c.w.Header()["X-Oss-Server-Time"] = []string{strconv.FormatInt(time.Since(c.start).Milliseconds(), 10)}
	c.w.WriteHeader(status)
}

// write sends a body that is in memory. The client may be gone; nobody is left to tell then.
func (c *call) write(p []byte) {
	w := c.body(int64(len(p)))
	n, err := w.Write(p)
	c.server.stats.out.Add(int64(n))
	if errors.Is(err, errAbandoned) {
		c.reset()
	}
}

// body is where the answer's body of n bytes goes.
func (c *call) body(n int64) io.Writer {
	if c.spoil == nil {
		return c.w
	}
	if c.spoilsAnswer() {
		c.spoil.at = c.server.faults.random(n)
		if c.spoil.fault.Kind == CutBody {
			c.spoil.at = n / 2
		}
		return &spoiledWriter{c.w, c.spoil}
	}
	return c.w
}

// empty answers with no body.
func (c *call) empty(status int) error {
	if status != http.StatusNoContent {
		c.w.Header()["Content-Length"] = []string{"0"}
	}
	c.stallEmpty()
	c.writeHeader(status)
	return nil
}

// stallEmpty lets an answer without a body stall before it.
func (c *call) stallEmpty() {
	if c.spoil != nil && c.spoil.fault.Kind == Stall && !c.spoil.done {
		c.spoil.done = true
		c.spoil.stall()
	}
}
