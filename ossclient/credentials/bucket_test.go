package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// instance is a metadata service that gives the first key until it is told to give the second.
func instance(t *testing.T, moved *atomic.Bool) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "first"
		if moved.Load() {
			name = "second"
		}
		switch r.URL.Path {
		case "/latest/api/token":
			fmt.Fprint(w, "session")
		case "/latest/meta-data/ram/security-credentials/":
			fmt.Fprint(w, "role")
		default:
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"STS.%[1]s","AccessKeySecret":"secret-of-%[1]s","SecurityToken":"token/of+%[1]s=","Expiration":%[2]q}`,
				name, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The whole way: the chain finds the instance's role, a bucket is read with its token, the token is
// revoked, and the next request is answered all the same.
func TestBucketOfARole(t *testing.T) {
	var moved atomic.Bool
	key := func(name string, expires time.Time) ossserver.Key {
		return ossserver.Key{ID: "STS." + name, Secret: "secret-of-" + name, Token: "token/of+" + name + "=", Expires: expires}
	}
	now := time.Now()
	var clock atomic.Pointer[time.Time]
	clock.Store(&now)
	s := ossservertest.NewTest(t, ossserver.Options{
		Keys: []ossserver.Key{key("first", now.Add(5*time.Minute)), key("second", now.Add(time.Hour))},
		Now:  func() time.Time { return *clock.Load() },
	})
	vars := map[string]string{"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": instance(t, &moved)}
	p, err := Chain(Options{Env: func(name string) string { return vars[name] }, Home: t.TempDir(), Etc: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, sign := range []string{"v4", "v2", "v1"} {
		b, err := ossclient.Open(context.Background(), ossclient.Config{
			Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: p, Sign: sign, RetryBudget: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.List(context.Background(), ossclient.ListRequest{}); err != nil {
			t.Errorf("%s: %v", sign, err)
		}
		b.Close()
	}

	b, err := ossclient.Open(context.Background(), ossclient.Config{
		Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: p, RetryBudget: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	later := now.Add(10 * time.Minute) // the first token is over for the server, not for the source
	clock.Store(&later)
	_, err = b.List(context.Background(), ossclient.ListRequest{})
	if !errors.Is(err, ossclient.ErrPermission) {
		t.Errorf("got %v, want the refusal: what was just looked up is not looked up again", err)
	}
	moved.Store(true)
	p.mu.Lock()
	p.renewed = p.renewed.Add(-time.Minute) // as if that had been a while ago
	p.mu.Unlock()
	if _, err := b.List(context.Background(), ossclient.ListRequest{}); err != nil {
		t.Errorf("got %v, want that the request is repeated with the new token", err)
	}
	if got, want := p.Status().KeyID, Mask("STS.second"); got != want {
		t.Errorf("got the key %s, want %s", got, want)
	}
}
