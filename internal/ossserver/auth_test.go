package ossserver

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSignatures(t *testing.T) {
	now := time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)
	c := start(t, Options{Now: func() time.Time { return now }, Keys: []Key{
		{ID: "STS.a", Secret: "s", Token: "tok"}, {ID: "STS.old", Secret: "s", Token: "tok", Expires: now.Add(-time.Second)},
	}})
	c.put("k", "x")
	ok := func(change func(*http.Request)) answer {
		req := c.request(http.MethodGet, "/test/k", "")
		change(req)
		return c.send(req)
	}
	for _, x := range []struct {
		name   string
		status int
		code   string
		change func(*http.Request)
	}{
		{"right", 200, "", c.sign},
		{"within the skew", 200, "", func(r *http.Request) {
			r.Header.Set("Date", now.Add(-15*time.Minute).Format(http.TimeFormat))
			c.sign(r)
		}},
		{"late", 403, "RequestTimeTooSkewed", func(r *http.Request) {
			r.Header.Set("Date", now.Add(-16*time.Minute).Format(http.TimeFormat))
			c.sign(r)
		}},
		{"early", 403, "RequestTimeTooSkewed", func(r *http.Request) {
			r.Header.Set("Date", now.Add(16*time.Minute).Format(http.TimeFormat))
			c.sign(r)
		}},
		{"no date", 403, "AccessDenied", func(r *http.Request) { c.sign(r); r.Header.Del("Date") }},
		{"a header added", 403, "SignatureDoesNotMatch", func(r *http.Request) { c.sign(r); r.Header.Set("x-oss-range-behavior", "standard") }},
		{"a parameter added", 403, "SignatureDoesNotMatch", func(r *http.Request) { c.sign(r); r.URL.RawQuery = "acl" }},
		{"another method", 403, "SignatureDoesNotMatch", func(r *http.Request) { c.sign(r); r.Method = http.MethodDelete }},
		{"unknown key", 403, "InvalidAccessKeyId", func(r *http.Request) {
			c.sign(r)
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testID+":", "who:", 1))
		}},
		{"nonsense", 400, "InvalidArgument", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }},
		{"half", 400, "InvalidArgument", func(r *http.Request) { c.sign(r); r.Header.Set("Authorization", "OSS x") }},
		{"V4 without a part", 400, "InvalidArgument", func(r *http.Request) { c.sign(r); r.Header.Set("Authorization", "OSS4-HMAC-SHA256 Signature=x") }},
		{"V4, bad credential", 400, "InvalidArgument", func(r *http.Request) {
			r.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential=id/20261121/cn-hangzhou/oss/abc,Signature=x")
		}},
		{"V4, another region", 400, "InvalidArgument", func(r *http.Request) {
			r.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential=id/20261121/cn-beijing/oss/aliyun_v4_request,Signature=x")
		}},
		{"an unexpected token", 403, "InvalidSecurityToken", func(r *http.Request) { r.Header.Set("x-oss-security-token", "t"); c.sign(r) }},
	} {
		if a := ok(x.change); a.status != x.status || a.code != x.code {
			t.Errorf("%s: %d %s %v, want %d %s", x.name, a.status, a.code, a.err, x.status, x.code)
		}
	}
	a := ok(func(r *http.Request) { r.Header.Set("Date", now.Add(-time.Hour).Format(http.TimeFormat)); c.sign(r) })
	want(t, "ServerTime", element(a.body, "ServerTime"), "2026-11-21T11:00:00.000Z")
	want(t, "the answer's Date", a.header.Get("Date"), "Sat, 21 Nov 2026 11:00:00 GMT")
	a = ok(func(r *http.Request) { c.sign(r); r.Header.Set("x-oss-a", "1") })
	want(t, "StringToSign", element(a.body, "StringToSign"), "GET\n\n\nSat, 21 Nov 2026 11:00:00 GMT\nx-oss-a:1\n/test/k")
	if strings.Contains(a.body, testSecret) {
		t.Error("the answer tells the secret")
	}
}
