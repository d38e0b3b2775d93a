package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

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
