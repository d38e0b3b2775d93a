package ossclient

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signerV1 makes signatures of version 1
// (https://help.aliyun.com/en/oss/developer-reference/include-signatures-in-the-authorization-header).
type signerV1 struct{}

func (v *signerV1) sign(s *signing) {
	date := s.now.UTC().Format(http.TimeFormat)
	s.header[headerDate] = []string{date}
	if s.cred.Token != "" {
		s.header[headerToken] = []string{s.cred.Token}
	}
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
	b := make([]byte, 0, 512)
	b = append(b, s.method...)
	b = append(b, '\n')
	b = append(b, s.header.Get(headerContentMD5)...)
	b = append(b, '\n')
	b = append(b, s.header.Get(headerContentType)...)
	b = append(b, '\n')
	b = append(b, date...)
	b = append(b, '\n')
	b = appendHeaders(b, canonicalHeaders(nil, s.header, func(string) bool { return false }))
	b = append(b, '/')
	if s.bucket != "" {
		b = append(b, s.bucket...)
		b = append(b, '/')
	}
	b = append(b, s.key...)
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
	h := hmac.New(sha1.New, []byte(s.cred.Secret))
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
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
