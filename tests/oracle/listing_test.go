package oracle

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// oddLetters has what escaping goes wrong on.
const oddLetters = "abcXYZ012 /+%?&=#~-_.*'()!:;,@$\"<>[]{}|^`üß日🙂\x01\x7f\t"

func randomName(r *rand.Rand) ossclient.Key {
	letters := []rune(oddLetters)
	var name strings.Builder
	name.WriteByte('k')
	for range r.IntN(30) {
		name.WriteRune(letters[r.IntN(len(letters))])
	}
	return ossclient.Key(name.String())
}

// What ossclient stores, the SDK reads; and both read the same of a listing.
func TestBothSeeTheSame(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	sdk := newSDK(s, oss.SignatureVersionV4, "")
	ours := clientFor(t, s, "v4", false)
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
