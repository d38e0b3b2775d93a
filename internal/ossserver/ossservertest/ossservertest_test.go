package ossservertest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
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
