package ossclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// open gives a client of the server's test bucket with its key.
func open(t testing.TB, s *ossservertest.Server, change func(*ossclient.Config)) *ossclient.Bucket {
	t.Helper()
	cfg := ossclient.Config{
		Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, RetryBudget: 5 * time.Second,
		Credentials: fixed{ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}},
	}
	if change != nil {
		change(&cfg)
	}
	b, err := ossclient.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func put(t testing.TB, b *ossclient.Bucket, key ossclient.Key, body []byte, m ossclient.Metadata) ossclient.PutResult {
	t.Helper()
	res, err := b.Put(t.Context(), ossclient.PutRequest{Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Metadata: m})
	if err != nil {
		t.Fatalf("Put %q: %v", key, err)
	}
	return res
}

func get(t testing.TB, b *ossclient.Bucket, g ossclient.GetRequest) ([]byte, error) {
	t.Helper()
	body, err := b.Get(t.Context(), g)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(n) + 1
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// strangeKeys are keys whose escaping goes wrong easily.
func strangeKeys() []ossclient.Key {
	return []ossclient.Key{
		"plain", "dir/file.txt", "dir/", "a b", "a+b", "a%20b", "ü/日本/🙂", "q?x=1&y#z", "a//b", "./x", "../x", "a/./b/../c",
		"~-_.", "*'()!", "\x01\x1f\x7f", "semi;colon:at@=$,", "tab\there", "cr\rlf\n", `quote"'<>&`, "[brackets]{}|^`", "trailing ", " leading", "%",
		ossclient.Key(strings.Repeat("k", 1023)),
	}
}

func TestConformanceOfEachSignature(t *testing.T) {
	for _, sign := range []string{"v4", "v2", "v1"} {
		t.Run(sign, func(t *testing.T) {
			s := ossservertest.NewTest(t, ossserver.Options{MinPartSize: 1})
			b := open(t, s, func(c *ossclient.Config) { c.Sign = sign })
			t.Run("objects", func(t *testing.T) { testObjects(t, s, b) })
			t.Run("metadata", func(t *testing.T) { testMetadata(t, b) })
			t.Run("copy", func(t *testing.T) { testCopy(t, b) })
			t.Run("delete", func(t *testing.T) { testDelete(t, s, b) })
			t.Run("list", func(t *testing.T) { testList(t, b) })
			t.Run("multipart", func(t *testing.T) { testMultipart(t, b) })
			t.Run("append", func(t *testing.T) { testAppend(t, b) })
			t.Run("symlink", func(t *testing.T) { testSymlink(t, b) })
			t.Run("restore", func(t *testing.T) { testRestore(t, b) })
			t.Run("info", func(t *testing.T) { testInfo(t, b) })
			t.Run("signed URL", func(t *testing.T) { testSignedURL(t, b) })
		})
	}
}

func testObjects(t *testing.T, s *ossservertest.Server, b *ossclient.Bucket) {
	for _, key := range strangeKeys() {
		want := pattern(len(key) * 3)
		res := put(t, b, key, want, ossclient.Metadata{})
		if stored, ok := s.Object(ossservertest.Bucket, string(key)); !ok || stored.CRC64 != res.CRC64 || ossclient.ETag(stored.ETag) != res.ETag {
			t.Errorf("Put %q: the server has %+v, %v; want CRC %d, ETag %s", key, stored, ok, res.CRC64, res.ETag)
		}
		o, err := b.Head(t.Context(), key)
		if err != nil || o.Size != int64(len(want)) || o.CRC64 != crc.Update(0, want) || !o.HasCRC64 || o.ETag != res.ETag || o.Type != ossclient.Normal || o.LastModified.IsZero() {
			t.Errorf("Head %q: got %+v, %v", key, o, err)
		}
		if got, err := get(t, b, ossclient.GetRequest{Key: key, Length: -1, IfMatch: res.ETag}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Get %q: got %d bytes, %v; want %d", key, len(got), err, len(want))
		}
	}
	testRanges(t, b)
}

func testRanges(t *testing.T, b *ossclient.Bucket) {
	want := pattern(3000)
	put(t, b, "ranges", want, ossclient.Metadata{})
	for _, g := range []struct{ off, length, n int64 }{{0, 1, 1}, {0, 3000, 3000}, {0, 9999, 3000}, {1000, 100, 100}, {2999, 1, 1}, {2999, 100, 1}, {500, -1, 2500}, {0, 0, 0}, {7000, 0, 0}} {
		got, err := get(t, b, ossclient.GetRequest{Key: "ranges", Offset: g.off, Length: g.length})
		if err != nil || !bytes.Equal(got, want[min(g.off, 3000):min(g.off, 3000)+g.n]) {
			t.Errorf("Get %d+%d: got %d bytes, %v; want %d", g.off, g.length, len(got), err, g.n)
		}
	}
	for _, g := range []ossclient.GetRequest{{Key: "ranges", Offset: 3000, Length: 1}, {Key: "ranges", Offset: 4000, Length: -1}} {
		if _, err := get(t, b, g); !errors.Is(err, ossclient.ErrRange) {
			t.Errorf("Get past the end %+v: got %v, want ErrRange", g, err)
		}
	}
	if _, err := get(t, b, ossclient.GetRequest{Key: "ranges", Length: -1, IfMatch: "0123"}); !errors.Is(err, ossclient.ErrPrecondition) {
		t.Errorf("Get of another ETag: got %v, want ErrPrecondition", err)
	}
	if _, err := b.Head(t.Context(), "nothing"); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("Head of nothing: got %v, want ErrNotExist", err)
	}
	if _, err := get(t, b, ossclient.GetRequest{Key: "nothing", Length: -1}); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("Get of nothing: got %v, want ErrNotExist", err)
	}
	_, err := b.Put(t.Context(), ossclient.PutRequest{Key: "ranges", Body: strings.NewReader(""), NoOverwrite: true})
	if !errors.Is(err, ossclient.ErrExist) {
		t.Errorf("exclusive Put: got %v, want ErrExist", err)
	}
}

func testMetadata(t *testing.T, b *ossclient.Bucket) {
	want := ossclient.Metadata{
		ContentType: "text/plain", ContentEncoding: "identity", ContentDisposition: `attachment; filename="x"`, ContentLanguage: "en",
		CacheControl: "no-cache", Expires: "Fri, 20 Nov 2026 10:00:00 GMT", User: map[string]string{"mode": "33188", "mtime": "1700000000.123456789", "empty-not": "x y"},
	}
	put(t, b, "meta", []byte("x"), want)
	check := func(what string, got ossclient.Metadata) {
		t.Helper()
		if !maps.Equal(got.User, want.User) {
			t.Errorf("%s: got user metadata %v, want %v", what, got.User, want.User)
		}
		if got.User = want.User; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	o, err := b.Head(t.Context(), "meta")
	if err != nil {
		t.Fatal(err)
	}
	check("Head", o.Metadata)
	body, err := b.Get(t.Context(), ossclient.GetRequest{Key: "meta", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	check("Get", body.Object.Metadata)
	body.Close()
	for _, m := range []ossclient.Metadata{{User: map[string]string{"a b": "x"}}, {User: map[string]string{"x": "a\nb"}}, {ContentType: "a\r\nX: y"}, {User: map[string]string{"x": strings.Repeat("y", 8192)}}} {
		_, err := b.Put(t.Context(), ossclient.PutRequest{Key: "meta", Body: strings.NewReader(""), Metadata: m})
		if !errors.Is(err, ossclient.ErrInvalid) {
			t.Errorf("Put with metadata %.60q: got %v, want ErrInvalid", fmt.Sprint(m), err)
		}
	}
}

func testCopy(t *testing.T, b *ossclient.Bucket) {
	m := ossclient.Metadata{User: map[string]string{"a": "1"}}
	for _, key := range strangeKeys() {
		src := put(t, b, key, pattern(100), m)
		res, err := b.Copy(t.Context(), ossclient.CopyRequest{Source: src.Version, Key: "copy"})
		if err != nil || res.ETag == "" || res.LastModified.IsZero() || res.HasCRC64 && res.CRC64 != src.CRC64 || res.Size != 100 {
			t.Fatalf("Copy of %q: got %+v, %v", key, res, err)
		}
		got, err := get(t, b, ossclient.GetRequest{Key: "copy", Length: -1, IfMatch: res.ETag})
		if err != nil || !bytes.Equal(got, pattern(100)) {
			t.Fatalf("Get of the copy of %q: %d bytes, %v", key, len(got), err)
		}
	}
	src := put(t, b, "src", pattern(10), m)
	replaced := ossclient.Metadata{ContentType: "text/x", User: map[string]string{"b": "2"}}
	if _, err := b.Copy(t.Context(), ossclient.CopyRequest{Source: src.Version, Key: "src", Replace: &replaced}); err != nil {
		t.Fatalf("Copy onto itself: %v", err)
	}
	if o, err := b.Head(t.Context(), "src"); err != nil || !maps.Equal(o.Metadata.User, replaced.User) || o.Metadata.ContentType != "text/x" {
		t.Errorf("after Copy with other metadata: got %+v, %v", o.Metadata, err)
	}
	if _, err := b.Copy(t.Context(), ossclient.CopyRequest{Source: src.Version, Key: "copy", NoOverwrite: true}); !errors.Is(err, ossclient.ErrExist) {
		t.Errorf("exclusive Copy: got %v, want ErrExist", err)
	}
	src.ETag = "0123"
	if _, err := b.Copy(t.Context(), ossclient.CopyRequest{Source: src.Version, Key: "copy"}); !errors.Is(err, ossclient.ErrPrecondition) {
		t.Errorf("Copy of another ETag: got %v, want ErrPrecondition", err)
	}
	if _, err := b.Copy(t.Context(), ossclient.CopyRequest{Source: ossclient.Version{Key: "nothing"}, Key: "copy"}); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("Copy of nothing: got %v, want ErrNotExist", err)
	}
}

func testDelete(t *testing.T, s *ossservertest.Server, b *ossclient.Bucket) {
	keys := strangeKeys()
	for _, key := range keys {
		put(t, b, key, nil, ossclient.Metadata{})
	}
	if err := b.Delete(t.Context(), keys[0]); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if err := b.Delete(t.Context(), keys[0]); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if err := b.DeleteMany(t.Context(), keys); err != nil {
		t.Errorf("DeleteMany: %v", err)
	}
	for _, key := range keys {
		if _, ok := s.Object(ossservertest.Bucket, string(key)); ok {
			t.Errorf("DeleteMany left %q", key)
		}
	}
	if err := b.DeleteMany(t.Context(), nil); err != nil {
		t.Errorf("DeleteMany of nothing: %v", err)
	}
	if err := b.DeleteMany(t.Context(), make([]ossclient.Key, 1001)); !errors.Is(err, ossclient.ErrInvalid) {
		t.Errorf("DeleteMany of 1,001: got %v, want ErrInvalid", err)
	}
}

func testList(t *testing.T, b *ossclient.Bucket) {
	var want []ossclient.Key
	for _, key := range strangeKeys() {
		if len(key) < 900 {
			want = append(want, "list/"+key)
			put(t, b, "list/"+key, pattern(7), ossclient.Metadata{})
		}
	}
	slices.Sort(want)
	for _, max := range []int{0, 1, 3} {
		var got []ossclient.Key
		for token := ""; ; {
			page, err := b.List(t.Context(), ossclient.ListRequest{Prefix: "list/", Token: token, MaxKeys: max})
			if err != nil {
				t.Fatalf("List by %d: %v", max, err)
			}
			for _, o := range page.Objects {
				got = append(got, o.Key)
				if o.Size != 7 || o.ETag == "" || o.LastModified.IsZero() || o.StorageClass != "Standard" || o.Type != ossclient.Normal {
					t.Errorf("List: object %+v", o)
				}
			}
			if token = page.Next; token == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("List by %d: got %q, want %q", max, got, want)
		}
	}
	page, err := b.List(t.Context(), ossclient.ListRequest{Prefix: "list/", Delimiter: "/", StartAfter: "list/b"})
	if err != nil || !slices.Contains(page.Prefixes, "list/dir/") || !slices.Contains(page.Prefixes, "list/ü/") || slices.ContainsFunc(page.Objects, func(o ossclient.Object) bool { return o.Key <= "list/b" }) {
		t.Errorf("List with delimiter: got %q, %d objects, %v", page.Prefixes, len(page.Objects), err)
	}
	page, err = b.List(t.Context(), ossclient.ListRequest{Prefix: "none/"})
	if err != nil || len(page.Objects)+len(page.Prefixes) != 0 || page.Next != "" {
		t.Errorf("List of nothing: got %+v, %v", page, err)
	}
}

func testMultipart(t *testing.T, b *ossclient.Bucket) {
	for _, key := range []ossclient.Key{"multi", "strange/\x01 +%/ü"} {
		testMultipartOf(t, b, key)
	}
	if _, err := b.ListParts(t.Context(), "multi", "0123"); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("ListParts of no upload: got %v, want ErrNotExist", err)
	}
	id, err := b.CreateUpload(t.Context(), ossclient.UploadRequest{Key: "multi"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.AbortUpload(t.Context(), "multi", id); err != nil {
			t.Errorf("AbortUpload: %v", err)
		}
	}
	_, err = b.UploadPart(t.Context(), ossclient.PartRequest{Key: "multi", Upload: id, Number: 1, Body: strings.NewReader("x"), Size: 1})
	if !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("UploadPart after abort: got %v, want ErrNotExist", err)
	}
}

func testMultipartOf(t *testing.T, b *ossclient.Bucket, key ossclient.Key) {
	src := put(t, b, "part-source", pattern(500), ossclient.Metadata{})
	m := ossclient.Metadata{ContentType: "text/x", User: map[string]string{"mode": "33188"}}
	id, err := b.CreateUpload(t.Context(), ossclient.UploadRequest{Key: key, Metadata: m})
	if err != nil || id == "" {
		t.Fatalf("CreateUpload %q: %q, %v", key, id, err)
	}
	var seen []ossclient.Upload
	for u, err := range b.ListUploads(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, u)
	}
	if !slices.ContainsFunc(seen, func(u ossclient.Upload) bool { return u.Key == key && u.ID == id && !u.Initiated.IsZero() }) {
		t.Errorf("ListUploads: %q %s is not in %+v", key, id, seen)
	}
	first := pattern(1000)
	p1, err := b.UploadPart(t.Context(), ossclient.PartRequest{Key: key, Upload: id, Number: 1, Body: bytes.NewReader(first), Size: 1000})
	if err != nil || p1.CRC64 != crc.Update(0, first) {
		t.Fatalf("UploadPart: %+v, %v", p1, err)
	}
	p2, err := b.CopyPart(t.Context(), ossclient.CopyPartRequest{Key: key, Upload: id, Number: 2, Source: src.Version, Offset: 100, Length: 300})
	if err != nil || p2.ETag == "" || p2.Size != 300 {
		t.Fatalf("CopyPart: %+v, %v", p2, err)
	}
	parts, err := b.ListParts(t.Context(), key, id)
	if err != nil || len(parts) != 2 || parts[0].ETag != p1.ETag || parts[1].ETag != p2.ETag || parts[1].Size != 300 {
		t.Errorf("ListParts: %+v, %v; want %+v, %+v", parts, err, p1, p2)
	}
	want := append(slices.Clone(first), pattern(500)[100:400]...)
	sum := crc.Update(0, want)
	res, err := b.CompleteUpload(t.Context(), ossclient.CompleteRequest{Key: key, Upload: id, Parts: []ossclient.Part{p1, p2}, CRC64: &sum})
	if err != nil || res.CRC64 != sum || res.Size != 1300 || res.ETag == "" {
		t.Fatalf("CompleteUpload: %+v, %v; want CRC %d", res, err, sum)
	}
	got, err := get(t, b, ossclient.GetRequest{Key: key, Length: -1, IfMatch: res.ETag})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Get of the completed %q: %d bytes, %v; want %d", key, len(got), err, len(want))
	}
	if o, err := b.Head(t.Context(), key); err != nil || o.Type != ossclient.Multipart || o.Metadata.User["mode"] != "33188" {
		t.Errorf("Head of the completed: %+v, %v", o, err)
	}
}

func testAppend(t *testing.T, b *ossclient.Bucket) {
	var all []byte
	for _, piece := range []string{"hello ", "", "world"} {
		res, err := b.Append(t.Context(), ossclient.AppendRequest{Key: "appended", Position: int64(len(all)), Before: crc.Update(0, all), Body: strings.NewReader(piece), Size: int64(len(piece))})
		all = append(all, piece...)
		if err != nil || res.Next != int64(len(all)) || res.CRC64 != crc.Update(0, all) {
			t.Fatalf("Append: got %+v, %v", res, err)
		}
	}
	if got, err := get(t, b, ossclient.GetRequest{Key: "appended", Length: -1}); err != nil || string(got) != string(all) {
		t.Errorf("Get: got %q, %v; want %q", got, err, all)
	}
	if _, err := b.Append(t.Context(), ossclient.AppendRequest{Key: "appended", Position: 3, Body: strings.NewReader("x"), Size: 1}); !errors.Is(err, ossclient.ErrNotAppendable) {
		t.Errorf("Append at the wrong place: got %v, want ErrNotAppendable", err)
	}
	put(t, b, "fixed", []byte("x"), ossclient.Metadata{})
	if _, err := b.Append(t.Context(), ossclient.AppendRequest{Key: "fixed", Position: 1, Body: strings.NewReader("x"), Size: 1}); !errors.Is(err, ossclient.ErrNotAppendable) {
		t.Errorf("Append to a put object: got %v, want ErrNotAppendable", err)
	}
}

func testSymlink(t *testing.T, b *ossclient.Bucket) {
	put(t, b, "ziel/ü x", []byte("there"), ossclient.Metadata{})
	if err := b.PutSymlink(t.Context(), "link", "ziel/ü x", ossclient.Metadata{User: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	target, o, err := b.GetSymlink(t.Context(), "link")
	if err != nil || target != "ziel/ü x" || o.Type != ossclient.Symlink || o.Metadata.User["a"] != "b" {
		t.Errorf("GetSymlink: got %q, %+v, %v", target, o, err)
	}
	if got, err := get(t, b, ossclient.GetRequest{Key: "link", Length: -1}); err != nil || string(got) != "there" {
		t.Errorf("Get through the link: got %q, %v", got, err)
	}
	if _, _, err := b.GetSymlink(t.Context(), "ziel/ü x"); !errors.Is(err, ossclient.ErrUnsupported) {
		t.Errorf("GetSymlink of an object: got %v, want ErrUnsupported", err)
	}
}

func testRestore(t *testing.T, b *ossclient.Bucket) {
	_, err := b.Put(t.Context(), ossclient.PutRequest{Key: "cold", Body: strings.NewReader("ice"), Size: 3, Options: ossclient.ObjectOptions{StorageClass: "Archive"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, b, ossclient.GetRequest{Key: "cold", Length: -1}); !errors.Is(err, ossclient.ErrArchived) {
		t.Errorf("Get of an archived object: got %v, want ErrArchived", err)
	}
	if err := b.Restore(t.Context(), "cold", 1); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, b, ossclient.GetRequest{Key: "cold", Length: -1}); err != nil || string(got) != "ice" {
		t.Errorf("Get after Restore: got %q, %v", got, err)
	}
	if o, err := b.Head(t.Context(), "cold"); err != nil || o.StorageClass != "Archive" || o.Restore == "" {
		t.Errorf("Head after Restore: got %+v, %v", o, err)
	}
}

func testInfo(t *testing.T, b *ossclient.Bucket) {
	info, err := b.Info(t.Context())
	if err != nil || info.Name != "test" || info.Region != ossservertest.Region || info.Created.IsZero() {
		t.Errorf("Info: got %+v, %v", info, err)
	}
}

func testSignedURL(t *testing.T, b *ossclient.Bucket) {
	for _, key := range strangeKeys() {
		put(t, b, key, []byte(key), ossclient.Metadata{})
		url, err := b.SignURL(key, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(url)
		if err != nil {
			t.Fatalf("GET of the signed URL of %q: %v", key, err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(got) != string(key) {
			t.Errorf("GET of the signed URL of %q: %d, %d bytes, %v", key, resp.StatusCode, len(got), err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestRegionIsFoundWithoutBeingTold(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{Region: "ap-southeast-1"})
	b := open(t, s, func(c *ossclient.Config) { c.Region = "" })
	if b.Region() != "ap-southeast-1" {
		t.Errorf("region %q", b.Region())
	}
	put(t, b, "k", []byte("x"), ossclient.Metadata{})
}

func TestWhoIsRefusedIsToldSo(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	for name, c := range map[string]func(*ossclient.Config){
		"a wrong secret": func(c *ossclient.Config) {
			c.Credentials = fixed{ossclient.Credential{ID: ossservertest.KeyID, Secret: "x"}}
		},
		"a wrong key":  func(c *ossclient.Config) { c.Credentials = fixed{ossclient.Credential{ID: "x", Secret: "x"}} },
		"nobody":       func(c *ossclient.Config) { c.Credentials = nil },
		"an anonymous": func(c *ossclient.Config) { c.Credentials = fixed{} },
	} {
		b := open(t, s, c)
		_, err := b.List(t.Context(), ossclient.ListRequest{})
		if !errors.Is(err, ossclient.ErrPermission) || b.Stats().Retries != 0 {
			t.Errorf("%s: got %v after %d retries, want ErrPermission at once", name, err, b.Stats().Retries)
		}
	}
	b := open(t, s, func(c *ossclient.Config) { c.Bucket = "another" })
	if _, err := b.List(t.Context(), ossclient.ListRequest{}); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("a bucket that is not there: got %v, want ErrNotExist", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	var conns atomic.Int32
	b := open(t, s, nil)
	ossclient.CountDials(b, &conns)
	put(t, b, "k", pattern(200<<10), ossclient.Metadata{})
	for range 20 {
		if _, err := get(t, b, ossclient.GetRequest{Key: "k", Offset: 10, Length: 100}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(t.Context(), "nothing"); err == nil {
			t.Fatal("Head of nothing succeeded")
		}
		if _, err := get(t, b, ossclient.GetRequest{Key: "nothing", Length: -1}); err == nil {
			t.Fatal("Get of nothing succeeded")
		}
		if _, err := b.List(t.Context(), ossclient.ListRequest{}); err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteMany(t.Context(), []ossclient.Key{"a", "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n > 3 {
		t.Errorf("120 requests in turn took %d connections, want one or two", n)
	}
}

// As many connections as requests at once are kept for the next ones.
func TestConnectionsOfManyAreReused(t *testing.T) {
	const together = 100
	s := ossservertest.NewTest(t, ossserver.Options{Latency: 20 * time.Millisecond})
	var conns atomic.Int32
	b := open(t, s, nil)
	ossclient.CountDials(b, &conns)
	put(t, b, "k", pattern(1000), ossclient.Metadata{})
	for range 4 {
		var wg sync.WaitGroup
		for range together {
			wg.Go(func() {
				if _, err := get(t, b, ossclient.GetRequest{Key: "k", Length: -1}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := conns.Load(); n > together+together/5 {
		t.Errorf("four times %d requests at once took %d connections, want %d", together, n, together)
	}
}
