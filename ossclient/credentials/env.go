package credentials

import (
	"context"

	"github.com/ossfs/ossfs/ossclient"
)

// environment has the keys of the environment as it was when the chain was made: a program may then take
// them out of it, so that its children do not get them. Both families of names are complete in
// themselves: an ID of one is never joined with a secret of the other.
type environment struct {
	keys func() []ossclient.Credential // one for each family; a function: see sealed
}

var _ Source = environment{}

func newEnvironment(env func(string) string) environment {
	var keys []ossclient.Credential
	for _, names := range families() {
		keys = append(keys, ossclient.Credential{ID: env(names[0]), Secret: env(names[1]), Token: env(names[2])})
	}
	return environment{func() []ossclient.Credential { return keys }}
}

// SecretVariables are the names of the variables of the environment that hold secrets. Once a chain is
// made it does not read them again.
func SecretVariables() []string {
	var names []string
	for _, family := range families() {
		names = append(names, family[1], family[2])
	}
	return names
}

// families are the names in the order in which they are asked for. The last is that of ossfs 1.x, in its
// spelling.
func families() [][3]string {
	return [][3]string{
		{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
		{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
		{"OSSACCESSKEYID", "OSSSECRETACCESSKEY", "OSSSSESSIONTOKEN"},
	}
}

func (environment) String() string {
	return "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID or OSS_ACCESS_KEY_ID)"
}

func (e environment) Retrieve(context.Context) (ossclient.Credential, error) {
	var half error
	keys := e.keys()
	for i, names := range families() {
		c := keys[i]
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
	kit *kit
}

var _ Source = bareKey{}

func (b bareKey) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	c, err := b.environment.Retrieve(ctx)
	if err == nil && b.kit.env(envRoleARN) != "" && b.kit.env(envOIDCProviderARN) == "" {
		return ossclient.Credential{}, absent("%s is set: the key serves to assume that role", envRoleARN)
	}
	return c, err
}
