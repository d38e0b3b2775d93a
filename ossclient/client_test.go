package ossclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

type staticKey struct{ c Credential }

func (s staticKey) Retrieve(context.Context) (Credential, error) { return s.c, nil }

func openAt(t testing.TB, endpoint string, change func(*Config)) *Bucket {
	t.Helper()
	cfg := Config{
		Bucket: "test", Region: "cn-hangzhou", Endpoint: endpoint, RetryBudget: 2 * time.Second,
		Credentials: staticKey{Credential{ID: "test-id", Secret: "test-secret"}},
	}
	if change != nil {
		change(&cfg)
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// recorded is a server that answers each request with the function for its method and path.
func recorded(t testing.TB, f http.HandlerFunc) *Bucket {
	s := httptest.NewServer(sized(f))
	t.Cleanup(s.Close)
	return openAt(t, s.URL, nil)
}

// sized has the answer to a HEAD say how large the object is, as OSS does: empty, unless h says otherwise.
func sized(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "0")
		}
		h(w, r)
	}
}

func sumOf(p []byte) uint64 { return crc64.Checksum(p, crc64.MakeTable(crc64.ECMA)) }

func TestPutThenGetGivesTheSameBytes(t *testing.T) {
	var mu sync.Mutex
	stored := map[string][]byte{}
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPut {
			stored[r.URL.Path] = body
		}
		p := stored[r.URL.Path]
		w.Header().Set("ETag", `"ABC"`)
		w.Header().Set("x-oss-hash-crc64ecma", fmt.Sprint(sumOf(p)))
		w.Header().Set("x-oss-meta-mode", "33188")
		if r.Method != http.MethodPut {
			http.ServeContent(w, r, "", time.Unix(1700000000, 0), bytes.NewReader(p))
		}
	})
	want := bytes.Repeat([]byte("0123456789"), 1000)
	res, err := b.Put(t.Context(), PutRequest{Key: "a b/ü+%", Body: bytes.NewReader(want), Size: int64(len(want)), Metadata: Metadata{User: map[string]string{"mode": "33188"}}})
	if err != nil || res.CRC64 != sumOf(want) || res.ETag != "ABC" {
		t.Fatalf("Put: got %+v, %v; want CRC %d", res, err, sumOf(want))
	}
	for _, g := range []GetRequest{{Length: -1}, {Offset: 5, Length: 100}, {Offset: 9000, Length: -1}} {
		g.Key = "a b/ü+%"
		body, err := b.Get(t.Context(), g)
		if err != nil {
			t.Fatalf("Get %+v: %v", g, err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		end := int64(len(want))
		if g.Length >= 0 {
			end = g.Offset + g.Length
		}
		if err != nil || !bytes.Equal(got, want[g.Offset:end]) {
			t.Errorf("Get %+v: got %d bytes, %v; want %d", g, len(got), err, end-g.Offset)
		}
		if body.Object.Size != int64(len(want)) || body.Object.Metadata.User["mode"] != "33188" {
			t.Errorf("Get %+v: object %+v", g, body.Object)
		}
	}
}

func TestListPage(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><Name>test</Name><Prefix></Prefix><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<NextContinuationToken>Cg&amp;==</NextContinuationToken>
<Contents><Key>a%20b%2Bc%01</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"5B3C1A2E053D763E1B002CC607C5A0FE"</ETag><Type>Normal</Type><Size>344606</Size><StorageClass>Standard</StorageClass><Owner><ID>1</ID></Owner></Contents>
<CommonPrefixes><Prefix>dir%2F</Prefix></CommonPrefixes></ListBucketResult>`)
	})
	page, err := b.List(t.Context(), ListRequest{Delimiter: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects) != 1 || page.Objects[0].Key != "a b+c\x01" || page.Objects[0].Size != 344606 || page.Objects[0].ETag != "5B3C1A2E053D763E1B002CC607C5A0FE" ||
		!page.Objects[0].LastModified.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("objects: got %+v", page.Objects)
	}
	if len(page.Prefixes) != 1 || page.Prefixes[0] != "dir/" || page.Next != "Cg&==" {
		t.Errorf("prefixes %q, next %q", page.Prefixes, page.Next)
	}
}

func TestErrorIsTyped(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-oss-request-id", "REQ")
		w.WriteHeader(404)
		io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>no</Message><RequestId>REQ</RequestId><EC>0026-1</EC></Error>`)
	})
	_, err := b.Get(t.Context(), GetRequest{Key: "x", Length: -1})
	var e *Error
	if !errors.Is(err, ErrNotExist) || !errors.As(err, &e) || e.Code != "NoSuchKey" || e.EC != "0026-1" || e.RequestID != "REQ" {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "test-secret") {
		t.Errorf("the error holds the secret: %v", err)
	}
}
