package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixed is a key that never changes.
type fixed ossclient.Credential

func (f fixed) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential(f), nil
}

// healthy are options with which nothing fails, on a machine with all that is needed.
func healthy(t *testing.T, s *ossservertest.Server) Options {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"dev/fuse":                         "",
		"etc/fuse.conf":                    "# x\nuser_allow_other\n",
		"proc/self/status":                 "Name:\tossfs\nCapEff:\t000001ffffffffff\n",
		"bin/fusermount3":                  "",
		"proc/sys/fs/fuse/max_pages_limit": "256\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	helper := filepath.Join(root, "bin/fusermount3")
	if err := os.Chmod(helper, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	return Options{
		Config: ossclient.Config{
			Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint,
			Credentials: fixed{ID: ossservertest.KeyID, Secret: ossservertest.Secret},
		},
		Prefix:  "pre/fix/",
		Measure: 60 * time.Millisecond,
		Machine: Machine{Root: root, UID: 1000, Release: "6.18.5-generic", LookPath: func(name string) (string, error) {
			return helper, nil
		}},
	}
}

// check is the last check of that name.
func check(t *testing.T, r Report, name string) Check {
	t.Helper()
	for _, c := range slices.Backward(r.Checks) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q in %v", name, r.Checks)
	return Check{}
}

func run(t *testing.T, o Options) Report {
	t.Helper()
	start := time.Now()
	r := Run(context.Background(), o)
	if d := time.Since(start); d > 25*time.Second { // 10, and what a virtual machine may be suspended
		t.Errorf("took %v, want at most 10 s", d)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), ossservertest.Secret) {
		t.Errorf("the report shows a secret: %s", data)
	}
	for _, c := range r.Checks {
		if c.Found == "" || strings.Contains(c.Found+c.Cure, "\n") {
			t.Errorf("%s: %q, %q: want one line each", c.Name, c.Found, c.Cure)
		}
		if c.Outcome == Fail && c.Cure == "" {
			t.Errorf("%s fails (%s) and no cure is given", c.Name, c.Found)
		}
	}
	if r.OK != (r.Count(Fail) == 0) {
		t.Errorf("ok is %v with %d failures", r.OK, r.Count(Fail))
	}
	return r
}

func TestHealthy(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	if err := s.Put(ossservertest.Bucket, "pre/fix/file", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	var told int
	o := healthy(t, s)
	o.Measure, o.Limit = time.Second, 20*time.Second // a busy machine is slow
	o.Progress = func(Check) { told++ }
	r := run(t, o)
	if !r.OK || told != len(r.Checks) {
		t.Errorf("%d of %d checks told, report %+v", told, len(r.Checks), r)
	}
	for _, name := range []string{"/dev/fuse", "mounting", "allow_other", "kernel", "credentials", "endpoint", "name", "connection", "clock", "bucket",
		"list", "put", "get", "copy", "multipart", "delete", "round trip", "download", "upload"} {
		if c := check(t, r, name); c.Outcome != OK {
			t.Errorf("%s: %s (%s), want ok", name, c.Outcome, c.Found)
		}
	}
	if c := check(t, r, "upload"); !strings.Contains(c.Found, "with 1 connection") || !strings.Contains(c.Found, "with 32") {
		t.Errorf("upload: %s", c.Found)
	}
	nothingLeft(t, s, "pre/fix/file")
	if n := s.Counts()["UploadPart"]; n < 10 {
		t.Errorf("%d parts, want some: nothing was measured", n)
	}
}

func nothingLeft(t *testing.T, s *ossservertest.Server, want ...string) {
	t.Helper()
	if keys := s.Keys(ossservertest.Bucket); !slices.Equal(keys, want) {
		t.Errorf("left behind: %q, want %q", keys, want)
	}
	if uploads := s.Uploads(ossservertest.Bucket); len(uploads) > 0 {
		t.Errorf("left behind: uploads %+v", uploads)
	}
}

func TestReadOnly(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	if err := s.Put(ossservertest.Bucket, "pre/fix/file", make([]byte, 1<<20), nil); err != nil {
		t.Fatal(err)
	}
	s.ResetCounts()
	o := healthy(t, s)
	o.ReadOnly = true
	r := run(t, o)
	if !r.OK || check(t, r, "get").Outcome != OK || check(t, r, "download").Outcome != OK || check(t, r, "upload").Outcome != Skip {
		t.Errorf("got %+v", r)
	}
	for op, n := range s.Counts() {
		if n > 0 && !strings.HasPrefix(op, "Get") && !strings.HasPrefix(op, "List") && !strings.HasPrefix(op, "Head") && op != "Service" {
			t.Errorf("%d %s, want only reading", n, op)
		}
	}
}

// Each broken set-up fails in the check that names it, and what follows is not reached.
func TestBrokenSetUps(t *testing.T) {
	closed := ossservertest.Refusing(t)
	for _, test := range []struct {
		name    string
		break_  func(t *testing.T, s *ossservertest.Server, o *Options)
		server  ossserver.Options
		check   string
		outcome Outcome
		found   string
		cure    string
		skipped string // a check that is not reached
	}{
		{name: "wrong secret", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) {
			o.Config.Credentials = fixed{ID: ossservertest.KeyID, Secret: "wrong"}
		}, check: "bucket", outcome: Fail, found: "secret does not belong", cure: "correct the secret", skipped: "permissions"},
		{name: "unknown key", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) {
			o.Config.Credentials = fixed{ID: "nobody", Secret: "wrong"}
		}, check: "bucket", outcome: Fail, found: "access key ID is not known", cure: "RAM", skipped: "list"},
		{name: "no such bucket", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) { o.Config.Bucket = "other-bucket" },
			check: "bucket", outcome: Fail, found: "no such bucket", cure: "check its name", skipped: "speed"},
		{name: "wrong region", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) { o.Config.Region = "cn-beijing" },
			check: "bucket", outcome: Fail, found: "lies in the region cn-hangzhou, and cn-beijing is asked", cure: "--region cn-hangzhou", skipped: "list"},
		{name: "nobody listens", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) { o.Config.Endpoint = closed },
			check: "connection", outcome: Fail, found: "refuses the connection", cure: "check --endpoint", skipped: "bucket"},
		{name: "no such name", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) {
			o.Config.Endpoint = "http://no-such-host.invalid"
		}, check: "connection", outcome: Fail, found: "cannot be resolved", cure: "resolv.conf", skipped: "bucket"},
		{name: "no TLS", break_: func(_ *testing.T, s *ossservertest.Server, o *Options) {
			o.Config.Endpoint = strings.Replace(s.Endpoint, "http://", "https://", 1)
		}, check: "connection", outcome: Fail, found: "does not speak TLS", cure: "http://", skipped: "bucket"},
		{name: "nonsense", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) { o.Config.Endpoint = "ftp://x" },
			check: "endpoint", outcome: Fail, found: "ftp", cure: "command line", skipped: "connection"},
		{name: "clock", server: ossserver.Options{Now: func() time.Time { return time.Now().Add(-20 * time.Minute) }}, check: "clock", outcome: Fail, found: "20m0s ahead", cure: "timedatectl"},
		{name: "clock, a little", server: ossserver.Options{Now: func() time.Time { return time.Now().Add(3 * time.Minute) }}, check: "clock", outcome: Warn, found: "behind the server", cure: "timedatectl"},
		{name: "no list", break_: deny("ListObjectsV2"), check: "list", outcome: Fail, found: "not allowed", cure: "grant oss:ListObjects on test/pre/fix/*", skipped: "permissions"},
		{name: "no put", break_: deny("PutObject"), check: "put", outcome: Fail, found: "not allowed",
			cure: "grant oss:PutObject on test/pre/fix/*; for a mount that only reads: --read-only"},
		{name: "no get", break_: deny("GetObject"), check: "get", outcome: Fail, found: "not allowed", cure: "oss:GetObject"},
		{name: "no copy", break_: deny("CopyObject"), check: "copy", outcome: Fail, found: "not allowed", cure: "oss:GetObject and oss:PutObject"},
		{name: "no begin", break_: deny("InitiateMultipartUpload"), check: "multipart", outcome: Fail, found: "beginning: not allowed", cure: "grant oss:PutObject on"},
		{name: "no part", break_: deny("UploadPart"), check: "multipart", outcome: Fail, found: "sending a part: not allowed", cure: "grant oss:PutObject on"},
		{name: "no parts", break_: deny("ListParts"), check: "multipart", outcome: Fail, found: "listing the parts: not allowed", cure: "grant oss:ListParts on"},
		{name: "no complete", break_: deny("CompleteMultipartUpload"), check: "multipart", outcome: Fail, found: "completing: not allowed", cure: "grant oss:PutObject on"},
		{name: "no abort", break_: deny("AbortMultipartUpload"), check: "multipart", outcome: Fail, found: "aborting: not allowed", cure: "grant oss:AbortMultipartUpload on"},
		{name: "no delete", break_: deny("DeleteObject"), check: "delete", outcome: Fail, found: "not allowed", cure: "oss:DeleteObject"},
		{name: "bucket info is not needed", break_: deny("GetBucketInfo"), check: "bucket", outcome: OK, found: "may not ask for more"},
		{name: "public bucket that is not", break_: func(_ *testing.T, _ *ossservertest.Server, o *Options) { o.Config.Credentials = nil },
			check: "list", outcome: Fail, found: "not allowed", cure: "leave --anonymous away", skipped: "permissions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ossservertest.NewTest(t, test.server)
			o := healthy(t, s)
			if test.break_ != nil {
				test.break_(t, s, &o)
			}
			r := run(t, o)
			c := check(t, r, test.check)
			if c.Outcome != test.outcome || !strings.Contains(c.Found, test.found) || !strings.Contains(c.Cure, test.cure) {
				t.Errorf("%s: got %s, %q, %q; want %s, %q, %q", test.check, c.Outcome, c.Found, c.Cure, test.outcome, test.found, test.cure)
			}
			if test.skipped != "" && check(t, r, test.skipped).Outcome != Skip {
				t.Errorf("%s: %s, want skipped", test.skipped, check(t, r, test.skipped).Outcome)
			}
			if keys := s.Keys(ossservertest.Bucket); len(keys) > 0 && test.name != "no delete" {
				t.Errorf("left behind: %q", keys)
			}
		})
	}
}

func deny(op string) func(*testing.T, *ossservertest.Server, *Options) {
	return func(_ *testing.T, s *ossservertest.Server, _ *Options) {
		s.SetFaults(ossserver.Fault{Op: op, Status: http.StatusForbidden, Code: "AccessDenied"})
	}
}

func TestCredentialsThatFail(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	o := healthy(t, s)
	provider, err := credentials.Chain(credentials.Options{Profile: "missing", Home: t.TempDir(), Env: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	o.Config.Credentials, o.Explain = provider, provider.Explain
	c := check(t, run(t, o), "credentials")
	if c.Outcome != Fail || !strings.Contains(c.Found, "of 4 sources none is configured") || len(c.Details) != 4 || !strings.Contains(c.Details[0], `"missing"`) {
		t.Errorf("got %+v, want a failure that names the profile and the four files", c)
	}
	r := run(t, o)
	if check(t, r, "connection").Outcome != OK || check(t, r, "bucket").Outcome != Skip {
		t.Errorf("got %+v, want that the way is examined and the bucket is not", r.Checks)
	}
}

func TestCredentialsAreExplained(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	o := healthy(t, s)
	o.ReadOnly = true
	vars := map[string]string{"OSS_ACCESS_KEY_ID": ossservertest.KeyID, "OSS_ACCESS_KEY_SECRET": ossservertest.Secret}
	provider, err := credentials.Chain(credentials.Options{Env: func(name string) string { return vars[name] }, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	o.Config.Credentials, o.Explain = provider, provider.Explain
	c := check(t, run(t, o), "credentials")
	if c.Outcome != OK || !strings.Contains(c.Found, "the environment") || !strings.Contains(c.Found, credentials.Mask(ossservertest.KeyID)) {
		t.Errorf("got %+v, want the environment and the key's ID in part", c)
	}
}

// Which source was used, which were tried before it and why each was passed over: without a secret.
func TestCredentialsThatWerePassedOverAreExplained(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	o := healthy(t, s)
	o.ReadOnly = true
	const token = "token-in-the-address"
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"AccessKeySecret":%q,"Expiration":"2999-01-01T00:00:00Z"}`, ossservertest.KeyID, ossservertest.Secret)
	}))
	defer keys.Close()
	home := t.TempDir()
	for name, mode := range map[string]os.FileMode{".passwd-ossfs": 0o644, ".ossutilconfig": 0o600} {
		if err := os.WriteFile(filepath.Join(home, name), []byte("id:"+ossservertest.Secret+"\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"ALIBABA_CLOUD_CREDENTIALS_URI": keys.URL + "/keys?token=" + token, "ALIBABA_CLOUD_ACCESS_KEY_ID": "half"}
	provider, err := credentials.Chain(credentials.Options{Env: func(name string) string { return vars[name] }, Home: home, Etc: home})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	o.Config.Credentials, o.Explain = provider, provider.Explain
	c := check(t, run(t, o), "credentials")
	if c.Outcome != OK || !strings.Contains(c.Found, "ALIBABA_CLOUD_CREDENTIALS_URI") || !strings.Contains(c.Found, "valid for") {
		t.Errorf("got %+v, want the URI's key and its life", c)
	}
	want := []string{
		"the environment (ALIBABA_CLOUD_ACCESS_KEY_ID or OSS_ACCESS_KEY_ID): cannot be used: ALIBABA_CLOUD_ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not",
		"the OIDC role of the environment (ALIBABA_CLOUD_OIDC_TOKEN_FILE): not configured: it is not set",
		"the role of the environment (ALIBABA_CLOUD_ROLE_ARN): not configured: it is not set",
		`profile "default" of ` + home + "/.oss/credentials: not configured: there is no such file",
		`profile "default" of ` + home + "/.alibabacloud/credentials.ini, " + home + "/.alibabacloud/credentials, " + home + "/.aliyun/credentials.ini: not configured: there is no such file",
		home + "/.aliyun/config.json: not configured: there is no such file",
		home + `/.ossutilconfig: not configured: ` + home + `/.ossutilconfig has no profile "default"`,
		home + "/.passwd-ossfs: cannot be used: refused: its mode 0644 lets others at it; chmod 600 " + home + "/.passwd-ossfs",
		home + "/passwd-ossfs: not configured: there is no such file",
		"the credential process (OSSFS_CREDENTIAL_PROCESS): not configured: it is not set",
	}
	if !slices.Equal(c.Details, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(c.Details, "\n"), strings.Join(want, "\n"))
	}
	if text := c.Found + strings.Join(c.Details, ""); strings.Contains(text, ossservertest.Secret) || strings.Contains(text, token) {
		t.Errorf("it shows a secret: %s", text)
	}
}

// A server that swallows everything must not hold the doctor for more than its time.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := ossservertest.NewTest(t, ossserver.Options{})
	o := healthy(t, s)
	o.Config.Endpoint = "http://" + l.Addr().String()
	o.Limit = 4 * time.Second
	c := check(t, run(t, o), "connection")
	if c.Outcome != Fail || !strings.Contains(c.Found, "does not answer in time") {
		t.Errorf("got %+v, want that it does not answer", c)
	}
}

// A bucket that hangs in the middle costs the time that was given, and no more; nothing is left behind.
func TestStalledBucket(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	s.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.Stall})
	o := healthy(t, s)
	o.Limit = DefaultLimit
	var given []time.Duration
	o.within = func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
		given = append(given, d)
		ctx, cancel := context.WithCancelCause(ctx)
		if len(given) == 1 { // it is over as soon as the bucket hangs
			go func() {
				for s.Counts()["GetObject"] == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond) // of a real server: there is no clock to fake
				}
				cancel(context.DeadlineExceeded)
			}()
		}
		return ctx, func() { cancel(nil) }
	}
	r := run(t, o)
	if len(given) != 2 || given[0] != o.Limit-cleanupTime || given[1] < cleanupTime/2 || given[1] >= o.Limit {
		t.Errorf("the work and the removal got %v, want %v and, of %v, the rest", given, o.Limit-cleanupTime, o.Limit)
	}
	if c := check(t, r, "get"); c.Outcome != Fail || !strings.Contains(c.Found, "does not answer in time") {
		t.Errorf("got %+v, want that it does not answer", c)
	}
	nothingLeft(t, s)
}

func TestThrottledBucket(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	s.SetFaults(ossserver.Fault{Op: "UploadPart", Kind: ossserver.SlowDown, Skip: 1, Count: 3})
	o := healthy(t, s)
	o.Measure = DefaultMeasure
	if c := check(t, run(t, o), "upload"); c.Outcome != Warn || !strings.Contains(c.Cure, "at its limit") {
		t.Errorf("got %+v, want that OSS told us to slow down", c)
	}
}

// A slow bucket is measured all the same, in time, and cleaned up.
func TestSlowBucket(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{Latency: 60 * time.Millisecond, Bandwidth: 300_000})
	o := healthy(t, s)
	o.Measure = DefaultMeasure
	o.Limit = 20 * time.Second // a busy machine is slow by itself
	r := run(t, o)
	if c := check(t, r, "round trip"); c.Outcome != Warn || !strings.Contains(c.Cure, "far away") {
		t.Errorf("round trip: %+v, want a warning", c)
	}
	for _, name := range []string{"download", "upload"} {
		if c := check(t, r, name); c.Outcome != OK || !strings.Contains(c.Found, "KiB/s with 1 connection") {
			t.Errorf("%s: %+v, want some KiB/s", name, c)
		}
	}
	nothingLeft(t, s)
}

// What was written is removed when the user gives up in the middle.
func TestInterrupted(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	ctx, cancel := context.WithCancelCause(context.Background())
	o := healthy(t, s)
	o.Progress = func(c Check) {
		if c.Name == "copy" {
			cancel(errors.New("the user gives up"))
		}
	}
	Run(ctx, o)
	nothingLeft(t, s)
}

func TestTLS(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	front := httptest.NewUnstartedServer(s)
	front.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	front.StartTLS()
	defer front.Close()
	o := healthy(t, s)
	o.ReadOnly = true
	o.Config.Endpoint = front.URL
	if c := check(t, run(t, o), "connection"); c.Outcome != Fail || !strings.Contains(c.Cure, "--ca-bundle") {
		t.Errorf("got %+v, want that nobody trusts the certificate", c)
	}
	o.Config.CABundle = bundle(t, front)
	if c := check(t, run(t, o), "connection"); c.Outcome == Fail || !strings.Contains(c.Found, "TLS 1.3") {
		t.Errorf("got %+v, want TLS 1.3", c)
	}
}
