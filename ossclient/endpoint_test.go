package ossclient

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // scheme://host prefix region
	}{
		{Config{Region: "cn-hangzhou"}, "https://bkt.oss-cn-hangzhou.aliyuncs.com  cn-hangzhou"},
		{Config{Region: "oss-cn-hangzhou"}, "https://bkt.oss-cn-hangzhou.aliyuncs.com  cn-hangzhou"},
		{Config{Region: "us-east-1", Internal: true}, "https://bkt.oss-us-east-1-internal.aliyuncs.com  us-east-1"},
		{Config{Region: "cn-beijing", Dualstack: true}, "https://bkt.cn-beijing.oss.aliyuncs.com  cn-beijing"},
		{Config{Region: "cn-beijing", Accelerate: true}, "https://bkt.oss-accelerate.aliyuncs.com  cn-beijing"},
		{Config{Region: "cn-beijing", Endpoint: "oss-accelerate-overseas.aliyuncs.com"}, "https://bkt.oss-accelerate-overseas.aliyuncs.com  cn-beijing"},
		{Config{Endpoint: "oss-accelerate-overseas.aliyuncs.com"}, "https://bkt.oss-accelerate-overseas.aliyuncs.com  "},
		{Config{Endpoint: "oss-cn-shenzhen.aliyuncs.com"}, "https://bkt.oss-cn-shenzhen.aliyuncs.com  cn-shenzhen"},
		{Config{Endpoint: "http://oss-cn-shenzhen-internal.aliyuncs.com/"}, "http://bkt.oss-cn-shenzhen-internal.aliyuncs.com  cn-shenzhen"},
		{Config{Endpoint: "https://bkt.oss-cn-shenzhen.aliyuncs.com"}, "https://bkt.oss-cn-shenzhen.aliyuncs.com  cn-shenzhen"},
		{Config{Endpoint: "cn-shenzhen.oss.aliyuncs.com"}, "https://bkt.cn-shenzhen.oss.aliyuncs.com  cn-shenzhen"},
		{Config{Endpoint: "bkt.cn-shenzhen.oss.aliyuncs.com"}, "https://bkt.cn-shenzhen.oss.aliyuncs.com  cn-shenzhen"},
		{Config{Endpoint: "OSS-CN-Shenzhen.Aliyuncs.com:8443"}, "https://bkt.oss-cn-shenzhen.aliyuncs.com:8443  cn-shenzhen"},
		{Config{Endpoint: "http://127.0.0.1:9000", Region: "r"}, "http://127.0.0.1:9000 /bkt r"},
		{Config{Endpoint: "http://[::1]:9000"}, "http://[::1]:9000 /bkt "},
		{Config{Endpoint: "fd00::1"}, "https://[fd00::1] /bkt "},
		{Config{Endpoint: "http://localhost:9000"}, "http://localhost:9000 /bkt "},
		{Config{Endpoint: "http://localhost:9000", Addressing: "virtual"}, "http://bkt.localhost:9000  "},
		{Config{Endpoint: "oss.example.com", Addressing: "path"}, "https://oss.example.com /bkt "},
		{Config{Endpoint: "oss.example.com"}, "https://bkt.oss.example.com  "},
		{Config{Endpoint: "files.example.com", Addressing: "cname"}, "https://files.example.com  "},
	} {
		c.cfg.Bucket = "bkt"
		c.cfg.fill()
		got, err := resolve(c.cfg)
		if s := got.scheme + "://" + got.host + " " + got.prefix + " " + got.region; err != nil || s != c.want {
			t.Errorf("resolve %q %q: got %q, %v; want %q", c.cfg.Endpoint, c.cfg.Region, s, err, c.want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{Bucket: "x"}, {Bucket: "UPPER"}, {Bucket: "a.b.c"}, {Bucket: "-abc"}, {Bucket: "abc/../d"}, {Bucket: strings.Repeat("a", 64)},
		{Bucket: "bkt", Endpoint: "ftp://x"}, {Bucket: "bkt", Endpoint: "http://u:p@x"}, {Bucket: "bkt", Endpoint: "http://x/path"}, {Bucket: "bkt", Endpoint: "http://x?y"},
		{Bucket: "bkt", Endpoint: "http://"}, {Bucket: "bkt", Endpoint: "a b"}, {Bucket: "bkt", Region: "cn hangzhou"}, {Bucket: "bkt", Region: "a/b"},
		{Bucket: "bkt", Addressing: "sideways"}, {Bucket: "bkt", Sign: "v3"}, {Bucket: "bkt", Endpoint: "127.0.0.1", Addressing: "virtual"},
		{Bucket: "bkt", Region: "r", CABundle: "/nonexistent"},
	} {
		b, err := Open(t.Context(), cfg)
		if err == nil {
			b.Close()
			t.Errorf("Open %+v: it succeeded", cfg)
		}
		if err != nil && (strings.Contains(err.Error(), "u:p") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("Open: error %q", err)
		}
	}
}

// The bucket in the host, in the path and in neither; the key always escaped the same way.
func TestAddressing(t *testing.T) {
	var host, uri string
	s := httptest.NewServer(sized(func(w http.ResponseWriter, r *http.Request) { host, uri = r.Host, r.RequestURI }))
	defer s.Close()
	for _, c := range []struct{ endpoint, style, host, uri string }{
		{"http://oss.example.com", "virtual", "test.oss.example.com", "/a%20b/%2B%3F//.."},
		{"http://oss.example.com:81", "path", "oss.example.com:81", "/test/a%20b/%2B%3F//.."},
		{"http://www.example.com", "cname", "www.example.com", "/a%20b/%2B%3F//.."},
	} {
		b := openAt(t, c.endpoint, func(cfg *Config) { cfg.Addressing = c.style })
		SetDial(b, s.Listener.Addr().String())
		if _, err := b.Head(t.Context(), "a b/+?//.."); err != nil {
			t.Fatal(err)
		}
		if host != c.host || uri != c.uri {
			t.Errorf("%s %s: got host %q, path %q; want %q, %q", c.endpoint, c.style, host, uri, c.host, c.uri)
		}
	}
}

func TestRegionIsAsked(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"location", `<?xml version="1.0"?><LocationConstraint>oss-cn-shanghai</LocationConstraint>`, 200, "cn-shanghai"},
		{"elsewhere", `<Error><Code>AccessDenied</Code><Message>m</Message><Endpoint>oss-cn-shenzhen.aliyuncs.com</Endpoint></Error>`, 403, "cn-shenzhen"},
		{"refused", `<Error><Code>AccessDenied</Code><Message>m</Message></Error>`, 403, ""},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "location" || !strings.HasPrefix(r.Header.Get("Authorization"), "OSS test-id:") {
				t.Errorf("%s: request %s signed %q, want ?location signed without a region", c.name, r.URL, r.Header.Get("Authorization"))
			}
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		b, err := Open(t.Context(), Config{Bucket: "test", Endpoint: s.URL, Credentials: staticKey{Credential{ID: "test-id", Secret: "s"}}})
		if (err != nil) != (c.want == "") || err == nil && b.Region() != c.want {
			t.Errorf("%s: got %v, want region %q", c.name, err, c.want)
		}
		if b != nil {
			b.Close()
		}
		s.Close()
	}
}
