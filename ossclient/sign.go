package ossclient

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The values of Config.Sign.
const (
	signV1 = "v1"
	signV2 = "v2"
	signV4 = "v4"
)

// Names of headers in Go's canonical spelling.
const (
	headerAuthorization = "Authorization"
	headerContentMD5    = "Content-Md5"
	headerContentType   = "Content-Type"
	headerDate          = "Date"
	headerOSSDate       = "X-Oss-Date"
	headerSHA256        = "X-Oss-Content-Sha256"
	headerToken         = "X-Oss-Security-Token"

	ossPrefix = "X-Oss-" // of the headers that every version signs
)

// signing is a request as its signature sees it.
type signing struct {
	method string
	bucket string
	key    string      // empty: the bucket itself
	params []param     // sorted by name
	header http.Header // the signer adds its own
	cred   Credential
	now    time.Time // the server's clock
	extra  []string  // headers to sign although the version would not: lower case, sorted
}

// signer puts a signature into the headers, or makes the parameters of a signed URL.
type signer interface {
	sign(s *signing)
	presign(s *signing, ttl time.Duration) []param
}

var (
	_ signer = (*signerV1)(nil)
	_ signer = (*signerV2)(nil)
	_ signer = (*signerV4)(nil)
)

func signVersion(name string) (string, error) {
	switch name {
	case signV1, signV2, signV4:
		return name, nil
	}
	return "", fmt.Errorf("signature version %q: want v4, v2 or v1", name)
}

func newSigner(version, region string) signer {
	switch version {
	case signV1:
		return &signerV1{}
	case signV2:
		return &signerV2{}
	}
	return &signerV4{region: region}
}

// ossHeader is one header of the canonical form: its name in lower case and its values joined.
type ossHeader struct{ name, value string }

// canonicalHeaders collects the x-oss-* headers, those named and the extra ones, sorted by their names in
// lower case. dst is memory to use.
func (s *signing) canonicalHeaders(dst []ossHeader, named ...string) []ossHeader {
	for name, values := range s.header {
		if !strings.HasPrefix(name, ossPrefix) && !slices.Contains(named, name) && !s.isExtra(name) {
			continue
		}
		value := strings.TrimSpace(values[0])
		for _, v := range values[1:] {
			value += "," + strings.TrimSpace(v)
		}
		dst = append(dst, ossHeader{lowerHeader(name), value})
	}
	slices.SortFunc(dst, func(a, b ossHeader) int { return strings.Compare(a.name, b.name) })
	return dst
}

func (s *signing) isExtra(name string) bool {
	return slices.ContainsFunc(s.extra, func(extra string) bool { return strings.EqualFold(extra, name) })
}

// lowerHeader is strings.ToLower without its allocation for the headers of most requests.
func lowerHeader(name string) string {
	switch name {
	case headerOSSDate:
		return "x-oss-date"
	case headerSHA256:
		return "x-oss-content-sha256"
	case headerToken:
		return "x-oss-security-token"
	case headerContentType:
		return "content-type"
	case headerContentMD5:
		return "content-md5"
	case "X-Oss-Range-Behavior":
		return "x-oss-range-behavior"
	}
	return strings.ToLower(name)
}

// signedByDate puts the date and the token where versions 1 and 2 want them, and returns the date.
func (s *signing) signedByDate() string {
	date := s.now.UTC().Format(http.TimeFormat)
	s.header[headerDate] = []string{date}
	if s.cred.Token != "" {
		s.header[headerToken] = []string{s.cred.Token}
	}
	return date
}

// appendPlain appends what versions 1 and 2 sign first: the method, two headers of the content and the
// date, a line each, and then the OSS headers.
func (s *signing) appendPlain(b []byte, date string) []byte {
	for _, line := range []string{s.method, s.header.Get(headerContentMD5), s.header.Get(headerContentType), date} {
		b = append(b, line...)
		b = append(b, '\n')
	}
	return appendHeaders(b, s.canonicalHeaders(nil))
}

// resource is what a request is about: "/bucket/key".
func (s *signing) resource() string {
	if s.bucket == "" {
		return "/" + s.key
	}
	return "/" + s.bucket + "/" + s.key
}

// mac64 is the base64 of the HMAC of a text.
func mac64(h func() hash.Hash, secret string, text []byte) string {
	m := hmac.New(h, []byte(secret))
	m.Write(text)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func appendHeaders(dst []byte, list []ossHeader) []byte {
	for _, h := range list {
		dst = append(dst, h.name...)
		dst = append(dst, ':')
		dst = append(dst, h.value...)
		dst = append(dst, '\n')
	}
	return dst
}

// sortParams brings parameters into the order of their escaped names, which is that of the signatures.
func sortParams(params []param) {
	slices.SortStableFunc(params, func(a, b param) int { return strings.Compare(escapeQuery(a.name), escapeQuery(b.name)) })
}
