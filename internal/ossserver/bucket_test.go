package ossserver

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	c := start(t, Options{Region: "cn-shanghai"})
	c.must(http.MethodPut, "/new-bucket", "<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>", "x-oss-acl", "public-read")
	info := c.must(http.MethodGet, "/new-bucket/?bucketInfo", "").body
	for name, value := range map[string]string{
		"Bucket/Name": "new-bucket", "Bucket/Location": "oss-cn-shanghai", "Bucket/StorageClass": "IA", "AccessControlList/Grant": "public-read",
		"Bucket/ExtranetEndpoint": "oss-cn-shanghai.aliyuncs.com", "Bucket/IntranetEndpoint": "oss-cn-shanghai-internal.aliyuncs.com",
	} {
		want(t, name, element(info, name), value)
	}
	want(t, "location", element(c.must(http.MethodGet, "/new-bucket/?location", "").body, "LocationConstraint"), "oss-cn-shanghai")
	c.put("k", "12345")
	stat := c.must(http.MethodGet, "/test/?stat", "").body
	want(t, "stat", element(stat, "Storage")+" "+element(stat, "ObjectCount")+" "+element(stat, "MultipartUploadCount"), "5 1 0")
	want(t, "versioning", element(c.must(http.MethodGet, "/test/?versioning", "").body, "Status"), "")
	c.must(http.MethodPut, "/test/?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
	want(t, "versioning", element(c.must(http.MethodGet, "/test/?versioning", "").body, "Status"), "Suspended")
	c.must(http.MethodPut, "/test/?acl", "", "x-oss-acl", "public-read-write")
	want(t, "ACL", element(c.must(http.MethodGet, "/test/?acl", "").body, "Grant"), "public-read-write")
	want(t, "buckets", strings.Join(elements(c.must(http.MethodGet, "/", "").body, "Name"), " "), "new-bucket test")
	want(t, "regions", element(c.must(http.MethodGet, "/?regions", "").body, "Region"), "oss-cn-shanghai")
	c.refused(409, "BucketNotEmpty", http.MethodDelete, "/test", "")
	c.must(http.MethodDelete, "/new-bucket", "")
	c.refused(404, "NoSuchBucket", http.MethodGet, "/new-bucket/", "")
	c.refused(404, "NoSuchBucket", http.MethodDelete, "/new-bucket", "")
	c.refused(501, "NotImplemented", http.MethodGet, "/test/?lifecycle", "")
	c.refused(405, "MethodNotAllowed", http.MethodPatch, "/test/k", "")
	c.refused(400, "InvalidArgument", http.MethodPut, "/another", "", "x-oss-acl", "default")
	for _, bad := range []string{"ab", "-ab", "ab-", "aB", "a_b", strings.Repeat("a", 64)} {
		c.refused(400, "InvalidBucketName", http.MethodPut, "/"+bad, "")
	}
}

func TestAnonymousAccess(t *testing.T) {
	c := start(t, Options{})
	for _, acl := range []string{"private", "public-read", "public-read-write"} {
		c.must(http.MethodPut, "/test/?acl", "", "x-oss-acl", acl)
		c.put("k", "x")
		for _, x := range []struct {
			method, target, body string
			allowed              string
		}{
			{http.MethodGet, "/test/k", "", "public-read public-read-write"},
			{http.MethodGet, "/test/?list-type=2", "", "public-read public-read-write"},
			{http.MethodPut, "/test/n", "x", "public-read-write"},
			{http.MethodDelete, "/test/n", "", "public-read-write"},
			{http.MethodGet, "/test/?bucketInfo", "", ""},
			{http.MethodPut, "/test/?acl", "", ""},
			{http.MethodDelete, "/test", "", ""},
			{http.MethodGet, "/", "", ""},
		} {
			a := c.send(c.request(x.method, x.target, x.body))
			ok := a.status < 300
			if want := strings.Contains(" "+x.allowed+" ", " "+acl+" "); ok != want || !ok && a.code != "AccessDenied" {
				t.Errorf("%s: anonymous %s %s: %d %s, want allowed %t", acl, x.method, x.target, a.status, a.code, want)
			}
		}
	}
	c.must(http.MethodPut, "/test/k?acl", "", "x-oss-object-acl", "private")
	if a := c.send(c.request(http.MethodGet, "/test/k", "")); a.code != "AccessDenied" {
		t.Errorf("anonymous GET of a private object in a public bucket: %d", a.status)
	}
	if a := c.send(c.request(http.MethodGet, "/test/k?response-content-type=x", "")); a.code != "AccessDenied" {
		t.Errorf("anonymous override of a header: %d", a.status)
	}
}

func TestHostsNameBuckets(t *testing.T) {
	s, err := New(Options{Domain: "oss.example", CNames: map[string]string{"files.example": "mine"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for host, want := range map[string]string{
		"127.0.0.1:9000": "", "[::1]:9000": "", "localhost": "", "localhost:80": "", "b.localhost:80": "b",
		"oss.example": "", "b-1.oss.example:9": "b-1", "files.example": "mine", "elsewhere.example": "",
		"oss-cn-hangzhou.aliyuncs.com": "", "b.oss-cn-hangzhou.aliyuncs.com": "b", "B.oss-cn-hangzhou-internal.aliyuncs.com": "b",
		"b.oss-accelerate.aliyuncs.com": "b", "cn-hangzhou.oss.aliyuncs.com": "", "b.cn-hangzhou.oss.aliyuncs.com": "b",
	} {
		if got, ok := s.hostBucket(host); got != want || ok != (want != "") {
			t.Errorf("hostBucket(%s) = %q, %t, want %q", host, got, ok, want)
		}
	}
}

func TestVirtualHostRequests(t *testing.T) {
	c := start(t, Options{})
	req := c.request(http.MethodPut, "/dir/a%20b%2Fc", "body")
	req.Host = "test.oss-cn-hangzhou.aliyuncs.com"
	signed := c.request(http.MethodPut, "/test/dir/a%20b%2Fc", "")
	c.sign(signed)
	req.Header = signed.Header
	if a := c.send(req); a.status != 200 {
		t.Errorf("PUT by virtual host: %d %s", a.status, a.body)
	}
	want(t, "the keys", strings.Join(c.server.Keys(testBucket), " "), "dir/a b/c")
}

func TestListings(t *testing.T) {
	c := start(t, Options{})
	keys := []string{"a", "b/", "b/1", "b/2/x", "b/2/y", "b0", "c/d/e", "c/d/f", "z&<\x01>", "é"}
	for _, k := range keys {
		if err := c.server.Put(testBucket, k, []byte(k), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		query    string
		keys     string
		prefixes string
	}{
		{"", "a b/ b/1 b/2/x b/2/y b0 c/d/e c/d/f z é", ""},
		{"prefix=b", "b/ b/1 b/2/x b/2/y b0", ""},
		{"prefix=b%2F&delimiter=%2F", "b/ b/1", "b/2/"},
		{"delimiter=%2F", "a b0 z é", "b/ c/"},
		{"prefix=c%2F&delimiter=%2F", "", "c/d/"},
		{"prefix=c&delimiter=%2F", "", "c/"},
		{"prefix=nothing", "", ""},
		{"delimiter=d%2F", "a b/ b/1 b/2/x b/2/y b0 z é", "c/d/"},
		{"start=b%2F2%2Fx", "b/2/y b0 c/d/e c/d/f z é", ""},
		{"start=b%2F&delimiter=%2F", "b0 z é", "c/"},
		{"start=b%2F1&delimiter=%2F", "b0 z é", "b/ c/"},
		{"start=b%2F&prefix=b%2F&delimiter=%2F", "b/1", "b/2/"},
		{"start=zz", "é", ""},
	} {
		for _, version := range []string{"list-type=2&", ""} {
			query := "/test/?" + version + "encoding-type=url&" + x.query
			if version == "" {
				query = strings.Replace(query, "start=", "marker=", 1)
			} else {
				query = strings.Replace(query, "start=", "start-after=", 1)
			}
			for _, limit := range []int{1, 2, 3, 100, 1000} {
				gotKeys, gotPrefixes := listAll(t, c, query, limit)
				if gotKeys != x.keys || gotPrefixes != x.prefixes {
					t.Errorf("%s by %d: %q and %q, want %q and %q", query, limit, gotKeys, gotPrefixes, x.keys, x.prefixes)
				}
			}
		}
	}
	for _, bad := range []string{"max-keys=0", "max-keys=1001", "max-keys=x", "max-keys=-1", "encoding-type=base64", "list-type=2&continuation-token=%25", "prefix=" + strings.Repeat("p", 1024)} {
		c.refused(400, "InvalidArgument", http.MethodGet, "/test/?"+bad, "")
	}
	doc := c.must(http.MethodGet, "/test/?list-type=2&max-keys=1&fetch-owner=true", "").body
	for name, value := range map[string]string{
		"Name": "test", "MaxKeys": "1", "IsTruncated": "true", "KeyCount": "1", "Key": "a", "ETag": `"0CC175B9C0F1B6A831C399E269772661"`,
		"Type": "Normal", "Size": "1", "StorageClass": "Standard", "Owner/ID": ownerID,
	} {
		want(t, name, element(doc, name), value)
	}
	if _, err := time.Parse(listTime, element(doc, "LastModified")); err != nil {
		t.Error(err)
	}
	want(t, "owner not asked for", element(c.must(http.MethodGet, "/test/?list-type=2", "").body, "ID"), "")
	want(t, "a key as it is", elements(c.must(http.MethodGet, "/test/", "").body, "Key")[8], "z&<\x01>")
	if n := len(elements(c.must(http.MethodGet, "/test/?versions", "").body, "Version/Key")); n != len(keys) {
		t.Errorf("%d versions, want one of each object", n)
	}
}

// listAll pages through a listing.
func listAll(t *testing.T, c *client, query string, limit int) (keys, prefixes string) {
	t.Helper()
	var allKeys, allPrefixes []string
	next := ""
	for page := 0; ; page++ {
		doc := c.must(http.MethodGet, fmt.Sprintf("%s&max-keys=%d%s", query, limit, next), "").body
		for _, k := range elements(doc, "Contents/Key") {
			allKeys = append(allKeys, strings.TrimSuffix(unescapePath(k), "&<\x01>"))
		}
		for _, p := range elements(doc, "CommonPrefixes/Prefix") {
			allPrefixes = append(allPrefixes, unescapePath(p))
		}
		if element(doc, "IsTruncated") != "true" {
			return strings.Join(allKeys, " "), strings.Join(allPrefixes, " ")
		}
		if page > 20 {
			t.Fatalf("%s: no end", query)
		}
		if token := element(doc, "NextContinuationToken"); token != "" {
			next = "&continuation-token=" + token
		} else {
			query = regexp.MustCompile("&marker=[^&]*").ReplaceAllString(query, "")
			next = "&marker=" + element(doc, "NextMarker")
		}
	}
}
