package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// A client of S3 puts, copies with metadata, lists, reads and deletes many; what it stored is an object of OSS with the same metadata.
func TestClientOfS3(t *testing.T) {
	t.Parallel()
	s, err := ossserver.New(ossserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateBucket("b-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetBucketACL("b-1", "public-read-write"); err != nil {
		t.Fatal(err)
	}
	ask := func(method, target, body string, header ...string) *http.Response {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=id/20260101/any/s3/aws4_request, SignedHeaders=host, Signature=0")
		r.Header.Set("X-Amz-Date", "20260101T000000Z")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s3{s}.ServeHTTP(w, r)
		if w.Code/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		return w.Result()
	}
	read := func(r *http.Response) string {
		t.Helper()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	ask("PUT", "/b-1/a%20b?x-id=PutObject", "abc", "X-Amz-Meta-Mtime", "17", "X-Amz-Storage-Class", "STANDARD")
	ask("PUT", "/b-1/copy", "", "X-Amz-Copy-Source", "b-1/a%20b", "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-Mtime", "18")
	o, ok := s.Object("b-1", "copy")
	if !ok || o.Header.Get("X-Oss-Meta-Mtime") != "18" {
		t.Fatalf("stored: %v %v", ok, o)
	}
	got := ask("GET", "/b-1/a%20b", "")
	if body := read(got); body != "abc" || got.Header.Get("X-Amz-Meta-Mtime") != "17" || got.Header.Get("X-Oss-Request-Id") != "" {
		t.Errorf("read: %q %v", body, got.Header)
	}
	if body := read(ask("GET", "/b-1?list-type=2&prefix=a%20&delimiter=%2F", "")); !strings.Contains(body, "<Key>a b</Key>") {
		t.Errorf("listed: %s", body)
	}
	if body := read(ask("GET", "/b-1/?location", "")); !strings.Contains(body, "<LocationConstraint") {
		t.Errorf("location: %s", body)
	}
	ask("POST", "/b-1?delete", `<Delete><Object><Key>a b</Key></Object><Object><Key>copy</Key></Object></Delete>`)
	if keys := s.Keys("b-1"); len(keys) != 0 {
		t.Errorf("left: %q", keys)
	}
}
