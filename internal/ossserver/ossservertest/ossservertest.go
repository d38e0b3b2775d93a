// Package ossservertest starts OSS servers for tests.
package ossservertest

import (
	"context"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
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

// Client opens the bucket "test" with the server's key. It is closed when the test ends.
func (s *Server) Client(t testing.TB) *ossclient.Bucket {
	t.Helper()
	return s.ClientWith(t, func(*ossclient.Config) {})
}

// ClientWith is Client with a configuration that change has had a look at.
func (s *Server) ClientWith(t testing.TB, change func(*ossclient.Config)) *ossclient.Bucket {
	t.Helper()
	cfg := ossclient.Config{
		Bucket: Bucket, Region: Region, Endpoint: s.Endpoint, Addressing: "path",
		Credentials: static{ID: KeyID, Secret: Secret},
	}
	change(&cfg)
	b, err := ossclient.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// static is one credential for ever.
type static ossclient.Credential

// Retrieve returns it.
func (s static) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential(s), nil
}

var _ ossclient.Credentials = static{}
