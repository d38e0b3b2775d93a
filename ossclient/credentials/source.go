package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// Source is one place that may have credentials. String names it for people and never holds a secret.
// Retrieve asks anew each time; the [Provider] is what remembers.
type Source interface {
	Retrieve(ctx context.Context) (ossclient.Credential, error)
	String() string
}

// The names of the sources, for [Options.Only].
const (
	NameEnv        = "env"
	NameOIDC       = "oidc"
	NameAssumeRole = "assume-role"
	NameOSS        = "oss"
	NameShared     = "shared"
	NameCLI        = "cli"
	NameOSSUtil    = "ossutil"
	NamePasswd     = "passwd"
	NameProcess    = "process"
	NameURI        = "uri"
	NameECS        = "ecs"
)

// Options says where to look. The zero value is the default chain of this process.
type Options struct {
	Profile   string // only this profile, of whichever file has it
	RAMRole   string // only the instance's role of this name, or AnyRole
	Anonymous bool   // no credentials: requests are not signed
	Only      string // only this source: one of the Name constants

	Bucket     string // chooses the line of a passwd file
	Region     string // of the bucket: its STS endpoint is asked; empty: the central one
	Process    string // a command that prints credentials as JSON; empty: env OSSFS_CREDENTIAL_PROCESS
	PasswdFile string // instead of the two default places of passwd-ossfs

	Env         func(string) string // nil: os.Getenv
	Home        string              // empty: the user's
	Etc         string              // empty: /etc
	HTTP        *http.Client        // for STS and credential URIs; nil: one that honours the proxies of the environment
	RootCAs     *x509.CertPool      // whom that one trusts; nil: the system's
	STSEndpoint string              // host or URL; empty: made from the region
	Logger      *slog.Logger        // nil: none
}

// kit is what sources are made with. It is immutable.
type kit struct {
	env       func(string) string
	home, etc string
	bucket    string
	http      *http.Client
	direct    *http.Client // never through a proxy: for link-local services
	sts       string       // URL of the STS endpoint that is asked unless a profile names another
	log       *slog.Logger
}

func newKit(o Options) *kit {
	k := &kit{env: o.Env, home: o.Home, etc: o.Etc, bucket: o.Bucket, http: o.HTTP, log: o.Logger}
	if k.env == nil {
		k.env = os.Getenv
	}
	getenv := k.env
	k.env = func(name string) string { return strings.TrimSpace(getenv(name)) }
	if k.home == "" {
		k.home = homeDir(k.env)
	}
	if k.etc == "" {
		k.etc = "/etc"
	}
	if k.http == nil {
		k.http = newClient(http.ProxyFromEnvironment, o.RootCAs)
	}
	k.direct = newClient(nil, nil)
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.sts = k.stsEndpoint(stsPlace{endpoint: o.STSEndpoint, region: o.Region})
	return k
}

// homeDir knows the home of a service that was started without HOME, too.
func homeDir(env func(string) string) string {
	if home := env("HOME"); home != "" {
		return home
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// newClient makes a client for a few requests an hour: no connection is kept, so none is left behind.
// Redirects are not followed: credentials come from where they were asked, or not at all.
func newClient(proxy func(*http.Request) (*url.URL, error), trusted *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 proxy,
			TLSClientConfig:       &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
			DisableKeepAlives:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// static holds credentials that were written down somewhere.
type static struct {
	where string
	open  sealed
}

var _ Source = static{}

// newStatic checks what was written down: the values go into headers.
func newStatic(where string, c ossclient.Credential) (static, error) {
	if err := check(c); err != nil {
		return static{}, unusable("%v", err)
	}
	return static{where, seal(c)}, nil
}

func (s static) String() string { return s.where }

func (s static) Retrieve(context.Context) (ossclient.Credential, error) { return s.open(), nil }

// check refuses what cannot be an access key; its error names the field and never the value.
func check(c ossclient.Credential) error {
	for _, f := range []struct {
		name, value string
		optional    bool
	}{{"access key ID", c.ID, false}, {"access key secret", c.Secret, false}, {"security token", c.Token, true}} {
		if f.value == "" && !f.optional {
			return fmt.Errorf("the %s is empty", f.name)
		}
		if strings.ContainsFunc(f.value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return fmt.Errorf("the %s holds a character that no key has (a blank, a line end, ...)", f.name)
		}
	}
	return nil
}
