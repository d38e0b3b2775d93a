package ossclient

import (
	"crypto/sha1"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signerV1 makes signatures of version 1
// (https://help.aliyun.com/en/oss/developer-reference/include-signatures-in-the-authorization-header).
type signerV1 struct{}

func (v *signerV1) sign(s *signing) {
	date := s.signedByDate()
	s.header[headerAuthorization] = []string{"OSS " + s.cred.ID + ":" + v.signature(s, date)}
}

func (v *signerV1) presign(s *signing, ttl time.Duration) []param {
	expires := strconv.FormatInt(s.now.Add(ttl).Unix(), 10)
	params := slices.Clone(s.params)
	if s.cred.Token != "" {
		params = append(params, param{"security-token", s.cred.Token})
		sortParams(params)
	}
	signed := *s
	signed.params = params
	params = append(params,
		param{"Expires", expires},
		param{"OSSAccessKeyId", s.cred.ID},
		param{"Signature", v.signature(&signed, expires)},
	)
	sortParams(params)
	return params
}

func (v *signerV1) signature(s *signing, date string) string {
	b := s.appendPlain(make([]byte, 0, 512), date)
	b = append(b, s.resource()...)
	joint := byte('?')
	for _, p := range s.params {
		if !signedByV1(p.name) {
			continue
		}
		b = append(b, joint)
		b = append(b, p.name...)
		if p.value != "" {
			b = append(b, '=')
			b = append(b, p.value...)
		}
		joint = '&'
	}
	return mac64(sha1.New, s.cred.Secret, b)
}

// signedByV1 reports whether a parameter is part of a V1 signature: the sub-resources and the
// overrides of response headers are; prefix, marker and their like are not.
func signedByV1(name string) bool {
	switch name {
	case "acl", "append", "bucketInfo", "continuation-token", "delete", "location", "objectMeta", "partNumber",
		"position", "restore", "security-token", "sequential", "stat", "symlink", "tagging", "uploadId", "uploads",
		"versionId", "versioning", "versions", "callback", "callback-var", "regionList", "cloudboxes":
		return true
	}
	return strings.HasPrefix(name, "response-") || strings.HasPrefix(name, "x-oss-")
}
