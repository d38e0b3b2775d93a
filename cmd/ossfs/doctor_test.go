package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/internal/uploads"
	"github.com/ossfs/ossfs/ossclient"
)

// asked runs a command in this process, with a server and its key in the environment.
func asked(t *testing.T, s *ossservertest.Server, args ...string) (status int, out, errs string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("OSS_ENDPOINT", s.Endpoint)
	t.Setenv("OSS_REGION", ossservertest.Region)
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	var stdout, stderr bytes.Buffer
	status = run(append([]string{"ossfs"}, args...), &console{out: &stdout, err: &stderr})
	if strings.Contains(stdout.String()+stderr.String(), ossservertest.Secret) {
		t.Errorf("%v shows the secret:\n%s%s", args, &stdout, &stderr)
	}
	return status, stdout.String(), stderr.String()
}

func withKey(t *testing.T, id, secret string) {
	t.Helper()
	t.Setenv("OSS_ACCESS_KEY_ID", id)
	t.Setenv("OSS_ACCESS_KEY_SECRET", secret)
}

func TestDoctor(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	withKey(t, ossservertest.KeyID, ossservertest.Secret)
	_, out, errs := asked(t, s, "doctor", "oss://"+ossservertest.Bucket+"/pre")
	for _, want := range []string{"/dev/fuse", "credentials", "the environment", "ok    multipart", "ok    delete", "MiB/s with 1 connection"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, errs)
		}
	}
	if keys := s.Keys(ossservertest.Bucket); len(keys) > 0 {
		t.Errorf("left behind: %q", keys)
	}
}

func TestDoctorSaysWhatIsWrong(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	withKey(t, ossservertest.KeyID, "wrong")
	status, out, errs := asked(t, s, "doctor", "--json", "--read-only", "oss://"+ossservertest.Bucket)
	var report struct {
		OK     bool
		Checks []struct{ Name, Outcome, Found, Cure string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if status != exitFailed || report.OK || errs != "" {
		t.Errorf("status %d, ok %v, stderr %q; want 1, false, nothing", status, report.OK, errs)
	}
	for _, c := range report.Checks {
		if c.Name == "bucket" && (c.Outcome != "fail" || !strings.Contains(c.Found, "secret does not belong")) {
			t.Errorf("got %+v, want a wrong secret", c)
		}
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "bucket"}, {"doctor", "oss://a-bucket", "oss://b-bucket"}} {
		if status, _, _ := asked(t, s, args...); status != exitUsage {
			t.Errorf("%v: status %d, want %d", args, status, exitUsage)
		}
	}
}

func TestUploads(t *testing.T) {
	clock := time.Now().Add(-30 * time.Hour)
	s := ossservertest.NewTest(t, ossserver.Options{Now: func() time.Time { return clock }})
	withKey(t, ossservertest.KeyID, ossservertest.Secret)
	b, err := ossclient.Open(context.Background(), ossclient.Config{Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: rootKey{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	begin := func(key ossclient.Key) {
		id, err := b.CreateUpload(context.Background(), ossclient.UploadRequest{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		part := ossclient.PartRequest{Key: key, Upload: id, Number: 1, Body: bytes.NewReader(make([]byte, 3000)), Size: 3000}
		if _, err := b.UploadPart(context.Background(), part); err != nil {
			t.Fatal(err)
		}
	}
	begin("pre/old")
	clock = time.Now()
	begin("pre/young")
	begin("elsewhere")

	status, out, errs := asked(t, s, "uploads", "list", "oss://"+ossservertest.Bucket+"/pre")
	if status != exitDone || !strings.Contains(out, "1d6h     2.9 KiB       1  pre/old\n") || !strings.Contains(out, "2 uploads, 5.9 KiB") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
	status, out, _ = asked(t, s, "uploads", "list", "--json", "--older", "1h", "oss://"+ossservertest.Bucket)
	var listed struct{ Uploads []uploads.Upload }
	if err := json.Unmarshal([]byte(out), &listed); err != nil || status != exitDone || len(listed.Uploads) != 1 || listed.Uploads[0].Bytes != 3000 {
		t.Errorf("status %d, %v: %s", status, err, out)
	}

	status, out, errs = asked(t, s, "uploads", "abort", "oss://"+ossservertest.Bucket)
	if status != exitDone || !strings.Contains(out, "aborted pre/old (2.9 KiB)\n") || strings.Contains(out, "young") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
	if _, out, _ = asked(t, s, "uploads", "abort", "oss://"+ossservertest.Bucket); !strings.Contains(out, "no unfinished uploads older than 1d\n") {
		t.Errorf("got %q", out)
	}
	if n := len(s.Uploads(ossservertest.Bucket)); n != 2 {
		t.Errorf("%d left, want the two young ones", n)
	}
	s.SetFaults(ossserver.Fault{Op: "AbortMultipartUpload", KeyPrefix: "elsewhere", Status: 403, Code: "AccessDenied"})
	status, out, errs = asked(t, s, "uploads", "abort", "--older", "0s", "oss://"+ossservertest.Bucket)
	if status != exitFailed || !strings.Contains(out, "aborted pre/young") || !strings.Contains(errs, "1 of 2 were not aborted") || !strings.Contains(errs, "AccessDenied") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
	for _, args := range [][]string{{"uploads"}, {"uploads", "show", "oss://a-bucket"}, {"uploads", "list", "--older", "5", "oss://a-bucket"}} {
		if status, _, errs := asked(t, s, args...); status != exitUsage {
			t.Errorf("%v: status %d (%s), want %d", args, status, errs, exitUsage)
		}
	}
	if status, _, errs := asked(t, s, "uploads", "list", "oss://no-such-bucket"); status != exitFailed || !strings.Contains(errs, "there is no such bucket") {
		t.Errorf("status %d, %q", status, errs)
	}
}

type rootKey struct{}

func (rootKey) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}, nil
}
