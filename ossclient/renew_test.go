package ossclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// rotating is a key that has been replaced: the old one is given until it is refused.
type rotating struct {
	keys     []ossclient.Credential
	rejected int
}

func (r *rotating) Retrieve(context.Context) (ossclient.Credential, error) {
	return r.keys[min(r.rejected, len(r.keys)-1)], nil
}

func (r *rotating) Rejected(ossclient.Credential) bool {
	r.rejected++
	return r.rejected < len(r.keys)
}

// A key that was rotated costs one refused request and not a mount.
func TestRefusedCredentialsAreLookedUpAgain(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	good := ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}
	old := ossclient.Credential{ID: "rotated-away", Secret: "x"}
	for _, test := range []struct {
		keys     []ossclient.Credential
		want     error
		rejected int
	}{
		{[]ossclient.Credential{good}, nil, 0},
		{[]ossclient.Credential{old, good}, nil, 1},
		{[]ossclient.Credential{old, old}, ossclient.ErrPermission, 2},
	} {
		source := &rotating{keys: test.keys}
		b, err := ossclient.Open(context.Background(), ossclient.Config{Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: source})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.List(context.Background(), ossclient.ListRequest{})
		b.Close()
		if !errors.Is(err, test.want) || source.rejected != test.rejected {
			t.Errorf("got %v after %d refusals, want %v after %d", err, source.rejected, test.want, test.rejected)
		}
	}
}

// none is a source that has nothing and says so for good.
type none struct{}

func (none) Error() string   { return "nothing is configured" }
func (none) Temporary() bool { return false }
func (n none) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{}, &ossclient.Error{Op: "GetCredentials", Kind: ossclient.ErrCredentials, Err: n}
}

func TestNoCredentialsAreSaidAtOnceAndOnce(t *testing.T) {
	b, err := ossclient.Open(context.Background(), ossclient.Config{Bucket: "bucket", Region: "cn-hangzhou", Endpoint: "http://127.0.0.1:1", Credentials: none{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = b.List(context.Background(), ossclient.ListRequest{})
	if !errors.Is(err, ossclient.ErrCredentials) || b.Stats().Retries != 0 {
		t.Errorf("got %v after %d retries, want ErrCredentials at once", err, b.Stats().Retries)
	}
	if n := strings.Count(err.Error(), ossclient.ErrCredentials.Error()); n != 1 {
		t.Errorf("%q says it %d times", err, n)
	}
}
