package credentials

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	envURI     = "ALIBABA_CLOUD_CREDENTIALS_URI"
	uriTimeout = 15 * time.Second
)

// uriSource is a service that hands out credentials to whoever asks it. Its URL may itself be a secret.
type uriSource struct {
	http *http.Client
	url  secret
}

var _ Source = uriSource{}

func (k *kit) uri(raw string) Source { return uriSource{k.http, hide(raw)} }

func (u uriSource) String() string {
	parsed, err := url.Parse(u.url.reveal())
	if err != nil {
		return "the credentials URI"
	}
	return "the credentials URI " + placeOf(parsed)
}

func (u uriSource) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	parsed, err := url.Parse(u.url.reveal())
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return none, unusable("it is not an http(s) URL")
	}
	req, err := http.NewRequest(http.MethodGet, parsed.String(), nil)
	if err != nil {
		return none, unusable("it cannot be asked")
	}
	ctx, cancel := context.WithTimeout(ctx, uriTimeout)
	defer cancel()
	r, err := do(ctx, u.http, req)
	if err != nil {
		return none, err
	}
	if r.status != http.StatusOK {
		return none, &failure{why: fmt.Sprintf("%s answered with status %d", placeOf(parsed), r.status), temporary: passing(r.status)}
	}
	c, err := parseAnswer(r.body)
	if err != nil {
		return none, &failure{why: placeOf(parsed), err: err}
	}
	c.Expires = localExpiry(c.Expires, r.skew)
	return c, nil
}

// envURISource is the URI of the environment.
type envURISource struct{ kit *kit }

var _ Source = envURISource{}

func (envURISource) String() string { return "the credentials URI of the environment (" + envURI + ")" }

func (e envURISource) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	raw := e.kit.env(envURI)
	if raw == "" {
		return ossclient.Credential{}, absent("it is not set")
	}
	if e.kit.noExternal() {
		return ossclient.Credential{}, unusable("%s is set", envNoExternal)
	}
	return e.kit.uri(raw).Retrieve(ctx)
}
