package main

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

const (
	checkPatience = 8 * time.Second // a mount that cannot work says so within ten seconds
	checkBudget   = 4 * time.Second // for the repetitions of one request
)

// checkBucket asks the bucket for one key, so that what would make every later request fail is said
// before anything is mounted. It returns the configuration completed with the region it found.
func checkBucket(ctx context.Context, cfg ossclient.Config, prefix ossclient.Key) (ossclient.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	quick := cfg
	quick.RetryBudget = checkBudget
	bucket, err := ossclient.Open(ctx, quick)
	if err != nil {
		return cfg, explain(err, cfg, cfg.Endpoint)
	}
	defer bucket.Close()
	if _, err := bucket.List(ctx, ossclient.ListRequest{Prefix: prefix, MaxKeys: 1}); err != nil {
		return cfg, explain(err, cfg, bucket.Endpoint())
	}
	cfg.Region = bucket.Region()
	return cfg, nil
}

// explain puts the failure of a first request into one line for the person at the keyboard.
func explain(err error, cfg ossclient.Config, endpoint string) error {
	var refused *ossclient.Error
	if !errors.As(err, &refused) {
		return failf("oss://%s: %w", cfg.Bucket, err)
	}
	why, todo := explainCode(refused, cfg, endpoint)
	if why == "" {
		why, todo = explainNetwork(refused, endpoint)
	}
	if why == "" {
		return failf("%w", err)
	}
	text := fmt.Sprintf("oss://%s: %s: %s", cfg.Bucket, why, todo)
	if refused.RequestID != "" {
		text += fmt.Sprintf(" [%s, request %s]", refused.Code, refused.RequestID)
	}
	return &failure{status: exitFailed, text: text, cause: err}
}

// explainCode knows the answers of OSS (https://help.aliyun.com/en/oss/support/http-status-code).
func explainCode(e *ossclient.Error, cfg ossclient.Config, endpoint string) (why, todo string) {
	message := strings.ToLower(e.Message)
	switch e.Code {
	case "NoSuchBucket":
		return "there is no such bucket at " + endpoint, "check its name, --region and --endpoint"
	case "InvalidAccessKeyId":
		return "the access key ID is not known there, or disabled", "check the credentials (ossfs doctor shows where they come from)"
	case "SignatureDoesNotMatch":
		return "the access key secret does not belong to the access key ID", "check the credentials (ossfs doctor shows where they come from)"
	case "RequestTimeTooSkewed":
		return "this machine's clock is wrong" + skewOf(e), "set it: timedatectl set-ntp true"
	case "SecurityTokenExpired", "InvalidSecurityToken", "SecurityTokenNotSupported":
		return "the security token is expired or not valid", "renew the temporary credentials"
	case "UserDisable", "AccountNotActive":
		return "the account that owns the bucket is disabled", "check its bills"
	case "AccessDenied":
		if strings.Contains(message, "endpoint") {
			return "the bucket lies in another region than " + regionOr(cfg, endpoint), "give its own with --region or --endpoint"
		}
		if cfg.Credentials == nil {
			return "the bucket is not public", "leave --anonymous away and give credentials"
		}
		return "these credentials may not list it", "grant oss:ListObjects (and GetObject, PutObject, DeleteObject, AbortMultipartUpload, ListParts) on the bucket"
	case "InvalidArgument", "InvalidRequest", "AuthorizationHeaderMalformed":
		if strings.Contains(message, "region") {
			return "the bucket lies in another region than " + regionOr(cfg, endpoint), "give its own with --region"
		}
	}
	switch {
	case errors.Is(e, ossclient.ErrCredentials):
		detail := ""
		if e.Err != nil {
			detail = " (" + e.Err.Error() + ")"
		}
		return "no credentials" + detail, "ossfs doctor shows what was tried"
	case errors.Is(e, ossclient.ErrInvalid) && e.Status == 0 && e.Err != nil:
		return e.Err.Error(), "see ossfs help mount"
	}
	return "", ""
}

func skewOf(e *ossclient.Error) string {
	if e.Message == "" {
		return ""
	}
	return " (" + strings.TrimSuffix(e.Message, ".") + ")"
}

func regionOr(cfg ossclient.Config, endpoint string) string {
	if cfg.Region != "" {
		return cfg.Region
	}
	return endpoint
}

// explainNetwork is for requests that no service answered.
func explainNetwork(e *ossclient.Error, endpoint string) (why, todo string) {
	const check = "check --endpoint, --region and the network"
	var (
		dns      *net.DNSError
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		notHTTPS tls.RecordHeaderError
		network  net.Error
	)
	switch {
	case errors.As(e, &dns):
		return "the name " + dns.Name + " cannot be resolved", check
	case errors.As(e, &unknown):
		return "the certificate of " + endpoint + " is signed by nobody this machine trusts", "give its authority with --ca-bundle FILE"
	case errors.As(e, &verify):
		return "the certificate of " + endpoint + " is not valid (" + verify.Err.Error() + ")", check
	case errors.As(e, &notHTTPS), strings.Contains(e.Error(), "gave HTTP response to HTTPS client"):
		return endpoint + " does not speak TLS", "write http:// before the endpoint if that is meant"
	case errors.Is(e, syscall.ECONNREFUSED):
		return endpoint + " refuses the connection", check
	case errors.Is(e, syscall.EHOSTUNREACH), errors.Is(e, syscall.ENETUNREACH):
		return endpoint + " cannot be reached", check
	case errors.Is(e, context.DeadlineExceeded), errors.As(e, &network) && network.Timeout():
		return endpoint + " does not answer", check
	case errors.Is(e, ossclient.ErrUnavailable) && e.Status == 0:
		return endpoint + " cannot be reached (" + causeOf(e).Error() + ")", check
	}
	return "", ""
}

// causeOf is the innermost error.
func causeOf(err error) error {
	var e *ossclient.Error
	if errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
