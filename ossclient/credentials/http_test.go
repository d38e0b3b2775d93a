package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const temp = tempID + " " + tempSecret + " " + tempToken

func tempAnswer(expires string) string {
	return fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"AccessKeySecret":%q,"SecurityToken":%q,"Expiration":%q}`, tempID, tempSecret, tempToken, expires)
}

func answerWith(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// The example of https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature.
func TestSignatureOfTheDocumentation(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26", "x-acs-date": "2023-10-26T10:22:32Z",
		"x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
		"x-acs-content-sha256":  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	} {
		req.Header.Set(name, value)
	}
	got := acsAuthorization(req, &ossclient.Credential{ID: "YourAccessKeyId", Secret: "YourAccessKeySecret"})
	want := "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// fakeSTS checks what it is asked the way the documentation says, in code of its own.
type fakeSTS struct {
	t       *testing.T
	secrets map[string]string // of the keys it knows
	tokens  map[string]string // that must come with a key
	forms   []url.Values      // what was asked, in order
	reply   func(w http.ResponseWriter, form url.Values)
	ahead   time.Duration // of its clock; more than 15 minutes refuses
}

func (s *fakeSTS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	form.Set("Action", r.Header.Get("x-acs-action"))
	s.forms = append(s.forms, form)
	now := time.Now().Add(s.ahead)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	refuse := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"Code":%q,"Message":%q,"RequestId":"REQ-1"}`, code, message)
	}
	date, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	if err != nil || date.Sub(now).Abs() > 15*time.Minute {
		refuse(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
		return
	}
	if r.URL.RawQuery != "" {
		s.t.Errorf("parameters in the URL: %s", r.URL)
	}
	if form.Get("Action") != "AssumeRoleWithOIDC" {
		if why := s.check(r, body); why != "" {
			refuse(403, "SignatureDoesNotMatch", "signed: "+r.Header.Get("x-acs-security-token")+" "+why)
			return
		}
	}
	if s.reply != nil {
		s.reply(w, form)
		return
	}
	fmt.Fprintf(w, `{"RequestId":"REQ-1","AssumedRoleUser":{"Arn":"x"},"Credentials":%s}`, tempAnswer(now.Add(time.Hour).UTC().Format(time.RFC3339)))
}

func (s *fakeSTS) check(r *http.Request, body []byte) string {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 Credential=")
	parts := strings.Split(rest, ",")
	if !ok || len(parts) != 3 {
		return "no signature"
	}
	secret, known := s.secrets[parts[0]]
	signed, signature := strings.TrimPrefix(parts[1], "SignedHeaders="), strings.TrimPrefix(parts[2], "Signature=")
	if !known || r.Header.Get("x-acs-security-token") != s.tokens[parts[0]] {
		return "unknown key or token"
	}
	sum := sha256.Sum256(body)
	canonical := "POST\n/\n\n"
	for name := range strings.SplitSeq(signed, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + signed + "\n" + hex.EncodeToString(sum[:])
	hashed := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(hashed[:])))
	switch {
	case hex.EncodeToString(mac.Sum(nil)) != signature:
		return "wrong signature"
	case s.tokens[parts[0]] != "" && !strings.Contains(signed, "x-acs-security-token"):
		return "the token is not signed"
	case !strings.Contains(signed, "content-type;host;x-acs-action"):
		return "too little is signed"
	}
	return ""
}

func newSTS(w *world) *fakeSTS {
	s := &fakeSTS{t: w.t, secrets: map[string]string{testID: testSecret}, tokens: map[string]string{}}
	w.opt.STSEndpoint = serve(w.t, s.ServeHTTP)
	return s
}

func TestAssumedRoles(t *testing.T) {
	const arn = "acs:ram::1234567890123456:role/backup"
	cli := func(profiles string) map[string]string {
		return map[string]string{".aliyun/config.json": `{"current":"a","profiles":[` + profiles + `]}`}
	}
	base := `"access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `"`
	for _, test := range []struct {
		name  string
		env   map[string]string
		files map[string]string
		token string // of the base key
		want  map[string]string
		calls int
	}{
		{name: "environment", env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": testID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": testSecret, "ALIBABA_CLOUD_SECURITY_TOKEN": testToken, envRoleARN: arn, envExternalID: "ext", envSessionName: "me"}, token: testToken,
			want: map[string]string{"Action": "AssumeRole", "RoleArn": arn, "ExternalId": "ext", "RoleSessionName": "me", "DurationSeconds": "3600"}},
		{name: "environment over a file", env: map[string]string{envRoleARN: arn}, files: map[string]string{".ossutilconfig": "[default]\naccessKeyID=" + testID + "\naccessKeySecret=" + testSecret},
			want: map[string]string{"RoleArn": arn}},
		{name: "cli", files: cli(`{"name":"a","mode":"RamRoleArn",` + base + `,"ram_role_arn":"` + arn + `","ram_session_name":"s","expired_seconds":900,"external_id":"e","policy":"{}"}`),
			want: map[string]string{"RoleArn": arn, "RoleSessionName": "s", "DurationSeconds": "900", "ExternalId": "e", "Policy": "{}"}},
		{name: "cli, chained", files: cli(`{"name":"a","mode":"ChainableRamRoleArn","source_profile":"b","ram_role_arn":"` + arn + `"},{"name":"b","mode":"AK",` + base + `}`),
			want: map[string]string{"RoleArn": arn}},
		{name: "cli, chained twice", files: cli(`{"name":"a","mode":"ChainableRamRoleArn","source_profile":"b","ram_role_arn":"` + arn + `"},{"name":"b","mode":"RamRoleArn",` + base + `,"ram_role_arn":"first"}`),
			want: map[string]string{"RoleArn": arn}, calls: 2},
		{name: "credentials.ini", files: map[string]string{".alibabacloud/credentials.ini": "[default]\nenable=true\ntype=ram_role_arn\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret + "\nrole_arn=" + arn + "\nrole_session_name=s\npolicy={}\n"},
			want: map[string]string{"RoleArn": arn, "RoleSessionName": "s", "Policy": "{}"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			sts := newSTS(w)
			sts.tokens[testID] = test.token
			sts.secrets[tempID], sts.tokens[tempID] = tempSecret, tempToken
			for name, value := range test.env {
				w.vars[name] = value
			}
			for name, text := range test.files {
				w.file(name, text)
			}
			p := w.provider()
			wantKey(t, p, temp)
			if got, want := len(sts.forms), max(test.calls, 1); got != want {
				t.Errorf("%d calls of STS, want %d", got, want)
			}
			for name, want := range test.want {
				if got := sts.forms[len(sts.forms)-1].Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if e := p.Explain(); !e.Temporary || time.Until(e.Expires) < 50*time.Minute {
				t.Errorf("got %+v, want temporary, an hour left", e)
			}
		})
	}
}

func TestOIDC(t *testing.T) {
	for name, inFile := range map[string]bool{"environment": false, "profile": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sts := newSTS(w)
			token := w.file("token", testToken+"\n")
			if inFile {
				w.file(".aliyun/config.json", `{"current":"a","profiles":[{"name":"a","mode":"OIDC","ram_role_arn":"arn","oidc_provider_arn":"prov","oidc_token_file":"`+token+`","ram_session_name":"s"}]}`)
			} else {
				w.vars[envRoleARN], w.vars[envOIDCProviderARN], w.vars[envOIDCTokenFile], w.vars[envSessionName] = "arn", "prov", token, "s"
			}
			wantKey(t, w.provider(), temp)
			for name, want := range map[string]string{"Action": "AssumeRoleWithOIDC", "OIDCToken": testToken, "OIDCProviderArn": "prov", "RoleArn": "arn", "RoleSessionName": "s"} {
				if got := sts.forms[0].Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A machine whose clock is wrong still gets a token, and knows when it ends by its own clock.
func TestClockOfSTS(t *testing.T) {
	w := newWorld(t)
	sts := newSTS(w)
	sts.ahead = 40 * time.Minute
	w.vars["OSS_ACCESS_KEY_ID"], w.vars["OSS_ACCESS_KEY_SECRET"], w.vars[envRoleARN] = testID, testSecret, "arn"
	p := w.provider()
	wantKey(t, p, temp)
	if left := time.Until(p.Explain().Expires); left < 58*time.Minute || left > 62*time.Minute {
		t.Errorf("%v left, want an hour", left)
	}
}

// A source that is configured and fails ends the search: nobody gets another identity by accident.
func TestFailureEndsTheSearch(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply func(w http.ResponseWriter, form url.Values)
		want  string
		calls int
	}{
		{"refused", func(w http.ResponseWriter, form url.Values) {
			w.WriteHeader(403)
			fmt.Fprintf(w, `{"Code":"NoPermission","Message":"token %s may not","RequestId":"REQ-2"}`, url.QueryEscape(form.Get("OIDCToken")))
		}, "403 NoPermission (token *** may not) [request REQ-2]", 1},
		{"down", func(w http.ResponseWriter, _ url.Values) { w.WriteHeader(503) }, "status 503", 3},
		{"nonsense", func(w http.ResponseWriter, _ url.Values) { fmt.Fprint(w, "<html>"+tempSecret) }, "not a JSON object", 1},
		{"no token", func(w http.ResponseWriter, _ url.Values) {
			fmt.Fprint(w, `{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"b"}}`)
		}, "no token", 1},
		{"expired", func(w http.ResponseWriter, _ url.Values) {
			fmt.Fprint(w, `{"Credentials":`+tempAnswer("2001-01-01T00:00:00Z")+`}`)
		}, "expired at 2001", 1},
		{"huge", func(w http.ResponseWriter, _ url.Values) { fmt.Fprint(w, strings.Repeat("x", maxAnswer+1)) }, "more than", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			sts := newSTS(w)
			sts.reply = test.reply
			w.vars[envRoleARN], w.vars[envOIDCProviderARN], w.vars[envOIDCTokenFile] = "arn", "prov", w.file("token", testToken)
			w.file(".oss/credentials", "[default]\naccess_key_id=a\naccess_key_secret=b\n")
			p := w.provider()
			_, err := p.Retrieve(context.Background())
			if !errors.Is(err, ossclient.ErrCredentials) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if len(sts.forms) != test.calls {
				t.Errorf("%d calls, want %d", len(sts.forms), test.calls)
			}
			tried := p.Explain().Tried
			if last := tried[len(tried)-1]; last.Name != NameOIDC || last.Outcome != Failed {
				t.Errorf("the search ends with %+v, want oidc failed", last)
			}
		})
	}
}

func TestTokensDoNotTravelInTheClear(t *testing.T) {
	w := newWorld(t)
	w.opt.STSEndpoint = "http://sts.example.com"
	w.vars[envRoleARN], w.vars[envOIDCProviderARN], w.vars[envOIDCTokenFile] = "arn", "prov", w.file("token", testToken)
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("got %v, want a refusal of plain http", err)
	}
}

// Whoever has an authority of their own (a proxy that looks into TLS) has it for STS, too.
func TestSTSOfAnotherAuthority(t *testing.T) {
	w := newWorld(t)
	sts := newSTS(w)
	server := httptest.NewUnstartedServer(sts)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	server.StartTLS()
	t.Cleanup(server.Close)
	w.opt.STSEndpoint = server.URL
	w.vars["OSS_ACCESS_KEY_ID"], w.vars["OSS_ACCESS_KEY_SECRET"], w.vars[envRoleARN] = testID, testSecret, "arn"
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want that the certificate is not trusted", err)
	}
	w.opt.RootCAs = x509.NewCertPool()
	w.opt.RootCAs.AddCert(server.Certificate())
	wantKey(t, w.provider(), temp)
}

func TestSTSEndpoints(t *testing.T) {
	for want, test := range map[string]struct {
		env map[string]string
		opt Options
		p   stsPlace
	}{
		"https://sts.aliyuncs.com/":                 {},
		"https://sts.cn-beijing.aliyuncs.com/":      {opt: Options{Region: "cn-beijing"}},
		"https://sts.cn-hongkong.aliyuncs.com/":     {env: map[string]string{"ALIBABA_CLOUD_STS_REGION": "cn-hongkong"}},
		"https://sts-vpc.cn-shanghai.aliyuncs.com/": {p: stsPlace{region: "cn-shanghai", vpc: true}},
		"https://sts-vpc.eu-west-1.aliyuncs.com/":   {env: map[string]string{"ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"}, opt: Options{Region: "eu-west-1"}},
		"https://sts.example.com/":                  {opt: Options{STSEndpoint: "sts.example.com"}},
		"https://127.0.0.1:99/":                     {env: map[string]string{"ALIBABA_CLOUD_STS_ENDPOINT": "https://127.0.0.1:99/"}},
	} {
		o := test.opt
		o.Env = func(name string) string { return test.env[name] }
		if got := newKit(o).stsFor(test.p).url; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCredentialsURI(t *testing.T) {
	var asked atomic.Int32
	end := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, tempAnswer("2999-01-01T00:00:00Z"))
		case "/moved":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/failed":
			fmt.Fprintf(w, `{"Code":"Failed","Message":%q}`, tempSecret)
		}
	})
	for path, want := range map[string]string{"/good": "", "/moved": "status 302", "/failed": "the answer says Failed", "/empty": "not a JSON object"} {
		w := newWorld(t)
		w.vars[envURI] = strings.Replace(end, "http://", "http://user:"+testToken+"@", 1) + path + "?token=" + url.QueryEscape(testToken)
		p := w.provider()
		if want == "" {
			w.vars[envURI] = end + path
			wantKey(t, p, temp)
			continue
		}
		w.vars[envURI] = end + path + "?token=" + url.QueryEscape(testToken)
		_, err := p.Retrieve(context.Background())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	w := newWorld(t)
	w.vars[envURI] = "http://127.0.0.1:1/x?token=" + url.QueryEscape(testToken)
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "TOKEN") {
		t.Errorf("got %v, want connection refused and no token", err)
	}
}

func TestInstanceRole(t *testing.T) {
	for _, test := range []struct {
		name   string
		v2     bool // the service knows tokens
		v1     bool // the service answers without one
		role   string
		v1Off  string
		chosen string
		want   string // part of the error; empty: the key
	}{
		{name: "v2", v2: true, role: "backup"},
		{name: "both", v2: true, v1: true, role: "backup", v1Off: "true"},
		{name: "v1 only", v1: true, role: "backup"},
		{name: "v1 only and forbidden", v1: true, role: "backup", v1Off: "true", want: "gives no token"},
		{name: "no role", v2: true, want: "no usable credentials"},
		{name: "a role by its URL", v2: true, role: "other", chosen: "http://100.100.100.200/latest/meta-data/ram/security-credentials/other"},
		{name: "whichever role", v2: true, role: "other", chosen: AnyRole},
		{name: "another role was chosen", v2: true, role: "other", chosen: "backup", want: "no RAM role backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.metadata(serve(t, func(rw http.ResponseWriter, r *http.Request) {
				const list = "/latest/meta-data/ram/security-credentials/"
				switch {
				case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && test.v2 && r.Header.Get("X-aliyun-ecs-metadata-token-ttl-seconds") != "":
					fmt.Fprint(rw, "session")
				case r.Method == http.MethodGet && !test.v1 && r.Header.Get("X-aliyun-ecs-metadata-token") != "session":
					rw.WriteHeader(http.StatusForbidden)
				case r.Method == http.MethodGet && r.URL.Path == list && test.role != "":
					fmt.Fprintln(rw, test.role)
				case r.Method == http.MethodGet && r.URL.Path == list+test.role && test.role != "":
					fmt.Fprint(rw, tempAnswer("2999-01-01T00:00:00Z"))
				default:
					rw.WriteHeader(http.StatusNotFound)
				}
			}))
			w.vars[envMetadataV1Off] = test.v1Off
			w.opt.RAMRole = test.chosen
			p := w.provider()
			if test.want == "" {
				wantKey(t, p, temp)
				return
			}
			_, err := p.Retrieve(context.Background())
			if !errors.Is(err, ossclient.ErrCredentials) {
				t.Fatalf("got %v, want ErrCredentials", err)
			}
			if text := err.Error() + p.Explain().String(); !strings.Contains(text, test.want) {
				t.Errorf("got %s, want %q", text, test.want)
			}
		})
	}
}

func TestNoMetadataService(t *testing.T) {
	w := newWorld(t)
	w.metadata("http://127.0.0.1:1")
	p := w.provider()
	if _, err := p.Retrieve(context.Background()); !errors.Is(err, ossclient.ErrCredentials) || !strings.Contains(err.Error(), "--anonymous") {
		t.Errorf("got %v, want that nothing is configured", err)
	}
	w.opt.RAMRole = "chosen"
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "no metadata service at http://127.0.0.1:1") {
		t.Errorf("got %v, want that there is no metadata service", err)
	}
}
