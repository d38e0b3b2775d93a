package ossclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signerV2 makes signatures of version 2: as version 1, but with SHA-256, an escaped resource, all
// parameters and a list of additional headers
// (https://help.aliyun.com/en/oss/developer-reference/upgrade-signature-version).
type signerV2 struct{}

func (v *signerV2) sign(s *signing) {
	date := s.now.UTC().Format(http.TimeFormat)
	s.header[headerDate] = []string{date}
	if s.cred.Token != "" {
		s.header[headerToken] = []string{s.cred.Token}
	}
	value := "OSS2 AccessKeyId:" + s.cred.ID
	if len(s.extra) > 0 {
		value += ",AdditionalHeaders:" + strings.Join(s.extra, ";")
	}
	s.header[headerAuthorization] = []string{value + ",Signature:" + v.signature(s, date)}
}

func (v *signerV2) presign(s *signing, ttl time.Duration) []param {
	expires := strconv.FormatInt(s.now.Add(ttl).Unix(), 10)
	params := append(slices.Clone(s.params),
		param{"x-oss-signature-version", "OSS2"},
		param{"x-oss-expires", expires},
		param{"x-oss-access-key-id", s.cred.ID},
	)
	if s.cred.Token != "" {
		params = append(params, param{"security-token", s.cred.Token})
	}
	if len(s.extra) > 0 {
		params = append(params, param{"x-oss-additional-headers", strings.Join(s.extra, ";")})
	}
	sortParams(params)
	signed := *s
	signed.params = params
	params = append(params, param{"x-oss-signature", v.signature(&signed, expires)})
	sortParams(params)
	return params
}

func (v *signerV2) signature(s *signing, date string) string {
	b := make([]byte, 0, 512)
	b = append(b, s.method...)
	b = append(b, '\n')
	b = append(b, s.header.Get(headerContentMD5)...)
	b = append(b, '\n')
	b = append(b, s.header.Get(headerContentType)...)
	b = append(b, '\n')
	b = append(b, date...)
	b = append(b, '\n')
	b = appendHeaders(b, canonicalHeaders(nil, s.header, func(name string) bool { return slices.Contains(s.extra, name) }))
	b = append(b, strings.Join(s.extra, ";")...)
	b = append(b, '\n')
	resource := "/"
	if s.bucket != "" {
		resource += s.bucket + "/"
	}
	b = appendEscaped(b, resource+s.key, false)
	if len(s.params) > 0 {
		b = append(b, '?')
		b = append(b, encodeParams(s.params)...)
	}
	h := hmac.New(sha256.New, []byte(s.cred.Secret))
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
