package credentials

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	envRoleARN         = "ALIBABA_CLOUD_ROLE_ARN"
	envSessionName     = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
	envExternalID      = "ALIBABA_CLOUD_EXTERNAL_ID"
	envOIDCProviderARN = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
	envOIDCTokenFile   = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
)

const sessionLifetime = time.Hour // the most a role allows unless its owner raised it

// role is a RAM role that is to be assumed.
type role struct {
	arn, session, external, policy string
	lifetime                       time.Duration // 0: sessionLifetime
}

func (r role) form() url.Values {
	lifetime := r.lifetime
	if lifetime <= 0 {
		lifetime = sessionLifetime
	}
	form := url.Values{
		"RoleArn":         {r.arn},
		"RoleSessionName": {first(r.session, sessionName())},
		"DurationSeconds": {strconv.Itoa(int(lifetime.Seconds()))},
	}
	if r.policy != "" {
		form.Set("Policy", r.policy)
	}
	return form
}

// sessionName is what the bucket's logs and ActionTrail show: this program on this machine. STS allows
// 2 to 64 letters, digits and ".@-_".
func sessionName() string {
	host, err := os.Hostname()
	if err != nil {
		return "ossfs"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, "ossfs-"+host)
	return name[:min(len(name), 64)]
}

// assumedRole is a role that is assumed with other credentials, which are asked for at each renewal.
type assumedRole struct {
	base Source
	role role
	sts  sts
}

var _ Source = assumedRole{}

func (a assumedRole) String() string {
	return fmt.Sprintf("role %s, assumed with %s", a.role.arn, a.base)
}

func (a assumedRole) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	base, err := a.base.Retrieve(ctx)
	if err != nil {
		return ossclient.Credential{}, err
	}
	form := a.role.form()
	if a.role.external != "" {
		form.Set("ExternalId", a.role.external)
	}
	return a.sts.call(ctx, "AssumeRole", form, &base)
}

// oidcRole is a role that is assumed with the token of a Kubernetes service account (RRSA:
// https://www.alibabacloud.com/help/doc-detail/356611.html).
// The token's file is rewritten while the pod runs, so it is read at each renewal.
type oidcRole struct {
	role      role
	provider  string
	tokenFile string
	sts       sts
}

var _ Source = oidcRole{}

func (o oidcRole) String() string {
	return fmt.Sprintf("role %s, assumed with the OIDC token in %s", o.role.arn, o.tokenFile)
}

func (o oidcRole) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	data, err := readFile(o.tokenFile)
	if err != nil {
		return ossclient.Credential{}, &failure{why: "the OIDC token", err: err}
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return ossclient.Credential{}, &failure{why: fmt.Sprintf("the OIDC token file %s is empty", o.tokenFile), temporary: true}
	}
	form := o.role.form()
	form.Set("OIDCProviderArn", o.provider)
	form.Set("OIDCToken", token)
	c, err := o.sts.call(ctx, "AssumeRoleWithOIDC", form, nil)
	if f, ok := err.(*failure); ok {
		f.why = scrub(f.why, &ossclient.Credential{Token: token})
	}
	return c, err
}

// envRole is the role that the environment describes.
func (k *kit) envRole() role {
	return role{arn: k.env(envRoleARN), session: k.env(envSessionName), external: k.env(envExternalID)}
}

// envOIDC is the OIDC role of the environment.
type envOIDC struct{ kit *kit }

var _ Source = envOIDC{}

func (e envOIDC) String() string {
	return "the OIDC role of the environment (" + envOIDCTokenFile + ")"
}

func (e envOIDC) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	k := e.kit
	var missing []string
	for _, name := range []string{envOIDCProviderARN, envOIDCTokenFile, envRoleARN} {
		if k.env(name) == "" {
			missing = append(missing, name)
		}
	}
	switch {
	case k.env(envOIDCProviderARN) == "" && k.env(envOIDCTokenFile) == "":
		return ossclient.Credential{}, absent("it is not set")
	case len(missing) > 0:
		return ossclient.Credential{}, unusable("%s is not set", strings.Join(missing, ", "))
	}
	return oidcRole{k.envRole(), k.env(envOIDCProviderARN), k.env(envOIDCTokenFile), sts{k.http, k.sts}}.Retrieve(ctx)
}

// envAssumed is the role of the environment over the first key that is found.
type envAssumed struct {
	kit   *kit
	bases []Source
}

var _ Source = envAssumed{}

func (e envAssumed) String() string { return "the role of the environment (" + envRoleARN + ")" }

func (e envAssumed) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	switch {
	case e.kit.env(envRoleARN) == "":
		return none, absent("it is not set")
	case e.kit.env(envOIDCProviderARN) != "":
		return none, absent("it belongs to %s", envOIDCProviderARN)
	}
	for _, base := range e.bases {
		c, err := base.Retrieve(ctx)
		if _, passed := asPassedOver(err); passed {
			continue
		}
		if err != nil {
			return none, err
		}
		return assumedRole{static{base.String(), seal(c)}, e.kit.envRole(), sts{e.kit.http, e.kit.sts}}.Retrieve(ctx)
	}
	return none, unusable("there is no access key to assume it with")
}
