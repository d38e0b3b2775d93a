package credentials

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The values that must show nowhere. Each has a character that URLs escape.
const (
	testID     = "LTAItestIDnumber1234"
	testSecret = "base+SECRET/value=="
	testToken  = "base+TOKEN/value=="
	tempID     = "STS.temporaryID5678"
	tempSecret = "temp+SECRET/other=="
	tempToken  = "temp+TOKEN/other=="
)

// world is a machine: an environment and a home, neither with anything in it, and no metadata service.
type world struct {
	t    *testing.T
	vars map[string]string
	home string
	etc  string
	log  *lockedBuffer
	opt  Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, vars: map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, home: t.TempDir(), etc: t.TempDir(), log: &lockedBuffer{}}
	w.opt = Options{
		Env: func(name string) string { return w.vars[name] }, Home: w.home, Etc: w.etc,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return w
}

func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	if strings.HasPrefix(name, "/etc/") {
		path = filepath.Join(w.etc, strings.TrimPrefix(name, "/etc/"))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) provider() *Provider {
	w.t.Helper()
	p, err := Chain(w.opt)
	if err != nil {
		w.t.Fatalf("Chain: %v", err)
	}
	w.t.Cleanup(p.Close)
	return p
}

// metadata points the chain to a metadata service.
func (w *world) metadata(url string) {
	delete(w.vars, "ALIBABA_CLOUD_ECS_METADATA_DISABLED")
	w.vars["ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT"] = url
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// wantKey retrieves and compares the ID, the secret and the token, given as "id secret token".
func wantKey(t *testing.T, p *Provider, want string) {
	t.Helper()
	c, err := p.Retrieve(context.Background())
	if err != nil {
		t.Fatalf("Retrieve: %v", err)
	}
	if got := strings.TrimSpace(c.ID + " " + c.Secret + " " + c.Token); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
