package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// recorder keeps the requests that go through it to the server.
type recorder struct {
	http.Handler
	mu   sync.Mutex
	list []*http.Request
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.list = append(r.list, req.Clone(context.Background()))
	r.mu.Unlock()
	r.Handler.ServeHTTP(w, req)
}

func (r *recorder) take() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// record puts a recorder before the server.
func record(t *testing.T, s *ossservertest.Server) *recorder {
	t.Helper()
	r := &recorder{Handler: s.Server}
	front := httptest.NewServer(r)
	t.Cleanup(front.Close)
	s.Endpoint = front.URL
	return r
}

type static ossclient.Credential

func (s static) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential(s), nil
}

const token = "token/with+signs="

func clientFor(t *testing.T, s *ossservertest.Server, sign string, sts bool) *ossclient.Bucket {
	t.Helper()
	return s.ClientWith(t, func(c *ossclient.Config) {
		c.Sign = sign
		if sts {
			c.Credentials = static{ID: "STS.id", Secret: "sts-secret", Token: token}
		}
	})
}

// alphabet has what escaping can get wrong.
var alphabet = []string{"a", "Z", "0", "/", " ", "+", "%", "%2F", "&", "=", "?", "#", "é", "世", "~", "*", "'", "(", "!", ":", "@", "$", ",", ";", "[", "\x01", "\\", "\"", "<", ".", ".."}

func randomKey(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("k")
	for range 1 + r.IntN(12) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// everything calls all that ossclient can do with an object of a random name.
func everything(t *testing.T, b *ossclient.Bucket, r *rand.Rand) {
	t.Helper()
	ctx := t.Context()
	ok := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	key, other := ossclient.Key(randomKey(r)), ossclient.Key(randomKey(r)+"-other")
	meta := ossclient.Metadata{ContentType: "text/x; charset=utf-8", User: map[string]string{"mode": "33188", "x-y": "two  words"}}
	body := random(1000)
	put, err := b.Put(ctx, ossclient.PutRequest{
		Key: key, Body: bytes.NewReader(body), Size: 1000, Metadata: meta, NoOverwrite: r.IntN(2) == 0,
		Options: ossclient.ObjectOptions{StorageClass: "IA", Tags: map[string]string{"a b": "c+d/é"}},
	})
	ok("put", err)
	_, err = b.Head(ctx, key)
	ok("head", err)
	got, err := b.Get(ctx, ossclient.GetRequest{Key: key, IfMatch: put.ETag, Offset: 5, Length: 10})
	ok("get", err)
	if err == nil {
		got.Close()
	}
	_, err = b.Copy(ctx, ossclient.CopyRequest{Source: put.Version, Key: other, Replace: &meta})
	ok("copy", err)
	_, err = b.List(ctx, ossclient.ListRequest{Prefix: key[:2], Delimiter: "/", StartAfter: "a &+", MaxKeys: 7})
	ok("list", err)
	page, err := b.List(ctx, ossclient.ListRequest{MaxKeys: 1})
	ok("list", err)
	_, err = b.List(ctx, ossclient.ListRequest{MaxKeys: 1, Token: page.Next})
	ok("list on", err)
	id, err := b.CreateUpload(ctx, ossclient.UploadRequest{Key: key, Metadata: meta})
	ok("create upload", err)
	part, err := b.UploadPart(ctx, ossclient.PartRequest{Key: key, Upload: id, Number: 1, Body: bytes.NewReader(random(100 << 10)), Size: 100 << 10})
	ok("upload part", err)
	copied, err := b.CopyPart(ctx, ossclient.CopyPartRequest{Key: key, Upload: id, Number: 2, Source: put.Version, Length: 1000})
	ok("copy part", err)
	_, err = b.ListParts(ctx, key, id)
	ok("list parts", err)
	for _, err := range b.ListUploads(ctx, key[:1]) {
		ok("list uploads", err)
	}
	_, err = b.CompleteUpload(ctx, ossclient.CompleteRequest{Key: key, Upload: id, Parts: []ossclient.Part{part, copied}})
	ok("complete", err)
	id, err = b.CreateUpload(ctx, ossclient.UploadRequest{Key: key})
	ok("create upload", err)
	ok("abort", b.AbortUpload(ctx, key, id))
	ok("symlink", b.PutSymlink(ctx, other+"/link", key, meta))
	target, _, err := b.GetSymlink(ctx, other+"/link")
	if ok("read the link", err); target != string(key) && err == nil {
		t.Errorf("link to %q reads %q", key, target)
	}
	_, err = b.Append(ctx, ossclient.AppendRequest{Key: other + "/log", Body: bytes.NewReader(body), Size: 1000})
	ok("append", err)
	if err := b.Restore(ctx, key, 1); err == nil || !errors.Is(err, ossclient.ErrUnsupported) && !errors.Is(err, ossclient.ErrInvalid) {
		t.Errorf("restore of what is not archived: %v", err)
	}
	_, err = b.Info(ctx)
	ok("info", err)
	ok("delete", b.Delete(ctx, other+"/log"))
	ok("delete many", b.DeleteMany(ctx, []ossclient.Key{key, other, other + "/link"}))
}

// TestSignaturesAreTheSDKs signs each request of ossclient again with the SDK's signer; those of version 2
// with the SDK before it, which the present one does not know.
func TestSignaturesAreTheSDKs(t *testing.T) {
	for _, sign := range []string{"v1", "v2", "v4"} {
		for _, sts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,sts=%t", sign, sts), func(t *testing.T) {
				s := ossservertest.NewTest(t, serverOptions())
				rec := record(t, s)
				b := clientFor(t, s, sign, sts)
				r := rand.New(rand.NewPCG(1, 2))
				checked := 0
				for range 12 {
					everything(t, b, r)
					for _, req := range rec.take() {
						compareSignature(t, req, sign, sts)
						checked++
					}
				}
				if keys := s.Keys(bucket); len(keys) > 0 {
					t.Errorf("left %q", keys)
				}
				if checked < 200 {
					t.Errorf("only %d requests were compared", checked)
				}
			})
		}
	}
}

func compareSignature(t *testing.T, got *http.Request, sign string, sts bool) {
	t.Helper()
	path, query, _ := strings.Cut(got.RequestURI, "?")
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		t.Fatal(err)
	}
	name, key, _ := strings.Cut(name, "/")
	req := &http.Request{Method: got.Method, URL: &url.URL{RawQuery: query}, Header: got.Header.Clone(), Host: got.Host}
	authorization := req.Header.Get("Authorization")
	req.Header.Del("Authorization")
	cred := credentials.Credentials{AccessKeyID: ossservertest.KeyID, AccessKeySecret: ossservertest.Secret}
	if sts {
		cred = credentials.Credentials{AccessKeyID: "STS.id", AccessKeySecret: "sts-secret", SecurityToken: token}
	}
	if sign == "v2" {
		if want := signedV2(t, req, cred, name, key); want != authorization {
			t.Errorf("%s %s:\nossclient %s\nthe SDK   %s", got.Method, got.RequestURI, authorization, want)
		}
		return
	}
	ctx := &signer.SigningContext{
		Product: oss.Ptr("oss"), Region: oss.Ptr(ossservertest.Region), Bucket: &name, Request: req, Credentials: &cred,
	}
	if key != "" {
		ctx.Key = &key
	}
	var with signer.Signer = &signer.SignerV1{}
	if sign == "v4" {
		with = &signer.SignerV4{}
		ctx.Time, err = time.Parse("20060102T150405Z", req.Header.Get("X-Oss-Date"))
		for field := range strings.SplitSeq(authorization, ",") {
			if list, ok := strings.CutPrefix(strings.TrimSpace(field), "AdditionalHeaders="); ok {
				ctx.AdditionalHeaders = strings.Split(list, ";")
			}
		}
	} else {
		ctx.Time, err = http.ParseTime(req.Header.Get("Date"))
	}
	if err != nil {
		t.Errorf("%s %s: its time: %v", got.Method, got.RequestURI, err)
		return
	}
	if err := with.Sign(context.Background(), ctx); err != nil {
		t.Fatal(err)
	}
	if want := req.Header.Get("Authorization"); strings.ReplaceAll(want, " ", "") != strings.ReplaceAll(authorization, " ", "") {
		t.Errorf("%s %s:\nossclient %s\nthe SDK   %s\nsigned %q", got.Method, got.RequestURI, authorization, want, ctx.StringToSign)
	}
}

// TestRequestsAreTheSDKs lets both do the same and compares what the server is asked.
func TestRequestsAreTheSDKs(t *testing.T) {
	s := ossservertest.NewTest(t, serverOptions())
	rec := record(t, s)
	ours, theirs := clientFor(t, s, "v4", false), newSDK(s, oss.SignatureVersionV4, "")
	ctx, b := t.Context(), oss.Ptr(bucket)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		name := randomKey(r)
		key, k := ossclient.Key(name), oss.Ptr(name)
		for _, x := range []struct {
			what string
			ours func() error
			sdk  func() error
		}{
			{"put", func() error {
				_, err := ours.Put(ctx, ossclient.PutRequest{Key: key, Body: strings.NewReader("x"), Size: 1, Metadata: ossclient.Metadata{ContentType: "text/x", User: map[string]string{"a": "b"}}})
				return err
			}, func() error {
				_, err := theirs.PutObject(ctx, &oss.PutObjectRequest{Bucket: b, Key: k, Body: strings.NewReader("x"), ContentType: oss.Ptr("text/x"), Metadata: map[string]string{"a": "b"}})
				return err
			}},
			{"head", func() error { _, err := ours.Head(ctx, key); return err },
				func() error { _, err := theirs.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: b, Key: k}); return err }},
			{"copy", func() error {
				_, err := ours.Copy(ctx, ossclient.CopyRequest{Source: ossclient.Version{Key: key}, Key: key + "-copy"})
				return err
			}, func() error {
				_, err := theirs.CopyObject(ctx, &oss.CopyObjectRequest{Bucket: b, Key: oss.Ptr(name + "-copy"), SourceKey: k})
				return err
			}},
			{"list", func() error {
				_, err := ours.List(ctx, ossclient.ListRequest{Prefix: key, Delimiter: "/", StartAfter: key[:1], MaxKeys: 9})
				return err
			}, func() error {
				_, err := theirs.ListObjectsV2(ctx, &oss.ListObjectsV2Request{Bucket: b, Prefix: k, Delimiter: oss.Ptr("/"), StartAfter: oss.Ptr(name[:1]), MaxKeys: 9})
				return err
			}},
			{"delete", func() error { return ours.Delete(ctx, key) },
				func() error {
					_, err := theirs.DeleteObject(ctx, &oss.DeleteObjectRequest{Bucket: b, Key: k})
					return err
				}},
		} {
			if err := x.ours(); err != nil {
				t.Fatalf("%s %q: %v", x.what, name, err)
			}
			a := rec.take()
			if err := x.sdk(); err != nil {
				t.Fatalf("%s %q: %v", x.what, name, err)
			}
			z := rec.take()
			if len(a) != 1 || len(z) != 1 {
				t.Errorf("%s: %d requests and %d", x.what, len(a), len(z))
				continue
			}
			if got, want := shape(a[0]), shape(z[0]); !slices.Equal(got, want) {
				t.Errorf("%s %q:\nossclient asks %q\nthe SDK asks   %q", x.what, name, got, want)
			}
		}
	}
}

// shape is what of a request matters to OSS: method, path, parameters and its own headers.
func shape(r *http.Request) []string {
	path, raw, _ := strings.Cut(r.RequestURI, "?")
	name, _ := url.PathUnescape(path)
	list := []string{r.Method + " " + strings.TrimSuffix(name, "/")}
	query, _ := url.ParseQuery(raw)
	for k, v := range query {
		list = append(list, k+"="+strings.Join(v, ","))
	}
	for k, v := range r.Header {
		value := strings.Join(v, ",")
		switch {
		case k == "X-Oss-Date", k == "X-Oss-Metadata-Directive" && value == "COPY", k == "Content-Type" && r.Method == http.MethodGet:
			continue // a time, a default said aloud, and the SDK's type of a body that is not there
		case k == "X-Oss-Copy-Source":
			source, _ := url.PathUnescape(value)
			list = append(list, k+": "+source)
			continue
		}
		if strings.HasPrefix(k, "X-Oss-") || k == "Content-Type" || k == "Range" || k == "If-Match" {
			list = append(list, k+": "+value)
		}
	}
	slices.Sort(list[1:])
	return list
}
