package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithmV4     = "OSS4-HMAC-SHA256"
	terminatorV4    = "aliyun_v4_request"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// scopeV4 is a Credential: who signed, on which day, for which region.
type scopeV4 struct{ id, date, region string }

func (s scopeV4) String() string { return s.date + "/" + s.region + "/oss/" + terminatorV4 }

func (v *Verifier) scope(text, argument, ec, regionEC string) (scopeV4, *Error) {
	// An access key id has no slash, so the last four parts are the scope.
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[3] != "oss" || parts[4] != terminatorV4 || parts[0] == "" || len(parts[1]) != 8 {
		return scopeV4{}, invalidArgument(argument, text, "The credential in the signature is invalid.", ec)
	}
	s := scopeV4{parts[0], parts[1], parts[2]}
	if v.Region != "" && s.region != v.Region {
		// https://help.aliyun.com/en/oss/user-guide/0002-00000228
		return scopeV4{}, invalidArgument(argument, text, "Invalid signing region in Authorization header.", regionEC)
	}
	return s, nil
}

// headerV4 reads "Credential=..., AdditionalHeaders=a;b, Signature=...".
func (v *Verifier) headerV4(r *Request, auth string) (*method, *Error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(auth, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || value == "" && name != "AdditionalHeaders" {
			// https://help.aliyun.com/en/oss/support/0002-00000202
			return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000202")
		}
		fields[name] = value
	}
	if fields["Credential"] == "" || fields["Signature"] == "" {
		return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000202")
	}
	list, present := fields["AdditionalHeaders"]
	if err := additionalHeaders(list, present, auth, "0002-00000209", "0002-00000210"); err != nil {
		return nil, err
	}
	scope, err := v.scope(fields["Credential"], "Authorization", "0002-00000213", "0002-00000228")
	if err != nil {
		return nil, err
	}
	if payload := r.Header.Get("X-Oss-Content-Sha256"); payload != unsignedPayload {
		return nil, invalidArgument("x-oss-content-sha256", payload, "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD.", "0002-00000214")
	}
	at, text, ok := requestTime(r)
	if !ok {
		return nil, accessDenied("OSS authentication requires a valid Date.", "0002-00000502")
	}
	if err := v.checkClock(at); err != nil {
		return nil, err
	}
	if at.UTC().Format("20060102") != scope.date {
		return nil, invalidArgument("Authorization", auth, "The date in the credential is not the date of the request.", "0002-00000213")
	}
	if r.Header.Get("X-Oss-Date") == "" {
		text = at.UTC().Format(isoTime)
	}
	m := r.methodV4(scope, toISO(at, text), list, func(string) bool { return false })
	m.provided = fields["Signature"]
	m.token = r.Header.Get("X-Oss-Security-Token")
	return m, nil
}

// toISO is the time as the string to sign has it.
func toISO(at time.Time, text string) string {
	if _, err := time.Parse(isoTime, text); err == nil {
		return text
	}
	return at.UTC().Format(isoTime)
}

// queryV4 reads a signed URL (https://help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls).
func (v *Verifier) queryV4(r *Request) (*method, *Error) {
	credential, _ := r.param("x-oss-credential")
	scope, err := v.scope(credential, "x-oss-credential", "0002-00000224", "0002-00000226")
	if err != nil {
		return nil, err
	}
	date, _ := r.param("x-oss-date")
	at, parseErr := time.Parse(isoTime, date)
	if parseErr != nil {
		return nil, invalidArgument("x-oss-date", date, "The x-oss-date parameter is invalid.", "0002-00000222")
	}
	life, _ := r.param("x-oss-expires")
	seconds, parseErr := strconv.ParseInt(life, 10, 64)
	if parseErr != nil || seconds < 1 || seconds > int64(maxExpires/time.Second) {
		return nil, invalidArgument("x-oss-expires", life, "The x-oss-expires parameter is invalid.", "0002-00000223")
	}
	now := v.Now()
	if at.After(now.Add(MaxSkew)) {
		return nil, v.checkClock(at)
	}
	if end := at.Add(time.Duration(seconds) * time.Second); now.After(end) {
		return nil, expired(end, now)
	}
	additional, _ := r.param("x-oss-additional-headers")
	m := r.methodV4(scope, date, additional, func(name string) bool { return name == "x-oss-signature" })
	m.provided, _ = r.param("x-oss-signature")
	m.token, _ = r.param("x-oss-security-token")
	return m, nil
}

func (r *Request) methodV4(scope scopeV4, date, additional string, skip func(string) bool) *method {
	extra := strings.Split(additional, ";")
	payload := r.Header.Get("X-Oss-Content-Sha256")
	if payload == "" {
		payload = unsignedPayload
	}
	path := "/"
	if r.Bucket != "" {
		path += r.Bucket + "/" + r.Key
	}
	canonical := strings.Join([]string{
		r.Method,
		Escape(path, true),
		canonicalQuery(r.Query, skip),
		canonicalHeaders(r, func(name string) bool {
			return strings.HasPrefix(name, "x-oss-") || name == "content-type" || name == "content-md5" ||
				additional != "" && slices.Contains(extra, name)
		}),
		additional,
		payload,
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	toSign := algorithmV4 + "\n" + date + "\n" + scope.String() + "\n" + hex.EncodeToString(sum[:])
	return &method{
		id:     scope.id,
		toSign: toSign,
		detail: [][2]string{{"CanonicalRequest", canonical}},
		expected: func(secret string) string {
			key := hmacSHA256([]byte("aliyun_v4"+secret), scope.date)
			for _, step := range []string{scope.region, "oss", terminatorV4} {
				key = hmacSHA256(key, step)
			}
			return hex.EncodeToString(hmacSHA256(key, toSign))
		},
	}
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
