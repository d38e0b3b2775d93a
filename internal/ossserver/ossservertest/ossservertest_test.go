package ossservertest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
)

func TestNewTestServesItsBucket(t *testing.T) {
	s := NewTest(t, ossserver.Options{})
	if err := s.Put(Bucket, "k", []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(s.Endpoint + "/test/k")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "<Code>AccessDenied</Code>") {
		t.Errorf("anonymous GET of a private object: %d %s %v, want 403 AccessDenied", res.StatusCode, body, err)
	}
}

func TestClientReadsWhatTheServerHas(t *testing.T) {
	s := NewTest(t, ossserver.Options{})
	if err := s.Put(Bucket, "k", []byte("value"), nil); err != nil {
		t.Fatal(err)
	}
	body, err := s.Client(t).Get(t.Context(), ossclient.GetRequest{Key: "k", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != "value" {
		t.Errorf("Get = %q, %v, want %q", got, err, "value")
	}
}
