package ossclient

import (
	"crypto/sha256"
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
	date := s.signedByDate()
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
	b := s.appendPlain(make([]byte, 0, 512), date)
	b = append(b, strings.Join(s.extra, ";")...)
	b = append(b, '\n')
	b = appendEscaped(b, s.resource(), false)
	if len(s.params) > 0 {
		b = append(b, '?')
		b = append(b, encodeParams(s.params)...)
	}
	return mac64(sha256.New, s.cred.Secret, b)
}
