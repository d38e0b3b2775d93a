// Package ossservertest starts OSS servers for tests.
package ossservertest

import (
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// What NewTest's server has.
const (
	Bucket = "test"
	KeyID  = "test-id"
	Secret = "test-secret"
	Region = "cn-hangzhou"
)

// Server is a started server and its endpoint.
type Server struct {
	*ossserver.Server
	Endpoint string // "http://127.0.0.1:PORT"
}

// NewTest starts a server with the bucket "test" and the access key "test-id", "test-secret" (besides those of o).
// It is closed when the test ends.
func NewTest(t testing.TB, o ossserver.Options) *Server {
	t.Helper()
	o.Keys = append(o.Keys, ossserver.Key{ID: KeyID, Secret: Secret})
	s, err := ossserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the OSS server: %v", err)
		}
	})
	if !s.HasBucket(Bucket) {
		if err := s.CreateBucket(Bucket); err != nil {
			t.Fatal(err)
		}
	}
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &Server{s, endpoint}
}
