package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

func TestStatusSaysHowTheKeyIs(t *testing.T) {
	vars := map[string]string{"OSS_ACCESS_KEY_ID": "LTAItestIDnumber1234", "OSS_ACCESS_KEY_SECRET": "hidden"}
	p, err := credentials.Chain(credentials.Options{Env: func(name string) string { return vars[name] }, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Retrieve(context.Background()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := keyStatus(p)
	s.Expires, s.Failures, s.LastError = now.Add(30*time.Minute), 3, "the network\nis down"
	var text strings.Builder
	writeKey(&text, s, now)
	const want = "  key       LTAI****1234 from the environment (ALIBABA_CLOUD_ACCESS_KEY_ID or OSS_ACCESS_KEY_ID), valid for 30m00s; renewal failed 3 times: the network?is down\n"
	if text.String() != want {
		t.Errorf("got  %q\nwant %q", text.String(), want)
	}
	data, err := json.Marshal(report{Key: s})
	if err != nil || !strings.Contains(string(data), `"keyId":"LTAI****1234"`) || strings.Contains(string(data), "hidden") {
		t.Errorf("got %s, %v", data, err)
	}
	for _, c := range []ossclient.Credentials{&demoKey{}, p} {
		t.Setenv("OSS_ACCESS_KEY_SECRET", "hidden")
		if err := hideSecrets(c); err != nil {
			t.Fatal(err)
		}
		if got, want := os.Getenv("OSS_ACCESS_KEY_SECRET") == "", c == ossclient.Credentials(p); got != want {
			t.Errorf("%T: gone from the environment: %v, want %v", c, got, want)
		}
	}
	for _, c := range []ossclient.Credentials{nil, &demoKey{}} {
		if s := keyStatus(c); s != nil {
			t.Errorf("%T: got %+v, want nothing", c, s)
		}
	}
}

// A mount whose key cannot be renewed goes on with the old one while it lasts, and says so in its status and
// its log; when renewing works again, the status says that too.
func TestARenewalThatFailsIsSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broken, script := filepath.Join(r.home, "broken"), filepath.Join(r.home, "keys.sh")
	text := "#!/bin/sh\n[ -e " + broken + " ] && exit 7\n" +
		`echo '{"AccessKeyId":"` + ossservertest.KeyID + `","AccessKeySecret":"` + ossservertest.Secret + `","Expiration":'$(($(date +%s)+12))'}'` + "\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r = r.with("OSS_ACCESS_KEY_ID=", "OSS_ACCESS_KEY_SECRET=", "OSSFS_CREDENTIAL_PROCESS="+script)
	r.mount("--attr-ttl", "0s")
	defer r.umount()
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status := func(want func(string) bool) string {
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			_, _ = os.ReadDir(r.mnt) // a request: without one nothing is renewed; a machine that is suspended may find the key expired
			got := r.run("status", r.mnt).out
			if want(got) || time.Now().After(end) {
				return got
			}
		}
	}
	const said = "renewal failed"
	if got := status(func(s string) bool { return strings.Contains(s, said) }); !strings.Contains(got, said) || !strings.Contains(got, "exit status 7") || !strings.Contains(got, "valid for") {
		t.Errorf("status: got %s", got)
	}
	if log := r.log(); !strings.Contains(log, "credentials were not renewed") || strings.Contains(log, ossservertest.Secret) {
		t.Errorf("log: %s", log)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if got := status(func(s string) bool { return !strings.Contains(s, said) }); strings.Contains(got, said) || !strings.Contains(got, "valid for") {
		t.Errorf("status after it works again: got %s", got)
	}
}
