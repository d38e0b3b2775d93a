package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// shown is everything a careless hand might print of a value.
func shown(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
		fmt.Fprintf(&b, verb+"\n", struct{ inside any }{v})
		fmt.Fprintf(&b, verb+"\n", []any{v})
	}
	if data, err := json.Marshal(v); err == nil {
		b.Write(data)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	return b.String()
}

func leaks(text string) string {
	for _, s := range []string{testSecret, testToken, tempSecret, tempToken} {
		for _, form := range []string{s, url.QueryEscape(s), fmt.Sprintf("%x", s), strings.Trim(fmt.Sprint([]byte(s)), "[]"), s[5:11]} {
			if i := strings.Index(text, form); i >= 0 {
				return text[max(0, i-80):min(len(text), i+80)]
			}
		}
	}
	return ""
}

// Every type of the package, filled with secrets, shows none.
func TestNothingShowsASecret(t *testing.T) {
	w := newWorld(t)
	sts := newSTS(w)
	sts.tokens[testID] = testToken
	w.file(".aliyun/config.json", `{"current":"a","profiles":[{"name":"a","mode":"RamRoleArn","access_key_id":"`+testID+`","access_key_secret":"`+testSecret+`","sts_token":"`+testToken+`","ram_role_arn":"arn"}]}`)
	w.opt.Process = "cmd --token " + testToken
	p := w.provider()
	wantKey(t, p, temp)

	k := newKit(w.opt)
	f := newFields()
	f.set("access_key_secret", testSecret)
	profile := profileOf{where: "file", name: "a", fields: f}
	base, err := newStatic("file", ossclient.Credential{ID: testID, Secret: testSecret, Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	process, err := k.process("cmd --token=" + testToken)
	if err != nil {
		t.Fatal(err)
	}
	parsed := parseINI([]byte("[a]\nsecret=" + testSecret))
	for _, v := range []any{
		p, p.Explain(), p.Status(), p.sources, p.used,
		hide(testSecret), f, profile, base, &base, parsed, process, k, *k,
		assumedRole{base, role{arn: "arn"}, k.stsFor(stsPlace{})}, k.uri("http://host/path?token=" + testToken), k.uri("http://" + url.QueryEscape(testToken) + "@host/"),
		newEnvironment(func(string) string { return testSecret }), namedProcess{k, hide("cmd " + testToken)}, envAssumed{k, []Source{base}}, instanceRole{}, found{cred: p.current, used: p.used},
	} {
		if l := leaks(shown(t, v)); l != "" {
			t.Errorf("%T shows a secret: ...%s...", v, l)
		}
	}
	if l := leaks(w.log.String() + p.Explain().String() + p.String()); l != "" {
		t.Errorf("the log or the explanation shows a secret: ...%s...", l)
	}
	if l := leaks(fmt.Sprintf("%v %+v %#v %s %q %x %d", p.current(), p.current(), p.current(), p.current(), p.current(), p.current(), p.current())); l != "" {
		t.Errorf("ossclient.Credential shows a secret: ...%s...", l)
	}
	if leaks(shown(t, struct{ S string }{testSecret})) == "" {
		t.Error("this test finds nothing")
	}
}

// What STS says of a wrong signature quotes the token; what a service says may quote anything.
func TestNoErrorShowsASecret(t *testing.T) {
	w := newWorld(t)
	sts := newSTS(w)
	sts.tokens[testID] = testToken
	w.vars["OSS_ACCESS_KEY_ID"], w.vars["OSS_ACCESS_KEY_SECRET"], w.vars["OSS_SESSION_TOKEN"], w.vars[envRoleARN] = testID, testSecret, testToken, "arn"
	sts.reply = func(rw http.ResponseWriter, _ url.Values) {
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(rw, `{"Code":"NoPermission","Message":"not with %s or %s, nor %s"}`, testToken, url.QueryEscape(testToken), url.QueryEscape(url.QueryEscape(testSecret)))
	}
	for _, want := range []string{"NoPermission", "SignatureDoesNotMatch"} {
		p := w.provider()
		_, err := p.Retrieve(context.Background())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %s", err, want)
		}
		if l := leaks(shown(t, err) + shown(t, p.Status()) + p.Explain().String() + w.log.String()); l != "" {
			t.Errorf("shows a secret: ...%s...", l)
		}
		sts.secrets[testID] = "another"
	}
}

func TestMask(t *testing.T) {
	for id, want := range map[string]string{"": "", "ab": "a****", "LTAI5tAbCdEfGhIj": "LTAI****GhIj"} {
		if got := Mask(id); got != want {
			t.Errorf("Mask(%q) = %q, want %q", id, got, want)
		}
	}
}
