package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	stsVersion   = "2015-04-01"
	acsAlgorithm = "ACS3-HMAC-SHA256"
	acsTime      = "2006-01-02T15:04:05Z"
)

// sts asks the Security Token Service.
type sts struct {
	http *http.Client
	url  string
}

// stsPlace is what is known of where STS is to be asked.
type stsPlace struct {
	endpoint, region string
	vpc              bool
}

// stsEndpoint makes the URL: of an endpoint that was named, else of the region's, else of the central one.
func (k *kit) stsEndpoint(p stsPlace) string {
	endpoint := first(p.endpoint, k.env("ALIBABA_CLOUD_STS_ENDPOINT"))
	if endpoint == "" {
		region := first(p.region, k.env("ALIBABA_CLOUD_STS_REGION"))
		vpc := p.vpc || strings.EqualFold(k.env("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"), "true")
		switch {
		case region == "":
			endpoint = "sts.aliyuncs.com"
		case vpc:
			endpoint = "sts-vpc." + region + ".aliyuncs.com"
		default:
			endpoint = "sts." + region + ".aliyuncs.com"
		}
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	return strings.TrimSuffix(endpoint, "/") + "/"
}

func (k *kit) stsFor(p stsPlace) sts {
	if p == (stsPlace{}) {
		return sts{k.http, k.sts}
	}
	return sts{k.http, k.stsEndpoint(p)}
}

// call sends an action, signed with base or (nil) unsigned. All parameters travel in the body: URLs
// end up in logs. A clock that STS says is wrong is corrected once.
func (s sts) call(ctx context.Context, action string, form url.Values, base *ossclient.Credential) (ossclient.Credential, error) {
	var skew time.Duration
	for again := false; ; again = true {
		req, err := s.request(action, form, base, time.Now().Add(skew))
		if err != nil {
			return ossclient.Credential{}, err
		}
		r, err := do(ctx, s.http, req)
		if err != nil {
			return ossclient.Credential{}, err
		}
		if r.status == http.StatusOK {
			c, err := parseAnswer(r.body)
			if err == nil && (c.Token == "" || c.Expires.IsZero()) {
				err = fmt.Errorf("the answer has no token or no expiration")
			}
			if err != nil {
				return ossclient.Credential{}, &failure{why: action + " at " + placeOf(req.URL), err: err}
			}
			c.Expires = localExpiry(c.Expires, r.skew)
			return c, nil
		}
		code, failed := stsFailure(action, req.URL, r, base)
		if strings.Contains(code, "TimeStamp") && r.skew.Abs() > time.Minute && !again {
			skew = r.skew
			continue
		}
		return ossclient.Credential{}, failed
	}
}

func (s sts) request(action string, form url.Values, base *ossclient.Credential, now time.Time) (*http.Request, error) {
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, unusable("the STS endpoint is not a host or an http(s) URL")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, unusable("the STS endpoint %s is plain http: a token would travel unprotected; use https", placeOf(u))
	}
	body := form.Encode()
	req, err := http.NewRequest(http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, unusable("the STS endpoint cannot be asked")
	}
	sum := sha256.Sum256([]byte(body))
	for name, value := range map[string]string{
		"Accept":                "application/json",
		"Content-Type":          "application/x-www-form-urlencoded",
		"X-Acs-Action":          action,
		"X-Acs-Version":         stsVersion,
		"X-Acs-Date":            now.UTC().Format(acsTime),
		"X-Acs-Signature-Nonce": rand.Text(),
		"X-Acs-Content-Sha256":  hex.EncodeToString(sum[:]),
	} {
		req.Header.Set(name, value)
	}
	if base != nil {
		if base.Token != "" {
			req.Header.Set("X-Acs-Security-Token", base.Token)
		}
		req.Header.Set("Authorization", acsAuthorization(req, base))
	}
	return req, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// acsAuthorization signs a request whose X-Acs-Content-Sha256 is set: host, content-type and all
// x-acs-* headers (https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature).
func acsAuthorization(req *http.Request, c *ossclient.Credential) string {
	values := map[string]string{"host": req.URL.Host}
	for name := range req.Header {
		if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-acs-") {
			values[lower] = strings.TrimSpace(req.Header.Get(name))
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", req.Method, first(req.URL.EscapedPath(), "/"), acsQuery(req.URL))
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, values[name])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, req.Header.Get("X-Acs-Content-Sha256"))
	sum := sha256.Sum256([]byte(canonical.String()))
	mac := hmac.New(sha256.New, []byte(c.Secret))
	fmt.Fprintf(mac, "%s\n%s", acsAlgorithm, hex.EncodeToString(sum[:]))
	return fmt.Sprintf("%s Credential=%s,SignedHeaders=%s,Signature=%s", acsAlgorithm, c.ID, signed, hex.EncodeToString(mac.Sum(nil)))
}

// acsQuery is the query in canonical form: sorted, a blank as %20.
func acsQuery(u *url.URL) string { return strings.ReplaceAll(u.Query().Encode(), "+", "%20") }

// stsFailure is what STS says when it refuses. Its message may quote the string that was signed, with
// the token in it, so that one is left out and the rest is scrubbed.
func stsFailure(action string, u *url.URL, r reply, base *ossclient.Credential) (code string, err error) {
	why := fmt.Sprintf("%s at %s: status %d", action, placeOf(u), r.status)
	f, parseErr := jsonFields(r.body)
	if parseErr != nil {
		return "", &failure{why: why, temporary: passing(r.status)}
	}
	code = oneLine(f.get("Code"), 80)
	why = fmt.Sprintf("%s %s", why, code)
	if message := f.get("Message"); message != "" && !strings.Contains(code, "Signature") {
		why += " (" + oneLine(scrub(message, base), 200) + ")"
	}
	if id := f.get("RequestId"); id != "" {
		why += " [request " + oneLine(id, 60) + "]"
	}
	return code, &failure{why: why, temporary: passing(r.status) || strings.Contains(code, "Throttling")}
}
