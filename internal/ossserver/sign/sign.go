package sign

import (
	"crypto/hmac"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxSkew is how far a request's clock may be from the server's.
const MaxSkew = 15 * time.Minute

// maxExpires is the longest life of a V4 signature in a URL.
const maxExpires = 7 * 24 * time.Hour

// Param is one query parameter, decoded, in the request's order.
type Param struct {
	Name, Value string
	Bare        bool // without "="
}

// Request is what a signature covers.
type Request struct {
	Method string
	Bucket string // empty for the service itself
	Key    string // decoded; empty for a bucket
	Query  []Param
	Header http.Header
	Host   string
}

// Secret is what the server knows of an access key.
type Secret struct {
	Secret  string
	Token   string    // the STS token that must come along; empty for a permanent key
	Expires time.Time // of a temporary key; zero: never
}

// Verifier checks requests.
type Verifier struct {
	Look   func(id string) (Secret, bool)
	Now    func() time.Time
	Region string // that V4 signatures must name; empty: any
}

// Error is a refusal, with OSS's status, code and message.
type Error struct {
	Status  int
	Code    string
	Message string
	EC      string
	Detail  [][2]string // further elements of the error document, in order
}

// Error is the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// method is one way to sign.
type method struct {
	id       string
	token    string
	provided string // the signature that came
	expected func(secret string) string
	toSign   string
	detail   [][2]string
}

// Verify returns the access key id that signed r; empty when r is not signed at all.
func (v *Verifier) Verify(r *Request) (id string, err *Error) {
	m, err := v.method(r)
	if err != nil || m == nil {
		return "", err
	}
	known, ok := v.Look(m.id)
	if !ok || known.Token != "" && m.token == "" {
		return "", &Error{
			Status: http.StatusForbidden, Code: "InvalidAccessKeyId", EC: "0002-00000902",
			Message: "The OSS Access Key Id you provided does not exist in our records.",
			Detail:  [][2]string{{"OSSAccessKeyId", m.id}},
		}
	}
	if known.Token != m.token {
		return "", &Error{
			Status: http.StatusForbidden, Code: "InvalidSecurityToken", EC: "0002-00000901",
			Message: "The security token you provided is invalid.",
		}
	}
	if !known.Expires.IsZero() && v.Now().After(known.Expires) {
		return "", &Error{
			Status: http.StatusForbidden, Code: "SecurityTokenExpired", EC: "0002-00000903",
			Message: "The security token you provided has expired.",
		}
	}
	if !hmac.Equal([]byte(m.expected(known.Secret)), []byte(m.provided)) {
		return "", mismatch(m)
	}
	return m.id, nil
}

func mismatch(m *method) *Error {
	const hexDigits = "0123456789ABCDEF"
	var bytes strings.Builder
	for i := range len(m.toSign) {
		if i > 0 {
			bytes.WriteByte(' ')
		}
		bytes.WriteByte(hexDigits[m.toSign[i]>>4])
		bytes.WriteByte(hexDigits[m.toSign[i]&15])
	}
	return &Error{
		Status: http.StatusForbidden, Code: "SignatureDoesNotMatch", EC: "0002-00000001",
		Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
		Detail: append([][2]string{
			{"OSSAccessKeyId", m.id},
			{"SignatureProvided", m.provided},
			{"StringToSign", m.toSign},
			{"StringToSignBytes", bytes.String()},
		}, m.detail...),
	}
}

// method finds how r is signed; nil: not at all.
func (v *Verifier) method(r *Request) (*method, *Error) {
	auth := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(auth, algorithmV4+" "):
		return v.headerV4(r, strings.TrimPrefix(auth, algorithmV4+" "))
	case strings.HasPrefix(auth, "OSS2 "):
		return v.headerV2(r, strings.TrimPrefix(auth, "OSS2 "))
	case strings.HasPrefix(auth, "OSS "):
		return v.headerV1(r, strings.TrimPrefix(auth, "OSS "))
	case auth != "":
		return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000201")
	}
	switch version, _ := r.param("x-oss-signature-version"); {
	case version == algorithmV4:
		return v.queryV4(r)
	case version == "OSS2":
		return v.queryV2(r)
	case version != "":
		return nil, invalidArgument("x-oss-signature-version", version, "The signature version is invalid.", "0002-00000221")
	}
	if _, ok := r.param("Signature"); ok {
		return v.queryV1(r)
	}
	return nil, nil
}

func (r *Request) param(name string) (string, bool) {
	for _, p := range r.Query {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

func invalidArgument(name, value, message, ec string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "InvalidArgument", Message: message, EC: ec,
		Detail: [][2]string{{"ArgumentName", name}, {"ArgumentValue", value}},
	}
}

func accessDenied(message, ec string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: message, EC: ec}
}

// checkClock refuses a request whose time is too far from the server's
// (https://help.aliyun.com/en/oss/support/0002-00000504).
func (v *Verifier) checkClock(at time.Time) *Error {
	now := v.Now()
	if d := now.Sub(at); d <= MaxSkew && d >= -MaxSkew {
		return nil
	}
	const form = "2006-01-02T15:04:05.000Z"
	return &Error{
		Status: http.StatusForbidden, Code: "RequestTimeTooSkewed", EC: "0002-00000504",
		Message: "The difference between the request time and the current time is too large.",
		Detail: [][2]string{
			{"MaxAllowedSkewMilliseconds", strconv.FormatInt(MaxSkew.Milliseconds(), 10)},
			{"RequestTime", at.UTC().Format(form)},
			{"ServerTime", now.UTC().Format(form)},
		},
	}
}

// additionalHeaders refuses a list that is present and has nothing, or an empty name, in it.
func additionalHeaders(list string, present bool, auth, emptyEC, itemEC string) *Error {
	if present && list == "" {
		return invalidArgument("Authorization", auth, "The AdditionalHeaders field is empty.", emptyEC)
	}
	if present && slices.Contains(strings.Split(list, ";"), "") {
		return invalidArgument("Authorization", auth, "The AdditionalHeaders field has an empty item.", itemEC)
	}
	return nil
}

const isoTime = "20060102T150405Z"

// requestTime reads x-oss-date or Date, in either form.
func requestTime(r *Request) (time.Time, string, bool) {
	text := r.Header.Get("X-Oss-Date")
	if text == "" {
		text = r.Header.Get("Date")
	}
	if at, err := time.Parse(isoTime, text); err == nil {
		return at, text, true
	}
	at, err := http.ParseTime(text)
	return at, text, err == nil
}

func (v *Verifier) checkDate(r *Request) *Error {
	at, text, ok := requestTime(r)
	if text == "" {
		return accessDenied("OSS authentication requires a valid Date.", "0002-00000501")
	}
	if !ok {
		return accessDenied("OSS authentication requires a valid Date.", "0002-00000502")
	}
	return v.checkClock(at)
}

// checkExpiry refuses a signed URL after its time, given in seconds since 1970.
func (v *Verifier) checkExpiry(r *Request, name string) (string, *Error) {
	text, _ := r.param(name)
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", accessDenied("Invalid date (should be seconds since epoch): "+text, "0002-00000065")
	}
	if v.Now().Unix() > at {
		return "", expired(time.Unix(at, 0), v.Now())
	}
	return text, nil
}

func expired(at, now time.Time) *Error {
	const form = "2006-01-02T15:04:05.000Z"
	e := accessDenied("Request has expired.", "0002-00000069")
	e.Detail = [][2]string{{"Expires", at.UTC().Format(form)}, {"ServerTime", now.UTC().Format(form)}}
	return e
}

// canonicalHeaders is "name:value\n" for each header wanted, in order. Two headers of one name become one value.
func canonicalHeaders(r *Request, wanted func(lower string) bool) string {
	type line struct{ name, value string }
	var lines []line
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if !wanted(lower) {
			continue
		}
		trimmed := make([]string, len(values))
		for i, value := range values {
			trimmed[i] = strings.TrimSpace(value)
		}
		lines = append(lines, line{lower, strings.Join(trimmed, ",")})
	}
	if wanted("host") && r.Header["Host"] == nil {
		lines = append(lines, line{"host", r.Host})
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.name + ":" + l.value + "\n")
	}
	return b.String()
}

// canonicalQuery escapes the parameters and sorts them by name and value.
func canonicalQuery(query []Param, skip func(string) bool) string {
	type pair struct{ name, value string }
	var pairs []pair
	for _, p := range query {
		if !skip(p.Name) {
			pairs = append(pairs, pair{Escape(p.Name, false), Escape(p.Value, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		if p.value != "" {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}

// Escape percent-encodes all bytes but letters, digits, "-", ".", "_", "~" and, where slash is kept, "/".
func Escape(s string, keepSlash bool) string {
	const hexDigits = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '-' || c == '.' || c == '_' || c == '~' || c == '/' && keepSlash
	}
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if plain(s[i]) {
			b = append(b, s[i])
		} else {
			b = append(b, '%', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		}
	}
	return string(b)
}

// ParseQuery splits a raw query into decoded parameters, in their order. A part that does not decode is kept
// as it is.
func ParseQuery(raw string) []Param {
	var list []Param
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		list = append(list, Param{unescape(name), unescape(value), !found})
	}
	return list
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}
