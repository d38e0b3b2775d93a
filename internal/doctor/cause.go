package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/ossfs/ossfs/ossclient"
)

// Cause says in words why a request failed, and what to do about it.
type Cause struct {
	What string // empty: it is not one of those that are known
	Cure string // may be empty: then only the caller knows what was to be allowed
}

const checkNetwork = "check --endpoint, --region and the network"

// Explain finds the cause of an error of ossclient's, or of a dialled connection's. endpoint is where the
// request went.
func Explain(err error, cfg ossclient.Config, endpoint string) Cause {
	var refused *ossclient.Error
	if errors.As(err, &refused) {
		if c := byCode(refused, cfg, endpoint); c.What != "" {
			return c
		}
	}
	if c := byProxy(err, endpoint); c.What != "" {
		return c
	}
	if c := byNetwork(err, endpoint); c.What != "" {
		return c
	}
	if refused != nil && errors.Is(err, ossclient.ErrUnavailable) && refused.Status == 0 {
		return Cause{fmt.Sprintf("%s cannot be reached (%s)", endpoint, oneLine(innermost(refused))), checkNetwork}
	}
	return Cause{}
}

// byCode knows the codes of OSS (https://help.aliyun.com/en/oss/support/http-status-code).
func byCode(e *ossclient.Error, cfg ossclient.Config, endpoint string) Cause {
	switch e.Code {
	case "NoSuchBucket":
		return Cause{"there is no such bucket at " + endpoint, "check its name, --region and --endpoint"}
	case "InvalidAccessKeyId":
		return Cause{"the access key ID is not known there, or disabled", "use a key that is enabled in RAM (ossfs doctor shows where this one comes from)"}
	case "SignatureDoesNotMatch":
		return Cause{"the access key secret does not belong to the access key ID", "correct the secret (ossfs doctor shows where it comes from)"}
	case "RequestTimeTooSkewed":
		return Cause{"this machine's clock is wrong" + detail(e.Message), "set it: timedatectl set-ntp true"}
	case "SecurityTokenExpired", "InvalidSecurityToken", "SecurityTokenNotSupported":
		return Cause{"the security token is expired or not valid", "renew the temporary credentials"}
	case "UserDisable", "AccountNotActive":
		return Cause{"the account that owns the bucket is disabled", "check its bills"}
	}
	switch {
	case e.EC == "0002-00000080":
		return Cause{"the bucket takes no signatures of version 1 any more", "sign with version 4 (--sign v4), and give --region"}
	case wrongRegion(e):
		asked := cfg.Region
		if asked == "" {
			asked = endpoint
		}
		return Cause{"the bucket lies in another region than " + asked, "give its own with --region or --endpoint"}
	case e.Code == "AccessDenied" && cfg.Credentials == nil:
		return Cause{"not allowed: the bucket is not public", "leave --anonymous away and give credentials"}
	case e.Code == "AccessDenied":
		return Cause{What: "not allowed" + detail(e.Message)}
	case errors.Is(e, ossclient.ErrCredentials):
		return Cause{"no credentials" + detail(innermost(e)), "ossfs doctor shows what was tried"}
	case errors.Is(e, ossclient.ErrInvalid) && e.Status == 0 && e.Err != nil:
		return Cause{oneLine(e.Err.Error()), "correct the command line"}
	}
	return Cause{}
}

// detail is a text in brackets.
func detail(text string) string {
	if text = strings.TrimSuffix(oneLine(text), "."); text == "" {
		return ""
	}
	return " (" + text + ")"
}

// wrongRegion knows how OSS says that a bucket is asked for in the wrong place.
func wrongRegion(e *ossclient.Error) bool {
	message := strings.ToLower(e.Message)
	switch e.Code {
	case "AccessDenied":
		return strings.Contains(message, "must be addressed") || strings.Contains(message, "specified endpoint")
	case "InvalidArgument", "InvalidRequest", "AuthorizationHeaderMalformed":
		return strings.Contains(message, "region")
	}
	return false
}

// innermost is the text of the cause below the client's own words.
func innermost(e *ossclient.Error) string {
	for {
		var inner *ossclient.Error
		if e.Err == nil {
			return e.Error()
		}
		if !errors.As(e.Err, &inner) {
			return e.Err.Error()
		}
		e = inner
	}
}

// byProxy is for requests that did not get past the proxy of the environment, which the endpoint has no part in.
func byProxy(err error, endpoint string) Cause {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "proxyconnect" { // so net/http wraps what keeps it from a proxy
		return Cause{}
	}
	name := "the proxy"
	if u, err := url.Parse(endpoint); err == nil {
		if p, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && p != nil {
			name += " " + p.Scheme + "://" + p.Host // without its user and password
		}
	}
	c := byNetwork(op.Err, name)
	if c.What == "" {
		c.What = fmt.Sprintf("%s cannot be reached (%s)", name, oneLine(op.Err.Error()))
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		c.What = name + ": " + c.What
	}
	c.Cure = "correct HTTPS_PROXY (for http endpoints HTTP_PROXY), or name the endpoint in NO_PROXY"
	return c
}

// byNetwork is for requests that no service answered.
func byNetwork(err error, endpoint string) Cause {
	var (
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		verify   *tls.CertificateVerificationError
		notHTTPS tls.RecordHeaderError
		network  net.Error
	)
	switch {
	case errors.As(err, &dns):
		return Cause{fmt.Sprintf("the name %s cannot be resolved", dns.Name), "check --endpoint, --region and /etc/resolv.conf"}
	case errors.As(err, &unknown):
		return Cause{"the certificate of " + endpoint + " is signed by nobody this machine trusts", "install ca-certificates, or give the authority with --ca-bundle FILE"}
	case errors.As(err, &verify):
		return Cause{fmt.Sprintf("the certificate of %s is not valid: %v", endpoint, verify.Err), "check --endpoint, and this machine's clock"}
	case errors.As(err, &notHTTPS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return Cause{endpoint + " does not speak TLS", "write http:// before the endpoint if that is meant"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Cause{endpoint + " refuses the connection", checkNetwork}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Cause{endpoint + " cannot be reached", checkNetwork}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Cause{endpoint + " does not answer in time", checkNetwork + "; on ECS without a public address use --internal"}
	}
	return Cause{}
}
