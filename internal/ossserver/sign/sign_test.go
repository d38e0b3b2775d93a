package sign

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":            "",
		"aZ0-._~":     "aZ0-._~",
		"a b+c/é\x00": "a%20b%2Bc/%C3%A9%00",
		"%*'()!":      "%25%2A%27%28%29%21",
	} {
		if got := Escape(in, true); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Escape("a/b", false); got != "a%2Fb" {
		t.Errorf("Escape(a/b) without slashes = %q", got)
	}
}

func TestParseQuery(t *testing.T) {
	got := ParseQuery("acl&b=&c=%2B+x&&%zz=1&a=b=c")
	want := []Param{{"acl", "", true}, {"b", "", false}, {"c", "+ x", false}, {"%zz", "1", false}, {"a", "b=c", false}}
	if len(got) != len(want) {
		t.Fatalf("ParseQuery = %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("parameter %d = %+v, want %+v", i, got[i], want[i])
		}
	}
}

// TestExampleOfTheDocumentation is the worked example of
// https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4.
func TestExampleOfTheDocumentation(t *testing.T) {
	r := &Request{Method: "PUT", Bucket: "examplebucket", Key: "exampleobject", Header: http.Header{
		"Content-Disposition": {"attachment"}, "Content-Length": {"3"}, "Content-Md5": {"ICy5YqxZB1uWSwcVLSNLcA=="},
		"Content-Type": {"text/plain"}, "X-Oss-Content-Sha256": {"UNSIGNED-PAYLOAD"}, "X-Oss-Date": {"20250411T064124Z"},
	}}
	m := r.methodV4(scopeV4{"id", "20250411", "cn-hangzhou"}, "20250411T064124Z", "content-disposition;content-length", func(string) bool { return false })
	want := strings.Join([]string{
		"PUT", "/examplebucket/exampleobject", "",
		"content-disposition:attachment", "content-length:3", "content-md5:ICy5YqxZB1uWSwcVLSNLcA==", "content-type:text/plain",
		"x-oss-content-sha256:UNSIGNED-PAYLOAD", "x-oss-date:20250411T064124Z", "",
		"content-disposition;content-length", "UNSIGNED-PAYLOAD",
	}, "\n")
	if got := m.detail[0][1]; got != want {
		t.Errorf("canonical request\n%s\nwant\n%s", got, want)
	}
	if got, want := m.expected("yourAccessKeySecret"), "d3694c2dfc5371ee6acd35e88c4871ac95a7ba01d3a2f476768fe61218590097"; got != want {
		t.Errorf("signature %s, want the documentation's %s", got, want)
	}
}

func TestVersion2(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	v := &Verifier{Now: func() time.Time { return now }, Look: func(id string) (Secret, bool) { return Secret{Secret: "secret"}, id == "id" }}
	r := &Request{Method: "GET", Bucket: "b", Key: "a/é", Host: "h", Query: ParseQuery("z=1&acl&y=%20"), Header: http.Header{
		"Date": {now.Format(http.TimeFormat)}, "X-Oss-A": {" 1 "}, "Range": {"bytes=0-1"},
	}}
	m := r.methodV2(now.Format(http.TimeFormat), "host;range")
	want := "GET\n\n\nSat, 21 Nov 2026 12:00:00 GMT\nhost:h\nrange:bytes=0-1\nx-oss-a:1\nhost;range\n%2Fb%2Fa%2F%C3%A9?acl&y=%20&z=1"
	if m.toSign != want {
		t.Errorf("string to sign\n%q\nwant\n%q", m.toSign, want)
	}
	r.Header.Set("Authorization", "OSS2 AccessKeyId:id,AdditionalHeaders:host;range,Signature:"+m.expected("secret"))
	if id, err := v.Verify(r); id != "id" || err != nil {
		t.Errorf("Verify = %q, %v", id, err)
	}
	r.Header.Set("Range", "bytes=0-2")
	if _, err := v.Verify(r); err == nil || err.Code != "SignatureDoesNotMatch" {
		t.Errorf("another Range: %v", err)
	}
}

func TestAdditionalHeadersMayNotBeEmpty(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	v := &Verifier{Now: func() time.Time { return now }, Look: func(string) (Secret, bool) { return Secret{}, true }}
	for auth, ec := range map[string]string{
		"OSS4-HMAC-SHA256 Credential=a/20261121/r/oss/aliyun_v4_request,AdditionalHeaders=,Signature=x":      "0002-00000209",
		"OSS4-HMAC-SHA256 Credential=a/20261121/r/oss/aliyun_v4_request,AdditionalHeaders=host;,Signature=x": "0002-00000210",
		"OSS2 AccessKeyId:a,AdditionalHeaders:,Signature:x":                                                  "0002-00000110",
		"OSS2 AccessKeyId:a,AdditionalHeaders:host;,Signature:x":                                             "0002-00000111",
		"OSS2 AdditionalHeaders:host,Signature:x":                                                            "0002-00000105",
		"OSS2 AccessKeyId:a,AdditionalHeaders:host":                                                          "0002-00000108",
	} {
		r := &Request{Method: "GET", Header: http.Header{"Authorization": {auth}, "Date": {now.Format(http.TimeFormat)}, "X-Oss-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}
		if _, err := v.Verify(r); err == nil || err.Code != "InvalidArgument" || err.EC != ec {
			t.Errorf("%s: %+v, want EC %s", auth, err, ec)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("OSS4-HMAC-SHA256 Credential=a/20261121/r/oss/aliyun_v4_request,AdditionalHeaders=host,Signature=x", "a=b&c", "20261121T120000Z")
	f.Add("OSS2 AccessKeyId:a,AdditionalHeaders:host,Signature:x", "", "Sat, 21 Nov 2026 12:00:00 GMT")
	f.Add("", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a/20261121/r/oss/aliyun_v4_request&x-oss-expires=1&x-oss-date=20261121T120000Z", "")
	f.Add("", "Signature=x&Expires=99999999999&OSSAccessKeyId=a", "")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	v := &Verifier{Now: func() time.Time { return now }, Look: func(string) (Secret, bool) { return Secret{Secret: "never guessed"}, true }}
	f.Fuzz(func(t *testing.T, auth, query, date string) {
		r := &Request{Method: "GET", Bucket: "b", Key: "k", Query: ParseQuery(query), Header: http.Header{"Authorization": {auth}, "X-Oss-Date": {date}, "X-Oss-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}
		if auth == "" {
			r.Header.Del("Authorization")
		}
		if id, _ := v.Verify(r); id != "" {
			t.Errorf("%q, %q, %q was accepted", auth, query, date)
		}
	})
}
