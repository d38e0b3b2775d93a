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

// payloadUnsigned is shared by the headers of all requests, which do not change it.
var payloadUnsigned = []string{unsignedPayload}

// signerV4 makes signatures of version 4
// (https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4). The body is
// not part of the signature: its CRC-64 is compared instead.
type signerV4 struct {
	region string
	key    atomic.Pointer[keyV4]   // the last signing key derived: one for each secret and day
	stamp  atomic.Pointer[stampV4] // the last time written: one for each second
}

// stampV4 is a second as signatures write it. Requests of that second share it as a header, which none changes.
type stampV4 struct {
	second int64 // of Unix
	header []string
}

// keyV4 is the key that a secret gives for a day.
type keyV4 struct {
	secret, date string
	scope        string    // what the key is good for
	desks        sync.Pool // of *deskV4
}

// deskV4 is what making a signature takes: memory for its texts, and an HMAC into which the key is worked once.
type deskV4 struct {
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

func (v *signerV4) sign(s *signing) {
	date := v.stampOf(s.now)
	stamp := date[0]
	s.header[headerOSSDate] = date
	s.header[headerSHA256] = payloadUnsigned
	if s.cred.Token != "" {
		s.header[headerToken] = []string{s.cred.Token}
	}
	key := v.signingKey(s.cred.Secret, stamp[:8])

	b := make([]byte, 0, 256)
	b = append(b, algorithmV4+" Credential="...)
	b = append(b, s.cred.ID...)
	b = append(b, '/')
	b = append(b, key.scope...)
	if len(s.extra) > 0 {
		b = append(b, ",AdditionalHeaders="...)
		b = append(b, strings.Join(s.extra, ";")...)
	}
	b = append(b, ",Signature="...)
	b = key.appendSignature(b, s, stamp)
	s.header[headerAuthorization] = []string{string(b)}
}

func (v *signerV4) presign(s *signing, ttl time.Duration) []param {
	stamp := v.stampOf(s.now)[0]
	key := v.signingKey(s.cred.Secret, stamp[:8])
	params := append(slices.Clone(s.params),
		param{"x-oss-signature-version", algorithmV4},
		param{"x-oss-date", stamp},
		param{"x-oss-expires", strconv.FormatInt(int64(ttl/time.Second), 10)},
		param{"x-oss-credential", s.cred.ID + "/" + key.scope},
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
	params = append(params, param{"x-oss-signature", string(key.appendSignature(nil, &signed, stamp))})
	sortParams(params)
	return params
}

// appendSignature appends the hexadecimal signature of the request as it stands.
func (k *keyV4) appendSignature(b []byte, s *signing, stamp string) []byte {
	d := k.desks.Get().(*deskV4)
	defer k.desks.Put(d)
	d.text = appendCanonicalV4(d.text[:0], s)
	hashed := sha256.Sum256(d.text)

	d.text = append(d.text[:0], algorithmV4+"\n"...)
	d.text = append(d.text, stamp...)
	d.text = append(d.text, '\n')
	d.text = append(d.text, k.scope...)
	d.text = append(d.text, '\n')
	d.text = hex.AppendEncode(d.text, hashed[:])
	d.mac.Reset()
	d.mac.Write(d.text)
	return hex.AppendEncode(b, d.mac.Sum(d.sum[:0]))
}

// appendCanonicalV4 appends the canonical request: method, path, query, headers, the names of the
// additional headers, and the payload's hash, a line each.
func appendCanonicalV4(b []byte, s *signing) []byte {
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

// stampOf writes a time, as the header that has it.
func (v *signerV4) stampOf(now time.Time) []string {
	second := now.Unix()
	if t := v.stamp.Load(); t != nil && t.second == second {
		return t.header
	}
	t := &stampV4{second, []string{now.UTC().Format(timeV4)}}
	v.stamp.Store(t)
	return t.header
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
	k := newKeyV4(secret, date, v.region, key)
	v.key.Store(k)
	return k
}

func newKeyV4(secret, date, region string, key []byte) *keyV4 {
	k := &keyV4{secret: secret, date: date, scope: date + "/" + region + "/oss/aliyun_v4_request"}
	k.desks.New = func() any { return &deskV4{mac: hmac.New(sha256.New, key)} }
	return k
}

func hmac256(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
