package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const checkNetwork = "check --endpoint, --region and the network"

// diagnose puts an error into words: what is wrong, and what to do about it.
func diagnose(err error, cfg ossclient.Config, endpoint string) (found, cure string) {
	var refused *ossclient.Error
	if errors.As(err, &refused) {
		if found, cure = byCode(refused, cfg, endpoint); found != "" {
			return found, cure
		}
	}
	if found, cure = byNetwork(err, endpoint); found != "" {
		return found, cure
	}
	return oneLine(err.Error()), ""
}

// byCode knows the codes of OSS (https://help.aliyun.com/en/oss/support/http-status-code).
func byCode(e *ossclient.Error, cfg ossclient.Config, endpoint string) (found, cure string) {
	where := " [" + strings.TrimSpace(e.Code+" "+e.EC) + ", request " + e.RequestID + "]"
	switch e.Code {
	case "NoSuchBucket":
		return fmt.Sprintf("there is no bucket %s at %s", cfg.Bucket, endpoint) + where, "check its name, --region and --endpoint"
	case "InvalidAccessKeyId":
		return "the access key ID is unknown there, or disabled" + where, "use a key that is enabled in RAM; the check credentials says where this one came from"
	case "SignatureDoesNotMatch":
		return "the access key secret does not belong to the access key ID" + where, "correct the secret; the check credentials says where it came from"
	case "RequestTimeTooSkewed":
		return "this machine's clock is wrong" + where, "set the clock: timedatectl set-ntp true"
	case "SecurityTokenExpired", "InvalidSecurityToken", "SecurityTokenNotSupported":
		return "the security token is expired or not valid" + where, "renew the temporary credentials"
	case "UserDisable", "AccountNotActive":
		return "the bucket's owner is disabled" + where, "check the account's bills"
	case "AccessDenied":
		if wrongRegion(e) {
			return "the bucket lies in another region than " + endpoint + where, "give its own region with --region, or its endpoint with --endpoint"
		}
		return "not allowed: " + oneLine(e.Message) + where, ""
	}
	switch {
	case wrongRegion(e):
		return fmt.Sprintf("the bucket does not lie in the region %s", cfg.Region) + where, "give its own region with --region"
	case errors.Is(e, ossclient.ErrCredentials):
		return oneLine(innermost(e)), "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, write ~/.oss/credentials, or use --profile, --ram-role or --anonymous"
	case errors.Is(e, ossclient.ErrInvalid) && e.Status == 0 && e.Err != nil:
		return oneLine(e.Err.Error()), "correct the command line"
	}
	return "", ""
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

// byNetwork is for requests that no service answered.
func byNetwork(err error, endpoint string) (found, cure string) {
	var (
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		verify   *tls.CertificateVerificationError
		notHTTPS tls.RecordHeaderError
		network  net.Error
	)
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s cannot be resolved", dns.Name), "check --endpoint, --region and /etc/resolv.conf"
	case errors.As(err, &unknown):
		return "the certificate of " + endpoint + " is signed by nobody this machine trusts", "install ca-certificates, or give the authority with --ca-bundle FILE"
	case errors.As(err, &verify):
		return fmt.Sprintf("the certificate of %s is not valid: %v", endpoint, verify.Err), "check --endpoint, and this machine's clock"
	case errors.As(err, &notHTTPS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return endpoint + " does not speak TLS", "write http:// before the endpoint if that is meant"
	case errors.Is(err, syscall.ECONNREFUSED):
		return endpoint + " refuses the connection", checkNetwork
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return endpoint + " cannot be reached", checkNetwork
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return endpoint + " does not answer in time", checkNetwork + "; on ECS without a public address use --internal"
	}
	return "", ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// millis is a duration for people.
func millis(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}

// size is a number of bytes for people, in binary units.
func size(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 || unit == "TiB" {
			if unit == "B" || v >= 100 || v == float64(int64(v)) {
				return fmt.Sprintf("%.0f %s", v, unit)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1024
	}
	return ""
}
