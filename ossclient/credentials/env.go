package credentials

import (
	"context"

	"github.com/ossfs/ossfs/ossclient"
)

// environment reads the keys of the environment. Both families of names are complete in themselves:
// an ID of one is never joined with a secret of the other.
type environment struct {
	env func(string) string
}

var _ Source = environment{}

// families are the names in the order in which they are asked for.
func families() [][3]string {
	return [][3]string{
		{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
		{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
	}
}

func (environment) String() string {
	return "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID or OSS_ACCESS_KEY_ID)"
}

func (e environment) Retrieve(context.Context) (ossclient.Credential, error) {
	var half error
	for _, names := range families() {
		c := ossclient.Credential{ID: e.env(names[0]), Secret: e.env(names[1]), Token: e.env(names[2])}
		switch {
		case c.ID == "" && c.Secret == "":
		case c.ID == "":
			half = unusable("%s is set and %s is not", names[1], names[0])
		case c.Secret == "":
			half = unusable("%s is set and %s is not", names[0], names[1])
		default:
			if err := check(c); err != nil {
				return ossclient.Credential{}, unusable("%s and its secret: %v", names[0], err)
			}
			return c, nil
		}
	}
	if half != nil {
		return ossclient.Credential{}, half
	}
	return ossclient.Credential{}, absent("neither is set")
}

// bareKey is the environment as it stands in the chain: where ALIBABA_CLOUD_ROLE_ARN is set beside a key,
// the key is not what requests are signed with but what the role is assumed with
// (https://aliyun.github.io/elastic-compute-control-cli/docs/credentials/ram-role-arn).
type bareKey struct {
	environment
}

var _ Source = bareKey{}

func (b bareKey) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	c, err := b.environment.Retrieve(ctx)
	if err == nil && b.env(envRoleARN) != "" && b.env(envOIDCProviderARN) == "" {
		return ossclient.Credential{}, absent("%s is set: the key serves to assume that role", envRoleARN)
	}
	return c, err
}
