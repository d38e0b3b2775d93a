package credentials

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	envMetadataRole     = "ALIBABA_CLOUD_ECS_METADATA"
	envMetadataDisabled = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
	envMetadataV1Off    = "ALIBABA_CLOUD_IMDSV1_DISABLED"
	envMetadataEndpoint = "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT"

	metadataService = "http://100.100.100.200"
	metadataRoles   = "/latest/meta-data/ram/security-credentials/"
	metadataTimeout = time.Second
	metadataTTL     = "21600" // seconds a token of the service lives; the most it allows
)

// instanceRole is the RAM role of the ECS instance, from its metadata service: with a session token
// (IMDSv2) first, and without one (IMDSv1) where the service does not know tokens and that is not
// forbidden (https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata).
type instanceRole struct {
	http  *http.Client // never through a proxy
	name  string       // empty: the service is asked
	base  string
	v1    bool
	asked bool // somebody chose this source: no service is a failure, not a reason to pass over
}

var _ Source = instanceRole{}

func (k *kit) instance(name string, asked bool) Source {
	base := first(k.env(envMetadataEndpoint), metadataService)
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return instanceRole{
		http:  k.direct,
		name:  first(name, k.env(envMetadataRole)),
		base:  strings.TrimSuffix(base, "/"),
		v1:    !strings.EqualFold(k.env(envMetadataV1Off), "true"),
		asked: asked || k.env(envMetadataRole) != "",
	}
}

func (i instanceRole) String() string {
	if i.name == "" {
		return "the RAM role of the ECS instance"
	}
	return fmt.Sprintf("the RAM role %s of the ECS instance", i.name)
}

func (i instanceRole) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	token, err := i.token(ctx)
	if err != nil {
		return none, err
	}
	name := i.name
	if name == "" {
		r, err := i.get(ctx, metadataRoles, token)
		if err != nil {
			return none, err
		}
		name, _, _ = strings.Cut(strings.TrimSpace(string(r.body)), "\n")
		if name = strings.TrimSpace(name); r.status == http.StatusNotFound || name == "" {
			return none, i.nothing("the instance has no RAM role attached", nil)
		}
		if r.status != http.StatusOK {
			return none, &failure{why: fmt.Sprintf("%s answered with status %d", i.base, r.status), temporary: passing(r.status)}
		}
	}
	r, err := i.get(ctx, metadataRoles+url.PathEscape(name), token)
	if err != nil {
		return none, err
	}
	switch {
	case r.status == http.StatusNotFound:
		return none, &failure{why: fmt.Sprintf("the instance has no RAM role %s", oneLine(name, 64))}
	case r.status != http.StatusOK:
		return none, &failure{why: fmt.Sprintf("%s answered with status %d", i.base, r.status), temporary: passing(r.status)}
	}
	c, err := parseAnswer(r.body)
	if err != nil {
		return none, &failure{why: i.base, err: err}
	}
	c.Expires = localExpiry(c.Expires, r.skew)
	return c, nil
}

// token opens an IMDSv2 session. It is empty where only IMDSv1 works and is allowed.
func (i instanceRole) token(ctx context.Context) (secret, error) {
	req, err := http.NewRequest(http.MethodPut, i.base+"/latest/api/token", nil)
	if err != nil {
		return secret{}, unusable("%s is not a URL", envMetadataEndpoint)
	}
	req.Header.Set("X-Aliyun-Ecs-Metadata-Token-Ttl-Seconds", metadataTTL)
	r, err := i.do(ctx, req)
	switch {
	case err != nil:
		return secret{}, i.nothing("there is no metadata service at "+i.base, err)
	case r.status == http.StatusOK && len(r.body) > 0:
		return hide(strings.TrimSpace(string(r.body))), nil
	case passing(r.status):
		return secret{}, &failure{why: fmt.Sprintf("%s answered with status %d", i.base, r.status), temporary: true}
	case !i.v1:
		return secret{}, i.nothing(fmt.Sprintf("%s gives no token (status %d) and %s is true", i.base, r.status, envMetadataV1Off), nil)
	}
	return secret{}, nil
}

// nothing is a failure when this source was chosen, and a reason to pass over it when it was only tried.
func (i instanceRole) nothing(why string, err error) error {
	if i.asked {
		return &failure{why: why, temporary: err != nil, err: err}
	}
	return absent("%s", why)
}

func (i instanceRole) get(ctx context.Context, path string, token secret) (reply, error) {
	req, err := http.NewRequest(http.MethodGet, i.base+path, nil)
	if err != nil {
		return reply{}, unusable("%s is not a URL", envMetadataEndpoint)
	}
	if t := token.reveal(); t != "" {
		req.Header.Set("X-Aliyun-Ecs-Metadata-Token", t)
	}
	return i.do(ctx, req)
}

func (i instanceRole) do(ctx context.Context, req *http.Request) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	return do(ctx, i.http, req)
}

// envInstance is the instance's role as the environment allows it.
type envInstance struct{ kit *kit }

var _ Source = envInstance{}

func (e envInstance) String() string { return e.kit.instance("", false).String() }

func (e envInstance) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	if strings.EqualFold(e.kit.env(envMetadataDisabled), "true") {
		return ossclient.Credential{}, absent("%s is true", envMetadataDisabled)
	}
	return e.kit.instance("", false).Retrieve(ctx)
}
