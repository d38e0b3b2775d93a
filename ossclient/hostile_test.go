package ossclient_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// hostile is an answer that anybody may have written.
type hostile struct {
	status  int
	headers string // one on a line
	body    []byte
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the client may have given up
	for line := range strings.Lines(h.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "" && !strings.EqualFold(name, "Content-Length") && !strings.EqualFold(name, "Transfer-Encoding") {
			w.Header().Add(name, strings.TrimSpace(value)) // what HTTP does not allow is changed by the server
		}
	}
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body)
}

// askEverything makes every request that reads an answer, and gives what cannot be.
func askEverything(ctx context.Context, b *ossclient.Bucket) (faults []string, errs []error) {
	note := func(err error) { errs = append(errs, err) }
	fault := func(wrong bool, what string) {
		if wrong {
			faults = append(faults, what)
		}
	}
	o, err := b.Head(ctx, "key")
	note(err)
	fault(err == nil && o.Size < 0, "an object of a negative size")
	if body, err := b.Get(ctx, ossclient.GetRequest{Key: "key", Offset: 3, Length: 5}); err != nil {
		note(err)
	} else {
		n, err := io.Copy(io.Discard, body)
		note(err)
		fault(n > 5, "more bytes than were asked for")
		_ = body.Close()
	}
	page, err := b.List(ctx, ossclient.ListRequest{})
	note(err)
	for _, o := range page.Objects {
		fault(o.Size < 0 || o.Key == "", "an object without a key, or of a negative size")
	}
	parts, err := b.ListParts(ctx, "key", "id")
	note(err)
	for _, p := range parts {
		fault(p.Size < 0 || p.Number < 0, "a part of a negative size or number")
	}
	n := 0
	for _, err := range b.ListUploads(ctx, "") {
		note(err)
		if n++; n > 100_000 {
			break
		}
	}
	_, err = b.CreateUpload(ctx, ossclient.UploadRequest{Key: "key"})
	note(err)
	_, err = b.Copy(ctx, ossclient.CopyRequest{Source: ossclient.Version{Key: "a"}, Key: "b"})
	note(err)
	_, err = b.CompleteUpload(ctx, ossclient.CompleteRequest{Key: "key", Upload: "id", Parts: []ossclient.Part{{Number: 1, ETag: "e"}}})
	note(err)
	_, _, err = b.GetSymlink(ctx, "key")
	note(err)
	_, err = b.Info(ctx)
	note(err)
	note(b.DeleteMany(ctx, []ossclient.Key{"a", "b"}))
	note(b.AbortUpload(ctx, "key", "id"))
	return faults, errs
}

// FuzzAnswers wants that no answer makes the client panic or hang, that errors are one printable line, and that what is
// impossible is not believed.
func FuzzAnswers(f *testing.F) {
	f.Add(uint16(0), "X-Oss-Request-Id: 1\nETag: \"e\"", []byte(`<ListPartsResult><Part><PartNumber>1</PartNumber><Size>-3</Size></Part></ListPartsResult>`))
	f.Add(uint16(0), "", []byte(`<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><Upload><Key>%00</Key></Upload></ListMultipartUploadsResult>`))
	f.Add(uint16(203), "X-Oss-Ec: \x01", []byte("<Error><Code>Access\nDenied</Code><Message>\x1b[31m&#10;no</Message><EC>1</EC></Error>"))
	f.Add(uint16(6), "Content-Range: bytes 3-7/9999999999999999999\nX-Oss-Hash-Crc64ecma: -1", []byte("12345678"))
	f.Add(uint16(0), "Last-Modified: never\nX-Oss-Meta-Mode: 99999999999999999999\nX-Oss-Object-Type: ?", []byte(`<!DOCTYPE a [<!ENTITY b "c">]><CopyObjectResult>&b;</CopyObjectResult>`))
	f.Add(uint16(101), "Location: http://127.0.0.1:1/", []byte(`<Error><Endpoint>../../x</Endpoint></Error>`))
	var answer atomic.Pointer[hostile]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer.Load().ServeHTTP(w, r) }))
	f.Cleanup(server.Close)
	b, err := ossclient.OpenPatiently(context.Background(), ossclient.Config{
		Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: server.URL, RetryBudget: time.Nanosecond,
	}, time.Second, time.Second)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(b.Close)
	f.Fuzz(func(t *testing.T, status uint16, headers string, body []byte) {
		answer.Store(&hostile{200 + int(status)%400, headers, body})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		faults, errs := askEverything(ctx, b)
		if ctx.Err() != nil {
			t.Fatal("it does not end")
		}
		for _, fault := range faults {
			t.Error(fault)
		}
		for _, err := range errs {
			if err == nil {
				continue
			}
			text := err.Error()
			if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len(text) > 8<<10 {
				t.Errorf("an error of %d bytes that is not one printable line: %.300q", len(text), text)
			}
		}
	})
}
