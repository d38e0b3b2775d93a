package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

// clientConfig is the client's configuration for a bucket. The function ends the renewal of its
// credentials.
func (s *connection) clientConfig(bucket string, log *slog.Logger) (ossclient.Config, func(), error) {
	cfg := ossclient.Config{
		Bucket: bucket, Region: s.region, Endpoint: s.endpoint,
		Internal: s.internal, Accelerate: s.accelerate, Dualstack: s.dualstack,
		Addressing: s.addressing.value, Sign: s.sign.value,
		UserAgent: "ossfs/" + version, Logger: log,
	}
	from := credentials.Options{
		Only: s.source, Profile: s.profile, RAMRole: s.ramRole, Anonymous: s.anonymous, Bucket: bucket, Region: s.region, Logger: log,
	}
	if s.caBundle != "" {
		path, err := filepath.Abs(s.caBundle) // the daemon leaves the directory it was started in
		if err != nil {
			return cfg, nil, failf("--ca-bundle %s: %w", s.caBundle, err)
		}
		cfg.CABundle = path
		if from.RootCAs, err = ossclient.CertPool(path); err != nil { // what stands before OSS may stand before STS
			return cfg, nil, failf("%w", err)
		}
	}
	if s.credentials != nil {
		cfg.Credentials = s.credentials
		return cfg, func() {}, nil
	}
	provider, err := credentials.Chain(from)
	if err != nil {
		return cfg, nil, failf("credentials: %w", err)
	}
	if !provider.Anonymous() { // nil is what makes a client sign nothing
		cfg.Credentials = provider
	}
	return cfg, provider.Close, nil
}

// hideSecrets takes the keys that the chain has read out of the environment: fusermount3 and other
// children need none of them. The command of a demo, which has a key of its own, keeps its user's.
func hideSecrets(c ossclient.Credentials) error {
	if _, ok := c.(*credentials.Provider); !ok {
		return nil
	}
	for _, name := range credentials.SecretVariables() {
		if err := os.Unsetenv(name); err != nil {
			return failf("environment: %w", err)
		}
	}
	return nil
}

// cutScheme is what follows a scheme, without a final slash.
func cutScheme(endpoint, scheme string) (host string, ok bool) {
	if len(endpoint) < len(scheme) || !strings.EqualFold(endpoint[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSuffix(endpoint[len(scheme):], "/"), true
}
