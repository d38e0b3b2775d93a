package oracle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

type key struct{ c ossclient.Credential }

func (k key) Retrieve(context.Context) (ossclient.Credential, error) { return k.c, nil }

// alphabet has what escaping goes wrong on.
const alphabet = "abcXYZ012 /+%?&=#~-_.*'()!:;,@$\"<>[]{}|^`üß日🙂\x01\x7f\t"

func randomName(r *rand.Rand) ossclient.Key {
	letters := []rune(alphabet)
	var name strings.Builder
	name.WriteByte('k')
	for range r.IntN(30) {
		name.WriteRune(letters[r.IntN(len(letters))])
	}
	return ossclient.Key(name.String())
}

// randomRequest sends some request; what becomes of it does not matter.
func randomRequest(ctx context.Context, r *rand.Rand, b *ossclient.Bucket) {
	k, other := randomName(r), randomName(r)
	m := ossclient.Metadata{ContentType: "text/x; y=1", User: map[string]string{"mode": "33188", "b": "x  y"}}
	switch r.IntN(12) {
	case 0:
		_, _ = b.Head(ctx, k)
	case 1:
		_, _ = b.Get(ctx, ossclient.GetRequest{Key: k, Offset: 5, Length: 10, IfMatch: "E"})
	case 2:
		_, _ = b.Put(ctx, ossclient.PutRequest{Key: k, Body: strings.NewReader("x"), Size: 1, Metadata: m, NoOverwrite: true,
			Options: ossclient.ObjectOptions{StorageClass: "IA", Tags: map[string]string{"a b": "c+d"}}})
	case 3:
		_, _ = b.Copy(ctx, ossclient.CopyRequest{Source: ossclient.Version{Key: other, ETag: "E"}, Key: k, Replace: &m})
	case 4:
		_, _ = b.List(ctx, ossclient.ListRequest{Prefix: k, Delimiter: "/", StartAfter: other, Token: "t/+=", MaxKeys: 7})
	case 5:
		_ = b.DeleteMany(ctx, []ossclient.Key{"a", "b"})
	case 6:
		_, _ = b.CreateUpload(ctx, ossclient.UploadRequest{Key: k, Metadata: m})
	case 7:
		_, _ = b.UploadPart(ctx, ossclient.PartRequest{Key: k, Upload: "id/+", Number: 3, Body: strings.NewReader("x"), Size: 1})
	case 8:
		_, _ = b.ListParts(ctx, k, "id/+")
	case 9:
		for range b.ListUploads(ctx, k) {
			break
		}
	case 10:
		_ = b.PutSymlink(ctx, k, other, m)
	case 11:
		_, _ = b.Append(ctx, ossclient.AppendRequest{Key: k, Body: strings.NewReader("x"), Size: 1, Metadata: m})
	}
}

// Each request of ossclient is signed again by the SDK's own signer.
func TestSignaturesAreTheSDKs(t *testing.T) {
	for name, sdk := range map[string]signer.Signer{"v1": &signer.SignerV1{}, "v4": &signer.SignerV4{}} {
		for _, token := range []string{"", "token/with+signs="} {
			cred := ossclient.Credential{ID: "id", Secret: "secret", Token: token}
			requests := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				requests++
				got := r.Header.Get("Authorization")
				if want := signedBySDK(t, sdk, r, cred); got != want {
					t.Errorf("%s %s %s:\n got %s\nwant %s", name, r.Method, r.RequestURI, got, want)
				}
				w.WriteHeader(http.StatusForbidden)
			}))
			b, err := ossclient.Open(t.Context(), ossclient.Config{Bucket: "bucket", Region: "cn-hangzhou", Endpoint: s.URL, Sign: name, Credentials: key{cred}})
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				randomRequest(t.Context(), r, b)
			}
			b.Close()
			s.Close()
			if requests < 300 {
				t.Errorf("%s: %d requests came, want 300", name, requests)
			}
		}
	}
}

// signedBySDK signs a request that arrived, at the time it says.
func signedBySDK(t *testing.T, s signer.Signer, r *http.Request, c ossclient.Credential) string {
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Oss-Date"))
	if err != nil {
		if when, err = http.ParseTime(r.Header.Get("Date")); err != nil {
			t.Errorf("the request has no time: %v", r.Header)
		}
	}
	path, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/bucket/"))
	if err != nil {
		t.Error(err)
	}
	request := r.Clone(context.Background())
	request.Header.Del("Authorization")
	ctx := &signer.SigningContext{
		Product: oss.Ptr("oss"), Region: oss.Ptr("cn-hangzhou"), Bucket: oss.Ptr("bucket"), Request: request, Time: when,
		Credentials: &credentials.Credentials{AccessKeyID: c.ID, AccessKeySecret: c.Secret, SecurityToken: c.Token},
	}
	if path != "" {
		ctx.Key = oss.Ptr(path)
	}
	if err := s.Sign(context.Background(), ctx); err != nil {
		t.Error(err)
	}
	return request.Header.Get("Authorization")
}

// What ossclient stores, the SDK reads, and the other way round.
func TestBothSeeTheSame(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	sdk := newSDK(s, oss.SignatureVersionV4, "")
	ours, err := ossclient.Open(t.Context(), ossclient.Config{
		Bucket: bucket, Region: ossservertest.Region, Endpoint: s.Endpoint,
		Credentials: key{ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		k, body := randomName(r), random(r.IntN(3000))
		m := map[string]string{"mode": fmt.Sprint(r.IntN(9999)), "x": "y"}
		if _, err := ours.Put(t.Context(), ossclient.PutRequest{Key: k, Body: bytes.NewReader(body), Size: int64(len(body)), Metadata: ossclient.Metadata{User: m}}); err != nil {
			t.Fatalf("Put %q: %v", k, err)
		}
		res, err := sdk.GetObject(t.Context(), &oss.GetObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr(string(k))})
		if err != nil {
			t.Fatalf("the SDK's GetObject %q: %v", k, err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, body) || !maps.Equal(res.Metadata, m) {
			t.Errorf("the SDK's GetObject %q: %d bytes, %v, %v; want %d, %v", k, len(got), res.Metadata, err, len(body), m)
		}
	}
	compareListings(t, sdk, ours)
}

func compareListings(t *testing.T, sdk *oss.Client, ours *ossclient.Bucket) {
	theirs, err := sdk.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: oss.Ptr(bucket), MaxKeys: 1000, Delimiter: oss.Ptr("/")})
	if err != nil {
		t.Fatal(err)
	}
	page, err := ours.List(t.Context(), ossclient.ListRequest{Delimiter: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects) != len(theirs.Contents) || len(page.Prefixes) != len(theirs.CommonPrefixes) || len(page.Objects) == 0 {
		t.Fatalf("got %d objects and %d prefixes, want %d and %d", len(page.Objects), len(page.Prefixes), len(theirs.Contents), len(theirs.CommonPrefixes))
	}
	for i, x := range theirs.Contents {
		o := page.Objects[i]
		if string(o.Key) != *x.Key || o.Size != x.Size || string(o.ETag) != strings.Trim(*x.ETag, `"`) || !o.LastModified.Equal(*x.LastModified) || o.StorageClass != *x.StorageClass || string(o.Type) != *x.Type {
			t.Errorf("object %d: got %+v, want %s %d %s", i, o, *x.Key, x.Size, *x.ETag)
		}
	}
	for i, x := range theirs.CommonPrefixes {
		if string(page.Prefixes[i]) != *x.Prefix {
			t.Errorf("prefix %d: got %q, want %q", i, page.Prefixes[i], *x.Prefix)
		}
	}
}
