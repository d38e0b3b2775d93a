package credentials

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

const key = testID + " " + testSecret

func TestEnvironmentAndFiles(t *testing.T) {
	ini := "[default]\naccess_key_id=other\naccess_key_secret=other\n"
	for _, test := range []struct {
		name  string
		env   map[string]string
		files map[string]string
		opt   Options
		want  string
		from  string
	}{
		{name: "environment", env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": testID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": testSecret + "\n", "ALIBABA_CLOUD_SECURITY_TOKEN": testToken}, files: map[string]string{".oss/credentials": ini}, want: key + " " + testToken, from: NameEnv},
		{name: "alias", env: map[string]string{"OSS_ACCESS_KEY_ID": testID, "OSS_ACCESS_KEY_SECRET": testSecret, "OSS_SESSION_TOKEN": testToken}, want: key + " " + testToken, from: NameEnv},
		{name: "names are not mixed", env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": "half", "OSS_ACCESS_KEY_ID": testID, "OSS_ACCESS_KEY_SECRET": testSecret}, want: key, from: NameEnv},
		{name: "oss", files: map[string]string{".oss/credentials": "[default]\noss_access_key_id=" + testID + "\noss_secret_access_key=" + testSecret + "\noss_session_token=" + testToken}, want: key + " " + testToken, from: NameOSS},
		{name: "oss, OSS_PROFILE", env: map[string]string{"OSS_PROFILE": "prod"}, files: map[string]string{".oss/credentials": ini + "[prod]\naccess_key_id = " + testID + "\naccess_key_secret = '" + testSecret + "'\n"}, want: key, from: NameOSS},
		{name: "oss without credentials", files: map[string]string{".oss/credentials": "[default]\nregion=x\n", ".aliyun/credentials.ini": "[default]\nenable = true   # Enable\ntype = access_key  ; kind\naccess_key_id = " + testID + " # id\naccess_key_secret = " + testSecret + "\n"}, want: key, from: NameShared},
		{name: "shared, not enabled", files: map[string]string{".aliyun/credentials.ini": "[default]\nenable=false\ntype=access_key\naccess_key_id=a\naccess_key_secret=b\n", ".ossutilconfig": "[Credentials]\nlanguage=EN\naccessKeyID=" + testID + "\naccessKeySecret=" + testSecret}, want: key, from: NameOSSUtil},
		{name: "shared, sts_token", files: map[string]string{".alibabacloud/credentials.ini": "[default]\r\ntype=sts_token\r\naccess_key_id=" + testID + "\r\naccess_key_secret=" + testSecret + "\r\nsecurity_token=" + testToken + "\r\n"}, want: key + " " + testToken, from: NameShared},
		{name: "shared, .alibabacloud before .aliyun", files: map[string]string{".alibabacloud/credentials.ini": "[default]\ntype=access_key\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret, ".aliyun/credentials.ini": ini}, want: key, from: NameShared},
		{name: "shared, a profile of the second file", opt: Options{Profile: "b"}, files: map[string]string{".alibabacloud/credentials.ini": ini, ".aliyun/credentials.ini": "[b]\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret}, want: key, from: NameShared},
		{name: "cli, current", files: map[string]string{".aliyun/config.json": `{"current":"b","profiles":[{"name":"a","mode":"AK","access_key_id":"x","access_key_secret":"y"},{"name":"b","mode":"AK","access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `","retry_count":0}]}`}, want: key, from: NameCLI},
		{name: "cli, StsToken", env: map[string]string{"ALIBABA_CLOUD_PROFILE": "a"}, files: map[string]string{".aliyun/config.json": `{"current":"b","profiles":[{"name":"a","mode":"StsToken","access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `","sts_token":"` + testToken + `"}]}`}, want: key + " " + testToken, from: NameCLI},
		{name: "cli, signed in", files: map[string]string{".aliyun/config.json": `{"current":"a","profiles":[{"name":"a","mode":"OAuth","access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `","sts_token":"` + testToken + `","sts_expiration":32503680000}]}`}, want: key + " " + testToken, from: NameCLI},
		{name: "cli cannot be used, ossutil can", files: map[string]string{".aliyun/config.json": `{"current":"a","profiles":[{"name":"a","mode":"CloudSSO"}]}`, ".ossutilconfig": "[default]\naccess-key-id=" + testID + "\naccess_key_secret=" + testSecret}, want: key, from: NameOSSUtil},
		{name: "ossutil, profile", opt: Options{Profile: "work"}, files: map[string]string{".ossutilconfig": "[default]\naccessKeyId=a\naccessKeySecret=b\n[profile work]\nmode=StsToken\naccessKeyId=" + testID + "\naccessKeySecret=" + testSecret + "\nstsToken=" + testToken}, want: key + " " + testToken, from: NameOSSUtil},
		{name: "a profile ignores the environment", opt: Options{Profile: "work"}, env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": "a", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "b"}, files: map[string]string{".oss/credentials": "[work]\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret}, want: key, from: NameOSS},
		{name: "passwd, the bucket's line", opt: Options{Bucket: "b2"}, files: map[string]string{"/etc/passwd-ossfs": "# keys\nid:secret\nb1:a:b\nb2:" + testID + ":" + testSecret + "\n"}, want: key, from: NamePasswd},
		{name: "passwd, the line for all", opt: Options{Bucket: "b3"}, files: map[string]string{"/etc/passwd-ossfs": "b1:a:b\n" + testID + ":" + testSecret + "\n"}, want: key, from: NamePasswd},
		{name: "passwd, the home's first", opt: Options{Bucket: "b"}, files: map[string]string{".passwd-ossfs": testID + ":" + testSecret, "/etc/passwd-ossfs": "a:b"}, want: key, from: NamePasswd},
		{name: "only", opt: Options{Only: NamePasswd}, env: map[string]string{"OSS_ACCESS_KEY_ID": "a", "OSS_ACCESS_KEY_SECRET": "b"}, files: map[string]string{".passwd-ossfs": testID + ":" + testSecret}, want: key, from: NamePasswd},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			for name, value := range test.env {
				w.vars[name] = value
			}
			for name, text := range test.files {
				w.file(name, text)
			}
			w.opt.Profile, w.opt.Bucket, w.opt.Only = test.opt.Profile, test.opt.Bucket, test.opt.Only
			p := w.provider()
			wantKey(t, p, test.want)
			tried := p.Explain().Tried
			if got := tried[len(tried)-1]; got.Name != test.from || got.Outcome != Used {
				t.Errorf("ends with %+v, want %s used", got, test.from)
			}
		})
	}
}

func TestFilesNamedByTheEnvironment(t *testing.T) {
	for variable, text := range map[string]string{
		"OSS_CREDENTIAL_PROFILES_FILE":   "[default]\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret,
		"ALIBABA_CLOUD_CREDENTIALS_FILE": "[default]\ntype=access_key\naccess_key_id=" + testID + "\naccess_key_secret=" + testSecret,
		"ALIBABA_CLOUD_CONFIG_FILE":      `{"profiles":[{"name":"default","mode":"AK","access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `"}]}`,
	} {
		w := newWorld(t)
		w.vars[variable] = w.file("elsewhere/file", text)
		wantKey(t, w.provider(), key)
	}
}

// What cannot be used is passed over, named in the error when nothing else is there, and never quoted.
func TestWhatCannotBeUsed(t *testing.T) {
	for _, test := range []struct {
		name, file, text, want string
		mode                   os.FileMode
	}{
		{"passwd read by all", "/etc/passwd-ossfs", "a:" + testSecret, "chmod 640", 0o644},
		{"passwd of the home read by its group", ".passwd-ossfs", "a:" + testSecret, "chmod 600", 0o640},
		{"passwd with a strange line", ".passwd-ossfs", "a:b:" + testSecret + ":d", "line 1", 0o600},
		{"passwd with a blank in the secret", ".passwd-ossfs", "a:" + testSecret + " x", "access key secret holds a character", 0o600},
		{"passwd for other buckets", "/etc/passwd-ossfs", "other:a:" + testSecret, "passwd-ossfs: it has no line for the bucket photos, nor one for all", 0o640},
		{"a key without a secret", ".oss/credentials", "[default]\naccess_key_id=" + testSecret, "access key secret is empty", 0o600},
		{"no JSON", ".aliyun/config.json", `{"profiles": ` + testSecret, "not the JSON", 0o600},
		{"a kind nobody knows", ".aliyun/config.json", `{"profiles":[{"name":"default","mode":"RsaKeyPair","private_key":"` + testSecret + `"}]}`, `"rsakeypair", which ossfs does not know`, 0o600},
		{"a browser's", ".aliyun/config.json", `{"profiles":[{"name":"default","mode":"CloudSSO"}]}`, "sign in anew", 0o600},
		{"a browser's, too old", ".aliyun/config.json", `{"profiles":[{"name":"default","mode":"OAuth","access_key_id":"` + testID + `","access_key_secret":"` + testSecret + `","sts_token":"` + testToken + `","sts_expiration":1700000000}]}`, "expired at 2023-11-14T22:13:20Z", 0o600},
		{"anonymous", ".ossutilconfig", "[default]\nmode=Anonymous\n", "use --anonymous", 0o600},
		{"circle", ".aliyun/config.json", `{"profiles":[{"name":"default","mode":"ChainableRamRoleArn","source_profile":"default","ram_role_arn":"x"}]}`, "build on each other", 0o600},
		{"no source profile", ".aliyun/config.json", `{"profiles":[{"name":"default","mode":"ChainableRamRoleArn","source_profile":"nope","ram_role_arn":"x"}]}`, `profile "nope", which is not there`, 0o600},
		{"sts without a token", ".aliyun/credentials.ini", "[default]\ntype=sts_token\naccess_key_id=a\naccess_key_secret=" + testSecret, "has no sts_token", 0o600},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.opt.Bucket = "photos"
			if err := os.Chmod(w.file(test.file, test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			p := w.provider()
			_, err := p.Retrieve(context.Background())
			if !errors.Is(err, ossclient.ErrCredentials) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want ErrCredentials with %q", err, test.want)
			}
			if text := err.Error() + p.Explain().String(); strings.Contains(text, testSecret) || strings.Contains(text, testToken) {
				t.Errorf("shows a secret: %s", text)
			}

			// with a good source behind it, it is a warning
			w.vars["ALIBABA_CLOUD_CREDENTIALS_URI"] = serve(t, answerWith(tempAnswer("2999-01-01T00:00:00Z")))
			wantKey(t, w.provider(), tempID+" "+tempSecret+" "+tempToken)
			if !strings.Contains(w.log.String(), "cannot be used") {
				t.Errorf("the log does not warn: %s", w.log)
			}
		})
	}
}

// Of a directory it is not the mode that is wrong.
func TestPasswdThatIsADirectory(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(filepath.Join(w.home, ".passwd-ossfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := w.provider().Retrieve(context.Background())
	want := ".passwd-ossfs: it is a directory; the keys belong into a file of that name"
	if !errors.Is(err, ossclient.ErrCredentials) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "chmod") {
		t.Errorf("got %v, want ErrCredentials with %q", err, want)
	}
}

// A password file that is empty but for comments, as it may be installed, is nothing to warn of; one that was named and is
// not there is.
func TestPasswdThatIsNothing(t *testing.T) {
	for _, test := range []struct {
		name, named string
		want        Outcome
	}{
		{"installed", "", Absent},
		{"named", "/nowhere/passwd", Unusable},
	} {
		w := newWorld(t)
		w.file(".passwd-ossfs", "# BUCKET:ID:SECRET\n\n")
		if test.named != "" {
			w.vars["OSS_CREDENTIAL_FILE"] = test.named
		}
		w.vars["ALIBABA_CLOUD_CREDENTIALS_URI"] = serve(t, answerWith(tempAnswer("2999-01-01T00:00:00Z")))
		p := w.provider()
		wantKey(t, p, tempID+" "+tempSecret+" "+tempToken)
		for _, a := range p.Explain().Tried {
			if a.Name == NamePasswd && a.Outcome != test.want {
				t.Errorf("%s: %s: got %q (%s), want %q", test.name, a.Source, a.Outcome, a.Why, test.want)
			}
		}
		if warned := strings.Contains(w.log.String(), "cannot be used"); warned != (test.want == Unusable) {
			t.Errorf("%s: warned: %v: %s", test.name, warned, w.log)
		}
	}
}

func TestHalfAKeyInTheEnvironment(t *testing.T) {
	for name, want := range map[string]string{
		"OSS_ACCESS_KEY_SECRET":       "OSS_ACCESS_KEY_SECRET is set and OSS_ACCESS_KEY_ID is not",
		"ALIBABA_CLOUD_ACCESS_KEY_ID": "ALIBABA_CLOUD_ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not",
	} {
		w := newWorld(t)
		w.vars[name] = testSecret
		if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestKeysMayLeaveTheEnvironment(t *testing.T) {
	w := newWorld(t)
	w.vars["OSS_ACCESS_KEY_ID"], w.vars["OSS_ACCESS_KEY_SECRET"], w.vars["OSS_SESSION_TOKEN"] = testID, testSecret, testToken
	p := w.provider()
	for _, name := range SecretVariables() {
		delete(w.vars, name)
	}
	wantKey(t, p, key+" "+testToken)
	if len(w.vars) != 2 {
		t.Errorf("left %v, want the ID and what was there", w.vars)
	}
}

func TestNothingFound(t *testing.T) {
	w := newWorld(t)
	w.opt.Bucket = "bucket"
	_, err := w.provider().Retrieve(context.Background())
	if !errors.Is(err, ossclient.ErrCredentials) {
		t.Fatalf("got %v, want ErrCredentials", err)
	}
	if most := 300; len(err.Error()) > most { // it ends up in one line of a terminal; Explain has the details
		t.Errorf("%d bytes, want at most %d: %q", len(err.Error()), most, err)
	}
	for _, want := range []string{"oss://bucket", "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", ".oss/credentials", "--anonymous"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

// Where a choice was made, the advice is about the choice.
func TestChosenProfileNotFound(t *testing.T) {
	w := newWorld(t)
	w.opt.Profile = "missing"
	_, err := w.provider().Retrieve(context.Background())
	if err == nil || !strings.HasSuffix(err.Error(), "none of 4 places has what --profile or --credentials asks for") {
		t.Errorf("got %v", err)
	}
}

func TestChoicesExcludeEachOther(t *testing.T) {
	for _, o := range []Options{{Profile: "a", Anonymous: true}, {Profile: "a", RAMRole: "b"}, {Only: "nonsense"}, {RAMRole: "a", Only: NameEnv}} {
		if _, err := Chain(o); err == nil {
			t.Errorf("Chain(%+v) succeeds, want an error", o)
		}
	}
	p, err := Chain(Options{Anonymous: true})
	if err != nil || !p.Anonymous() {
		t.Fatalf("got %v, %v, want an anonymous provider", p, err)
	}
	if c, err := p.Retrieve(context.Background()); err != nil || c.ID != "" {
		t.Errorf("got %v, %v, want empty credentials", c, err)
	}
}

// A pipe in place of a file must not hang a mount.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.home, ".ossutilconfig"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v, want: not a regular file", err)
	}
}
