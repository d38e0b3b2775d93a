package ossclient

import (
	"errors"
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
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { uri.Store(r.Host + r.RequestURI) })}}
	s.Start()
	defer s.Close()
	b := openAt(t, "http://"+l.Addr().String(), nil)
	if _, err := b.Head(t.Context(), "k"); err != nil || uri.Load() != l.Addr().String()+"/test/k" {
		t.Errorf("got %v and asked %v, want the bucket in the path of %s", err, uri.Load(), l.Addr())
	}
}

const throughProxy = "OSSCLIENT_TEST_PROXY"

// The proxy of the environment is asked; net/http reads that once, so a process of its own has to.
func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv(throughProxy) != "" {
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
	var plain, connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect && r.Host == "test.oss-cn-nowhere.example.com:443":
			connects.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.String() == "http://test.oss-cn-nowhere.example.com/k":
			plain.Add(1)
		}
	}))
	defer proxy.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
	cmd.Env = []string{throughProxy + "=1", "HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
	}
	if plain.Load() != 1 || connects.Load() < 1 {
		t.Errorf("the proxy saw %d plain requests and %d tunnels, want 1 and one at least", plain.Load(), connects.Load())
	}
}
