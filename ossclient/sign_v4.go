package ossclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	algorithmV4     = "OSS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	timeV4          = "20060102T150405Z"
)

// signerV4 makes signatures of version 4
// (https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4). The body is
// not part of the signature: its CRC-64 is compared instead.
type signerV4 struct {
	region string
	key    atomic.Pointer[keyV4] // the last signing key derived: one for each secret and day
}

type keyV4 struct {
	secret, date string
	macs         *sync.Pool // of hash.Hash: the key is worked into them once
}

func (v *signerV4) sign(s *signing) {
	stamp := s.now.UTC().Format(timeV4)
	s.header[headerOSSDate] = []string{stamp}
	s.header[headerSHA256] = []string{unsignedPayload}
	if s.cred.Token != "" {
		s.header[headerToken] = []string{s.cred.Token}
	}
	scope := v.scope(stamp[:8])
	signature := v.signature(s, stamp, scope)

	b := make([]byte, 0, 256)
	b = append(b, algorithmV4+" Credential="...)
	b = append(b, s.cred.ID...)
	b = append(b, '/')
	b = append(b, scope...)
	if len(s.extra) > 0 {
		b = append(b, ",AdditionalHeaders="...)
		b = append(b, strings.Join(s.extra, ";")...)
	}
	b = append(b, ",Signature="...)
	b = append(b, signature...)
	s.header[headerAuthorization] = []string{string(b)}
}

func (v *signerV4) presign(s *signing, ttl time.Duration) []param {
	stamp := s.now.UTC().Format(timeV4)
	scope := v.scope(stamp[:8])
	params := append(slices.Clone(s.params),
		param{"x-oss-signature-version", algorithmV4},
		param{"x-oss-date", stamp},
		param{"x-oss-expires", strconv.FormatInt(int64(ttl/time.Second), 10)},
		param{"x-oss-credential", s.cred.ID + "/" + scope},
	)
	if s.cred.Token != "" {
		params = append(params, param{"x-oss-security-token", s.cred.Token})
	}
	if len(s.extra) > 0 {
		params = append(params, param{"x-oss-additional-headers", strings.Join(s.extra, ";")})
	}
	sortParams(params)
	signed := *s
	signed.params = params
	params = append(params, param{"x-oss-signature", v.signature(&signed, stamp, scope)})
	sortParams(params)
	return params
}

func (v *signerV4) scope(date string) string { return date + "/" + v.region + "/oss/aliyun_v4_request" }

// signature is the hexadecimal signature of the request as it stands.
func (v *signerV4) signature(s *signing, stamp, scope string) string {
	buf := make([]byte, 0, 1024)
	buf = v.appendCanonical(buf, s)
	hashed := sha256.Sum256(buf)

	text := append(buf[:0], algorithmV4+"\n"...)
	text = append(text, stamp...)
	text = append(text, '\n')
	text = append(text, scope...)
	text = append(text, '\n')
	text = hex.AppendEncode(text, hashed[:])
	return v.signingKey(s.cred.Secret, stamp[:8]).sign(text)
}

// appendCanonical appends the canonical request: method, path, query, headers, the names of the
// additional headers, and the payload's hash, a line each.
func (v *signerV4) appendCanonical(b []byte, s *signing) []byte {
	b = append(b, s.method...)
	b = append(b, "\n/"...)
	if s.bucket != "" {
		b = append(b, s.bucket...)
		b = append(b, '/')
	}
	b = appendEscaped(b, s.key, true)
	b = append(b, '\n')
	b = append(b, encodeParams(s.params)...)
	b = append(b, '\n')
	var room [12]ossHeader
	b = appendHeaders(b, s.canonicalHeaders(room[:0], headerContentType, headerContentMD5))
	b = append(b, '\n')
	b = append(b, strings.Join(s.extra, ";")...)
	return append(b, "\n"+unsignedPayload...)
}

// signingKey derives the day's key from the secret.
func (v *signerV4) signingKey(secret, date string) *keyV4 {
	if k := v.key.Load(); k != nil && k.secret == secret && k.date == date {
		return k
	}
	key := hmac256([]byte("aliyun_v4"+secret), []byte(date))
	key = hmac256(key, []byte(v.region))
	key = hmac256(key, []byte("oss"))
	key = hmac256(key, []byte("aliyun_v4_request"))
	k := newKeyV4(secret, date, key)
	v.key.Store(k)
	return k
}

func newKeyV4(secret, date string, key []byte) *keyV4 {
	return &keyV4{secret: secret, date: date, macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sign is the hexadecimal HMAC of a text.
func (k *keyV4) sign(text []byte) string {
	m := k.macs.Get().(hash.Hash)
	defer k.macs.Put(m)
	m.Reset()
	m.Write(text)
	var room [sha256.Size]byte
	return hex.EncodeToString(m.Sum(room[:0]))
}

func hmac256(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
