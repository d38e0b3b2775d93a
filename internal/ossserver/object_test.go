package ossserver

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
)

func TestPutGivesBackWhatWasStored(t *testing.T) {
	c := start(t, Options{})
	body := repeat(1000)
	sum := md5.Sum([]byte(body))
	a := c.put("k", body, "Content-Type", "text/x", "Cache-Control", "no-cache", "x-oss-meta-Mode", "33188",
		"Content-MD5", base64.StdEncoding.EncodeToString(sum[:]), "x-oss-tagging", "a=1&b=2", "x-oss-storage-class", "IA")
	etag := fmt.Sprintf(`"%X"`, sum)
	check := strconv.FormatUint(crc.Update(0, []byte(body)), 10)
	want(t, "PUT's ETag", a.header.Get("ETag"), etag)
	want(t, "PUT's checksum", a.header.Get("x-oss-hash-crc64ecma"), check)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := c.must(method, "/test/k", "")
		for name, value := range map[string]string{
			"ETag": etag, "x-oss-hash-crc64ecma": check, "Content-Type": "text/x", "Cache-Control": "no-cache", "x-oss-meta-mode": "33188",
			"Content-Length": "1000", "x-oss-object-type": "Normal", "x-oss-storage-class": "IA", "x-oss-tagging-count": "2",
			"Accept-Ranges": "bytes", "Content-MD5": base64.StdEncoding.EncodeToString(sum[:]),
		} {
			want(t, method+" "+name, a.header.Get(name), value)
		}
		if _, err := http.ParseTime(a.header.Get("Last-Modified")); err != nil {
			t.Errorf("Last-Modified: %v", err)
		}
		for _, name := range []string{"x-oss-request-id", "x-oss-server-time", "Date", "Server"} {
			if a.header.Get(name) == "" {
				t.Errorf("%s has no header %s", method, name)
			}
		}
	}
	want(t, "the body", c.must(http.MethodGet, "/test/k", "").body, body)
	a = c.must(http.MethodGet, "/test/k?response-content-type=a%2Fb&response-cache-control=x", "")
	want(t, "overridden Content-Type", a.header.Get("Content-Type"), "a/b")
	want(t, "overridden Cache-Control", a.header.Get("Cache-Control"), "x")
	a = c.must(http.MethodHead, "/test/k?objectMeta", "")
	want(t, "GetObjectMeta's ETag", a.header.Get("ETag"), etag)
	want(t, "GetObjectMeta's Content-Length", a.header.Get("Content-Length"), "1000")
	want(t, "GetObjectMeta's user metadata", a.header.Get("x-oss-meta-mode"), "")
}

func TestPutIsRefused(t *testing.T) {
	c := start(t, Options{})
	long := strings.Repeat("k", 1024)
	c.put(long[:1023], "x")
	for _, x := range []struct {
		status  int
		code    string
		target  string
		body    string
		headers []string
	}{
		{400, "InvalidObjectName", "/test/" + long, "x", nil},
		{400, "InvalidObjectName", "/test//x", "x", nil},
		{400, "InvalidObjectName", "/test/%5Cx", "x", nil},
		{400, "InvalidObjectName", "/test/a%FFb", "x", nil},
		{404, "NoSuchBucket", "/absent/k", "x", nil},
		{400, "InvalidBucketName", "/Bad_Bucket/k", "x", nil},
		{400, "InvalidDigest", "/test/k", "x", []string{"Content-MD5", "no"}},
		{400, "InvalidDigest", "/test/k", "x", []string{"Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="}},
		{400, "MetadataTooLarge", "/test/k", "x", []string{"x-oss-meta-a", strings.Repeat("v", 8193-len("x-oss-meta-a"))}},
		{400, "InvalidArgument", "/test/k", "x", []string{"x-oss-meta-a_b", "v"}},
		{400, "InvalidArgument", "/test/k", "x", []string{"x-oss-storage-class", "Cheap"}},
		{400, "InvalidArgument", "/test/k", "x", []string{"x-oss-object-acl", "mine"}},
		{400, "InvalidArgument", "/test/k", "x", []string{"x-oss-tagging", "a=1&a=2"}},
	} {
		c.refused(x.status, x.code, http.MethodPut, x.target, x.body, x.headers...)
	}
	if keys := c.server.Keys(testBucket); len(keys) != 1 {
		t.Errorf("a refused PUT left %q", keys)
	}
	c.put("k", "x", "x-oss-meta-a", strings.Repeat("v", 8192-len("x-oss-meta-a")))
	req := c.request(http.MethodPut, "/test/k", "")
	req.ContentLength, req.Body = 5<<30+1, io.NopCloser(strings.NewReader("never sent"))
	c.sign(req)
	req.Header.Set("Expect", "100-continue")
	if a := c.send(req); a.code != "EntityTooLarge" {
		t.Errorf("PUT of 5 GiB and a byte: %d %s %v, want EntityTooLarge", a.status, a.code, a.err)
	}
}

func TestForbidOverwrite(t *testing.T) {
	c := start(t, Options{})
	c.put("k", "first", "x-oss-forbid-overwrite", "true")
	c.refused(409, "FileAlreadyExists", http.MethodPut, "/test/k", "second", "x-oss-forbid-overwrite", "true")
	c.put("src", "s")
	c.refused(409, "FileAlreadyExists", http.MethodPut, "/test/k", "", "x-oss-forbid-overwrite", "true", "x-oss-copy-source", "/test/src")
	c.refused(409, "FileAlreadyExists", http.MethodPut, "/test/k?symlink", "", "x-oss-forbid-overwrite", "true", "x-oss-symlink-target", "src")
	want(t, "the body", c.must(http.MethodGet, "/test/k", "").body, "first")
	c.put("k", "second", "x-oss-forbid-overwrite", "false")
}

func TestRanges(t *testing.T) {
	c := start(t, Options{})
	body := repeat(1000)
	c.put("k", body)
	c.put("empty", "")
	const whole = -1
	for _, x := range []struct {
		text           string
		first, last    int // of the default answer: whole is 200
		sFirst, sLast  int // of the standard answer: whole is 200, nothing is 416
		sUnsatisfiable bool
	}{
		{"bytes=0-499", 0, 499, 0, 499, false},
		{"bytes=500-999", 500, 999, 500, 999, false},
		{"bytes=999-", 999, 999, 999, 999, false},
		{"bytes=-1", 999, 999, 999, 999, false},
		{"bytes=-1000", 0, 999, 0, 999, false},
		{"bytes=0-9,20-29", 0, 9, 0, 9, false},
		{"bytes=500-2000", whole, 0, 500, 999, false},
		{"bytes=1000-2000", whole, 0, 0, 0, true},
		{"bytes=1000-", whole, 0, 0, 0, true},
		{"bytes=-2000", whole, 0, 0, 999, false},
		{"bytes=-0", whole, 0, 0, 0, true},
		{"bytes=9-3", whole, 0, whole, 0, false},
		{"byte=0-499", whole, 0, whole, 0, false},
		{"bytes=a-b", whole, 0, whole, 0, false},
		{"bytes=-", whole, 0, whole, 0, false},
		{"bytes=99999999999999999999-", whole, 0, whole, 0, false},
	} {
		check := func(a answer, first, last int, behaviour string) {
			t.Helper()
			wantStatus, wantBody, wantRange := 200, body, ""
			if first != whole {
				wantStatus, wantBody, wantRange = 206, body[first:last+1], fmt.Sprintf("bytes %d-%d/1000", first, last)
			}
			if a.status != wantStatus || a.body != wantBody || a.header.Get("Content-Range") != wantRange {
				t.Errorf("%s, %s: %d, %d bytes, %q; want %d, %d bytes, %q", x.text, behaviour, a.status, len(a.body), a.header.Get("Content-Range"), wantStatus, len(wantBody), wantRange)
			}
		}
		check(c.do(http.MethodGet, "/test/k", "", "Range", x.text), x.first, x.last, "by default")
		if x.sUnsatisfiable {
			a := c.refused(416, "InvalidRange", http.MethodGet, "/test/k", "", "Range", x.text, "x-oss-range-behavior", "standard")
			want(t, "Content-Range", a.header.Get("Content-Range"), "bytes */1000")
		} else {
			check(c.do(http.MethodGet, "/test/k", "", "Range", x.text, "x-oss-range-behavior", "standard"), x.sFirst, x.sLast, "standard")
		}
	}
	if a := c.must(http.MethodGet, "/test/empty", "", "Range", "bytes=0-9"); a.status != 200 || a.body != "" {
		t.Errorf("a range of an empty object: %d %q", a.status, a.body)
	}
	c.refused(416, "InvalidRange", http.MethodGet, "/test/empty", "", "Range", "bytes=0-9", "x-oss-range-behavior", "standard")
}

func TestConditions(t *testing.T) {
	c := start(t, Options{})
	etag := c.put("k", "body").header.Get("ETag")
	o, _ := c.server.Object(testBucket, "k")
	at := func(d time.Duration) string { return o.LastModified.Add(d).Format(http.TimeFormat) }
	for _, x := range []struct {
		status  int
		headers []string
	}{
		{200, []string{"If-Match", etag}},
		{200, []string{"If-Match", strings.Trim(etag, `"`)}},
		{200, []string{"If-Match", `"other", ` + etag}},
		{412, []string{"If-Match", `"other"`}},
		{304, []string{"If-None-Match", etag}},
		{304, []string{"If-None-Match", "*"}},
		{200, []string{"If-None-Match", `"other"`}},
		{304, []string{"If-Modified-Since", at(0)}},
		{304, []string{"If-Modified-Since", at(time.Minute)}},
		{200, []string{"If-Modified-Since", at(-time.Second)}},
		{200, []string{"If-Modified-Since", "nonsense"}},
		{200, []string{"If-Unmodified-Since", at(0)}},
		{412, []string{"If-Unmodified-Since", at(-time.Second)}},
		{412, []string{"If-Match", `"other"`, "If-None-Match", etag}},
		{200, []string{"If-None-Match", `"other"`, "If-Modified-Since", at(0)}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := c.do(method, "/test/k", "", x.headers...)
			if a.err != nil || a.status != x.status {
				t.Errorf("%s %q: %d %v, want %d", method, x.headers, a.status, a.err, x.status)
			}
			if a.status == 304 && (a.body != "" || a.header.Get("ETag") != etag) {
				t.Errorf("%s %q: 304 with body %q, ETag %q", method, x.headers, a.body, a.header.Get("ETag"))
			}
		}
	}
}

func TestDelete(t *testing.T) {
	c := start(t, Options{})
	c.put("k", "x")
	for range 2 {
		if a := c.must(http.MethodDelete, "/test/k", ""); a.status != 204 {
			t.Errorf("DELETE: %d, want 204", a.status)
		}
	}
	c.refused(404, "NoSuchKey", http.MethodGet, "/test/k", "")
	c.refused(404, "NoSuchKey", http.MethodHead, "/test/k", "")
}

func deleteDocument(quiet bool, keys ...string) (string, []string) {
	doc := "<Delete><Quiet>" + strconv.FormatBool(quiet) + "</Quiet>"
	for _, k := range keys {
		var x xmlWriter
		x.buf = append(x.buf, ' ')
		x.escape(k)
		doc += "<Object><Key>" + string(x.buf[1:]) + "</Key></Object>"
	}
	doc += "</Delete>"
	sum := md5.Sum([]byte(doc))
	return doc, []string{"Content-MD5", base64.StdEncoding.EncodeToString(sum[:])}
}

func TestDeleteMultiple(t *testing.T) {
	c := start(t, Options{})
	keys := []string{"a", "b&<>", "\x01\x02", "é/ü", "nothing"}
	for _, k := range keys[:4] {
		c.put(k, "x")
	}
	c.put("stays", "x")
	doc, header := deleteDocument(false, keys...)
	a := c.must(http.MethodPost, "/test/?delete&encoding-type=url", doc, header...)
	if got := elements(a.body, "Key"); len(got) != 5 || got[2] != "%01%02" || got[3] != "%C3%A9%2F%C3%BC" {
		t.Errorf("deleted %q", got)
	}
	if got := c.server.Keys(testBucket); len(got) != 1 || got[0] != "stays" {
		t.Errorf("left %q, want only what was not named", got)
	}
	doc, header = deleteDocument(true, "stays")
	if a := c.must(http.MethodPost, "/test/?delete", doc, header...); a.body != "" {
		t.Errorf("quiet: %q", a.body)
	}
	c.refused(400, "MissingArgument", http.MethodPost, "/test/?delete", doc)
	c.refused(400, "InvalidDigest", http.MethodPost, "/test/?delete", doc+" ", header...)
	for _, bad := range []string{"", "<Delete></Delete>", "<Delete><Object><VersionId>1</VersionId></Object></Delete>", "<Delete><Object><Key>a</Key></Object>", "text"} {
		sum := md5.Sum([]byte(bad))
		c.refused(400, "MalformedXML", http.MethodPost, "/test/?delete", bad, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	doc, header = deleteDocument(false, strings.Split(strings.Repeat("k,", 1001), ",")[:1001]...)
	c.refused(400, "MalformedXML", http.MethodPost, "/test/?delete", doc, header...)
	doc, header = deleteDocument(false, strings.Split(strings.Repeat("k,", 1000), ",")[:1000]...)
	c.must(http.MethodPost, "/test/?delete", doc, header...)
}

func TestCopy(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	c := start(t, Options{Now: func() time.Time { return now }})
	src := c.put("dir/ä b", "body", "Content-Type", "text/a", "x-oss-meta-x", "1", "x-oss-tagging", "t=1")
	from := "/test/" + url.PathEscape("dir/ä b")
	put := func(headers ...string) answer {
		return c.must(http.MethodPut, "/test/copy", "", append(headers, "x-oss-copy-source", from)...)
	}
	a := put()
	want(t, "ETag", element(a.body, "ETag"), src.header.Get("ETag"))
	want(t, "LastModified", element(a.body, "LastModified"), now.UTC().Format(listTime))
	want(t, "checksum", a.header.Get("x-oss-hash-crc64ecma"), src.header.Get("x-oss-hash-crc64ecma"))
	got := c.must(http.MethodGet, "/test/copy", "")
	want(t, "body", got.body, "body")
	want(t, "copied metadata", got.header.Get("x-oss-meta-x")+got.header.Get("Content-Type")+got.header.Get("x-oss-tagging-count"), "1text/a1")
	put("x-oss-metadata-directive", "REPLACE", "x-oss-meta-y", "2", "x-oss-tagging-directive", "Replace")
	got = c.must(http.MethodGet, "/test/copy", "")
	want(t, "replaced metadata", got.header.Get("x-oss-meta-x")+got.header.Get("x-oss-meta-y")+got.header.Get("Content-Type")+got.header.Get("x-oss-tagging-count"), "2application/octet-stream")
	// Onto itself the metadata is replaced whatever the directive says.
	c.must(http.MethodPut, "/test/copy", "", "x-oss-copy-source", "/test/copy", "x-oss-meta-z", "3")
	got = c.must(http.MethodGet, "/test/copy", "")
	want(t, "metadata after a copy onto itself", got.header.Get("x-oss-meta-y")+got.header.Get("x-oss-meta-z")+got.body, "3body")

	etag := src.header.Get("ETag")
	refuse := func(status int, code string, headers ...string) {
		t.Helper()
		c.refused(status, code, http.MethodPut, "/test/new", "", headers...)
	}
	refuse(412, "PreconditionFailed", "x-oss-copy-source", from, "x-oss-copy-source-if-match", `"x"`)
	refuse(412, "PreconditionFailed", "x-oss-copy-source", from, "x-oss-copy-source-if-unmodified-since", now.Add(-time.Hour).UTC().Format(http.TimeFormat))
	refuse(404, "NoSuchKey", "x-oss-copy-source", "/test/absent")
	refuse(404, "NoSuchBucket", "x-oss-copy-source", "/absent/k")
	refuse(400, "InvalidArgument", "x-oss-copy-source", "nonsense")
	refuse(400, "InvalidArgument", "x-oss-copy-source", from, "x-oss-metadata-directive", "MERGE")
	if a := c.do(http.MethodPut, "/test/new", "", "x-oss-copy-source", from, "x-oss-copy-source-if-none-match", etag); a.status != 304 {
		t.Errorf("if-none-match: %d, want 304", a.status)
	}
	put("x-oss-copy-source-if-match", etag, "x-oss-copy-source-if-none-match", `"x"`)
}

func TestCopyLimits(t *testing.T) {
	c := start(t, Options{})
	if err := c.server.CreateBucket("other"); err != nil {
		t.Fatal(err)
	}
	if err := c.server.PutSynthetic(testBucket, "huge", 5<<30+1, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.server.PutSynthetic(testBucket, "big", 1<<30+1, 1, nil); err != nil {
		t.Fatal(err)
	}
	// Checksums of synthetic objects are not asked for where they are refused, and so cost nothing.
	c.refused(400, "EntityTooLarge", http.MethodPut, "/other/k", "", "x-oss-copy-source", "/test/huge")
	c.refused(400, "EntityTooLarge", http.MethodPut, "/test/k", "", "x-oss-copy-source", "/test/big", "x-oss-storage-class", "IA")
}

func TestAppend(t *testing.T) {
	c := start(t, Options{})
	position, body := 0, ""
	for _, piece := range []string{"hello ", "", "world", repeat(300_000)} {
		a := c.must(http.MethodPost, fmt.Sprintf("/test/log?append&position=%d", position), piece, "x-oss-meta-n", strconv.Itoa(position))
		body += piece
		position += len(piece)
		want(t, "next position", a.header.Get("x-oss-next-append-position"), strconv.Itoa(position))
		want(t, "checksum", a.header.Get("x-oss-hash-crc64ecma"), strconv.FormatUint(crc.Update(0, []byte(body)), 10))
	}
	a := c.must(http.MethodGet, "/test/log", "")
	want(t, "body", a.body, body)
	want(t, "type", a.header.Get("x-oss-object-type"), "Appendable")
	want(t, "metadata of the first append", a.header.Get("x-oss-meta-n"), "0")
	a = c.refused(409, "PositionNotEqualToLength", http.MethodPost, "/test/log?append&position=1", "x")
	want(t, "the right position", a.header.Get("x-oss-next-append-position"), strconv.Itoa(position))
	c.put("normal", "x")
	c.refused(409, "ObjectNotAppendable", http.MethodPost, "/test/normal?append&position=1", "x")
	c.refused(400, "MissingArgument", http.MethodPost, "/test/log?append", "x")
	c.refused(400, "InvalidArgument", http.MethodPost, "/test/log?append&position=-1", "x")
	c.must(http.MethodPut, "/test/copy", "", "x-oss-copy-source", "/test/log")
	want(t, "type of a copy", c.must(http.MethodHead, "/test/copy", "").header.Get("x-oss-object-type"), "Normal")
}

func TestSymlinks(t *testing.T) {
	c := start(t, Options{})
	target := "dir/tärget"
	c.put(target, "body", "Content-Type", "text/target")
	c.must(http.MethodPut, "/test/link?symlink", "", "x-oss-symlink-target", url.PathEscape(target), "x-oss-meta-l", "1")
	a := c.must(http.MethodGet, "/test/link?symlink", "")
	want(t, "target", a.header.Get("x-oss-symlink-target"), url.PathEscape(target))
	a = c.must(http.MethodGet, "/test/link", "")
	want(t, "body through the link", a.body, "body")
	a = c.must(http.MethodHead, "/test/link", "")
	object, _ := c.server.Object(testBucket, target)
	for name, value := range map[string]string{
		"x-oss-object-type": "Symlink", "Content-Length": "4", "ETag": quote(object.ETag), "x-oss-meta-l": "1", "Content-Type": defaultMIMEType,
	} {
		want(t, name, a.header.Get(name), value)
	}
	want(t, "listed type", element(c.must(http.MethodGet, "/test/?prefix=link", "").body, "Type"), "Symlink")
	c.must(http.MethodPut, "/test/copied", "", "x-oss-copy-source", "/test/link")
	want(t, "target of a copied link", c.must(http.MethodGet, "/test/copied?symlink", "").header.Get("x-oss-symlink-target"), url.PathEscape(target))
	c.must(http.MethodPut, "/test/twice?symlink", "", "x-oss-symlink-target", "link")
	c.refused(400, "InvalidTargetType", http.MethodGet, "/test/twice", "")
	c.must(http.MethodPut, "/test/dangling?symlink", "", "x-oss-symlink-target", "absent")
	c.refused(404, "SymlinkTargetNotExist", http.MethodGet, "/test/dangling", "")
	c.must(http.MethodHead, "/test/dangling?objectMeta", "")
	c.refused(400, "NotSymlink", http.MethodGet, "/test/"+url.PathEscape(target)+"?symlink", "")
	c.refused(400, "InvalidArgument", http.MethodPut, "/test/l?symlink", "", "x-oss-symlink-target", "/absolute")
}

func TestRestore(t *testing.T) {
	now := time.Now()
	clock := &now
	c := start(t, Options{Now: func() time.Time { return *clock }, RestoreTime: time.Hour})
	c.put("k", "body", "x-oss-storage-class", "ColdArchive")
	c.put("plain", "body")
	c.refused(403, "InvalidObjectState", http.MethodGet, "/test/k", "")
	c.refused(403, "InvalidObjectState", http.MethodPut, "/test/copy", "", "x-oss-copy-source", "/test/k")
	c.must(http.MethodHead, "/test/k", "")
	c.refused(400, "OperationNotSupported", http.MethodPost, "/test/plain?restore", "")
	doc := "<RestoreRequest><Days>2</Days></RestoreRequest>"
	if a := c.must(http.MethodPost, "/test/k?restore", doc); a.status != 202 {
		t.Errorf("first restore: %d, want 202", a.status)
	}
	c.refused(409, "RestoreAlreadyInProgress", http.MethodPost, "/test/k?restore", doc)
	want(t, "x-oss-restore under way", c.must(http.MethodHead, "/test/k", "").header.Get("x-oss-restore"), `ongoing-request="true"`)
	now = now.Add(2 * time.Hour)
	a := c.must(http.MethodGet, "/test/k", "")
	want(t, "body", a.body, "body")
	if got := a.header.Get("x-oss-restore"); !strings.HasPrefix(got, `ongoing-request="false", expiry-date="`) {
		t.Errorf("x-oss-restore = %q", got)
	}
	if a := c.must(http.MethodPost, "/test/k?restore", doc); a.status != 200 {
		t.Errorf("restore of what is restored: %d, want 200", a.status)
	}
	now = now.Add(50 * time.Hour)
	c.refused(403, "InvalidObjectState", http.MethodGet, "/test/k", "")
	c.refused(400, "MalformedXML", http.MethodPost, "/test/k?restore", "<RestoreRequest><Days>0</Days></RestoreRequest>")
}

func TestTagsAndACL(t *testing.T) {
	c := start(t, Options{})
	c.put("k", "x")
	want(t, "ACL", element(c.must(http.MethodGet, "/test/k?acl", "").body, "Grant"), "default")
	c.must(http.MethodPut, "/test/k?acl", "", "x-oss-object-acl", "public-read")
	want(t, "ACL", element(c.must(http.MethodGet, "/test/k?acl", "").body, "Grant"), "public-read")
	if a := c.send(c.request(http.MethodGet, "/test/k", "")); a.status != 200 {
		t.Errorf("anonymous GET of a public object in a private bucket: %d, want 200", a.status)
	}
	c.must(http.MethodPut, "/test/k?tagging", "<Tagging><TagSet><Tag><Key>b</Key><Value>2&amp;</Value></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>")
	a := c.must(http.MethodGet, "/test/k?tagging", "")
	want(t, "tags", strings.Join(elements(a.body, "Key"), ",")+strings.Join(elements(a.body, "Value"), ","), "a,b,2&")
	c.must(http.MethodDelete, "/test/k?tagging", "")
	want(t, "tags", strings.Join(elements(c.must(http.MethodGet, "/test/k?tagging", "").body, "Key"), ","), "")
	want(t, "body", c.must(http.MethodGet, "/test/k", "").body, "x")
	c.refused(404, "NoSuchKey", http.MethodPut, "/test/absent?acl", "", "x-oss-object-acl", "private")
}

func TestEncryptionIsToldOf(t *testing.T) {
	c := start(t, Options{})
	for _, x := range []struct{ method, id string }{{"AES256", ""}, {"KMS", "key-1"}} {
		headers := []string{"x-oss-server-side-encryption", x.method}
		if x.id != "" {
			headers = append(headers, "x-oss-server-side-encryption-key-id", x.id)
		}
		put := c.put("k", "x", headers...)
		for _, a := range []answer{put, c.must(http.MethodHead, "/test/k", ""), c.must(http.MethodGet, "/test/k", "")} {
			want(t, "method", a.header.Get("x-oss-server-side-encryption"), x.method)
			want(t, "key", a.header.Get("x-oss-server-side-encryption-key-id"), x.id)
		}
	}
	c.must(http.MethodPut, "/test/copy", "", "x-oss-copy-source", "/test/k")
	want(t, "method of a copy that asked for none", c.must(http.MethodHead, "/test/copy", "").header.Get("x-oss-server-side-encryption"), "")
	c.refused(400, "InvalidEncryptionAlgorithmError", http.MethodPut, "/test/k", "x", "x-oss-server-side-encryption", "ROT13")
}

// What a key has at a moment is read whole, however often it is replaced.
func TestContentOfWhatIsReplaced(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir()}).server
	if _, ok, err := s.Content(testBucket, "a"); ok || err != nil {
		t.Fatalf("of nothing: %v, %v", ok, err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	put := func() error { return s.Put(testBucket, "a", []byte("content"), nil) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := put(); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 500 {
		if got, ok, err := s.Content(testBucket, "a"); string(got) != "content" || !ok || err != nil {
			t.Errorf("got %q, %v, %v", got, ok, err)
			break
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
