package ossclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Each kind of request has its deadline, and none that waits for ever.
func TestEveryOperationHasADeadline(t *testing.T) {
	for op := range operations {
		o := operation(op)
		if o.String() == "" || o.method() == "" || o != opSignURL && (o.deadline() < quickAnswer || o.deadline() > slowAnswer) {
			t.Errorf("operation %d: %q %q answers within %v", op, o, o.method(), o.deadline())
		}
	}
	if b := openAt(t, "http://127.0.0.1:1", nil); b.patience.stall != 20*time.Second || b.patience.answer != slowAnswer {
		t.Errorf("a client waits %+v, want 20 s without a byte", b.patience)
	}
}

func TestAnIPv6Literal(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	var uri atomic.Value
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: sized(func(w http.ResponseWriter, r *http.Request) { uri.Store(r.Host + r.RequestURI) })}}
	s.Start()
	defer s.Close()
	b := openAt(t, "http://"+l.Addr().String(), nil)
	if _, err := b.Head(t.Context(), "k"); err != nil || uri.Load() != l.Addr().String()+"/test/k" {
		t.Errorf("got %v and asked %v, want the bucket in the path of %s", err, uri.Load(), l.Addr())
	}
}

const throughProxy = "OSSCLIENT_TEST_PROXY"

// behindProxy runs the test that calls it once more, in a process whose environment names a proxy, because
// net/http reads that once. The proxy answers by h, whatever host is asked. It reports whether this is the
// process behind the proxy.
func behindProxy(t *testing.T, h http.HandlerFunc) bool {
	t.Helper()
	if os.Getenv(throughProxy) != "" {
		return true
	}
	proxy := httptest.NewServer(sized(h))
	defer proxy.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	cmd.Env = []string{throughProxy + "=1", "HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
	}
	return false
}

func TestProxyOfTheEnvironment(t *testing.T) {
	var plain, connects atomic.Int32
	if behindProxy(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect && r.Host == "test.oss-cn-nowhere.example.com:443":
			connects.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.String() == "http://test.oss-cn-nowhere.example.com/k":
			plain.Add(1)
		}
	}) {
		b := openAt(t, "http://oss-cn-nowhere.example.com", nil)
		if _, err := b.Head(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		secure := openAt(t, "https://oss-cn-nowhere.example.com", func(c *Config) { c.RetryBudget = 10 * time.Millisecond })
		if _, err := secure.Head(t.Context(), "k"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("through a proxy that refuses: got %v", err)
		}
		return
	}
	if plain.Load() != 1 || connects.Load() < 1 {
		t.Errorf("the proxy saw %d plain requests and %d tunnels, want 1 and one at least", plain.Load(), connects.Load())
	}
}

// The region of a bucket that is only known by the accelerate endpoint is asked of a region's, with version
// 4: newer buckets refuse version 1.
func TestRegionIsAskedOfARegion(t *testing.T) {
	for _, c := range []struct{ bucket, want string }{{"here", "cn-hangzhou"}, {"told", "cn-hangzhou"}, {"elsewhere", "cn-shenzhen"}, {"none", ""}} {
		t.Run(c.bucket, func(t *testing.T) {
			if behindProxy(t, func(w http.ResponseWriter, r *http.Request) {
				scope := "/" + time.Now().UTC().Format("20060102") + "/cn-hangzhou/oss/aliyun_v4_request"
				if r.URL.String() != "http://"+c.bucket+".oss-cn-hangzhou.aliyuncs.com/?location" || !strings.Contains(r.Header.Get("Authorization"), scope) {
					t.Errorf("asked %s, signed %q", r.URL, r.Header.Get("Authorization"))
				}
				switch c.bucket {
				case "told":
					io.WriteString(w, "<LocationConstraint>oss-cn-hangzhou</LocationConstraint>")
					return
				case "none":
					w.WriteHeader(http.StatusNotFound)
					io.WriteString(w, "<Error><Code>NoSuchBucket</Code></Error>")
					return
				}
				w.WriteHeader(http.StatusForbidden)
				if io.WriteString(w, "<Error><Code>AccessDenied</Code>"); c.bucket == "elsewhere" {
					io.WriteString(w, "<Endpoint>oss-cn-shenzhen.aliyuncs.com</Endpoint>")
				}
				io.WriteString(w, "</Error>")
			}) {
				b, err := Open(t.Context(), Config{Bucket: c.bucket, Endpoint: "http://oss-accelerate.aliyuncs.com", Credentials: staticKey{Credential{ID: "id", Secret: "s"}}})
				if err != nil {
					if c.want != "" || !errors.Is(err, ErrNotExist) {
						t.Error(err)
					}
					return
				}
				defer b.Close()
				if b.Region() != c.want || b.Endpoint() != "http://"+c.bucket+".oss-accelerate.aliyuncs.com" {
					t.Errorf("got %q at %s, want %q at the accelerate endpoint", b.Region(), b.Endpoint(), c.want)
				}
			}
		})
	}
}
