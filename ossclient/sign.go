package ossclient

import (
	"fmt"
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

// canonicalHeaders collects the x-oss-* headers and those that want accepts, sorted by their names in
// lower case. dst is memory to use.
func canonicalHeaders(dst []ossHeader, h http.Header, want func(lower string) bool) []ossHeader {
	for name, values := range h {
		lower := lowerHeader(name)
		if !strings.HasPrefix(lower, "x-oss-") && !want(lower) {
			continue
		}
		value := strings.TrimSpace(values[0])
		for _, v := range values[1:] {
			value += "," + strings.TrimSpace(v)
		}
		dst = append(dst, ossHeader{lower, value})
	}
	slices.SortFunc(dst, func(a, b ossHeader) int { return strings.Compare(a.name, b.name) })
	return dst
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
	case "X-Oss-Range-Behavior":
		return "x-oss-range-behavior"
	}
	return strings.ToLower(name)
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
