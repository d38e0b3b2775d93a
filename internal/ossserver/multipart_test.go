package ossserver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
)

func (c *client) initiate(key string, headers ...string) string {
	c.t.Helper()
	return element(c.must(http.MethodPost, "/test/"+key+"?uploads", "", headers...).body, "UploadId")
}

func (c *client) part(key, id string, n int, body string) string {
	c.t.Helper()
	return c.must(http.MethodPut, fmt.Sprintf("/test/%s?partNumber=%d&uploadId=%s", key, n, id), body).header.Get("ETag")
}

func completeDocument(parts ...string) string {
	doc := "<CompleteMultipartUpload>"
	for i := 0; i+1 < len(parts); i += 2 {
		doc += "<Part><PartNumber>" + parts[i] + "</PartNumber><ETag>" + parts[i+1] + "</ETag></Part>"
	}
	return doc + "</CompleteMultipartUpload>"
}

func TestMultipartUpload(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		c := start(t, Options{Dir: dir})
		id := c.initiate("k", "x-oss-meta-a", "1", "Content-Type", "text/m", "x-oss-storage-class", "IA")
		pieces := map[int]string{1: repeat(100 << 10), 5: repeat(300_000), 9: "the end"}
		parts := []string{}
		for _, n := range []int{9, 1, 5} {
			c.part("k", id, n, "to be replaced")
			c.part("k", id, n, pieces[n])
		}
		list := c.must(http.MethodGet, "/test/k?uploadId="+id, "").body
		want(t, "part numbers", strings.Join(elements(list, "PartNumber"), " "), "1 5 9")
		want(t, "part sizes", strings.Join(elements(list, "Size"), " "), "102400 300000 7")
		want(t, "checksum of part 9", elements(list, "HashCrc64ecma")[2], strconv.FormatUint(crc.Update(0, []byte("the end")), 10))
		etags := elements(list, "ETag")
		for i, n := range []string{"1", "5", "9"} {
			parts = append(parts, n, etags[i])
		}
		page := c.must(http.MethodGet, "/test/k?max-parts=1&part-number-marker=1&uploadId="+id, "").body
		want(t, "second page", element(page, "PartNumber")+element(page, "IsTruncated")+element(page, "NextPartNumberMarker"), "5true5")
		c.refused(404, "NoSuchKey", http.MethodGet, "/test/k", "")

		target := "/test/k?uploadId=" + id
		c.refused(400, "InvalidPartOrder", http.MethodPost, target, completeDocument(parts[2], parts[3], parts[0], parts[1]))
		c.refused(400, "InvalidPartOrder", http.MethodPost, target, completeDocument(parts[0], parts[1], parts[0], parts[1]))
		c.refused(400, "InvalidPart", http.MethodPost, target, completeDocument(parts[0], parts[1], "2", parts[3]))
		c.refused(400, "InvalidPart", http.MethodPost, target, completeDocument(parts[0], parts[3]))
		c.refused(400, "EntityTooSmall", http.MethodPost, target, completeDocument(parts[4], parts[5], "10", c.part("k", id, 10, "x")))
		c.refused(400, "MalformedXML", http.MethodPost, target, "")
		c.refused(400, "MalformedXML", http.MethodPost, target, completeDocument())
		c.refused(400, "MalformedXML", http.MethodPost, target, completeDocument("0", parts[1]))

		a := c.must(http.MethodPost, target, completeDocument(parts...))
		whole := pieces[1] + pieces[5] + pieces[9]
		sum := strconv.FormatUint(crc.Update(0, []byte(whole)), 10)
		want(t, "checksum of the whole", a.header.Get("x-oss-hash-crc64ecma"), sum)
		got := c.must(http.MethodGet, "/test/k", "")
		want(t, "body", got.body, whole)
		for name, value := range map[string]string{
			"x-oss-hash-crc64ecma": sum, "x-oss-object-type": "Multipart", "x-oss-meta-a": "1", "Content-Type": "text/m",
			"ETag": element(a.body, "ETag"), "x-oss-storage-class": "IA",
		} {
			want(t, name, got.header.Get(name), value)
		}
		if etag := got.header.Get("ETag"); !strings.HasSuffix(etag, `-3"`) {
			t.Errorf("ETag %s does not tell three parts", etag)
		}
		want(t, "a range over a seam", c.must(http.MethodGet, "/test/k", "", "Range", "bytes=102390-102409").body, whole[102390:102410])
		c.refused(404, "NoSuchUpload", http.MethodPost, target, completeDocument(parts...))
		c.refused(404, "NoSuchUpload", http.MethodGet, target, "")
		if n := len(c.server.Uploads(testBucket)); n != 0 {
			t.Errorf("%d uploads left", n)
		}
	}
}

func TestMultipartRefusals(t *testing.T) {
	c := start(t, Options{})
	id := c.initiate("k")
	for _, n := range []string{"0", "10001", "x", ""} {
		c.refused(400, "InvalidArgument", http.MethodPut, "/test/k?partNumber="+n+"&uploadId="+id, "x")
	}
	c.refused(404, "NoSuchUpload", http.MethodPut, "/test/other?partNumber=1&uploadId="+id, "x")
	c.refused(404, "NoSuchUpload", http.MethodPut, "/test/k?partNumber=1&uploadId=no", "x")
	c.refused(404, "NoSuchUpload", http.MethodDelete, "/test/k?uploadId=no", "")
	c.refused(400, "InvalidPart", http.MethodPost, "/test/k?uploadId="+id, "", "x-oss-complete-all", "yes")
	c.part("k", id, 10000, "last")
	c.refused(400, "InvalidArgument", http.MethodPost, "/test/k?uploadId="+id, completeDocument("1", "x"), "x-oss-complete-all", "yes")
	c.put("k", "there")
	c.refused(409, "FileAlreadyExists", http.MethodPost, "/test/k?uploadId="+id, "", "x-oss-complete-all", "yes", "x-oss-forbid-overwrite", "true")
	c.must(http.MethodPost, "/test/k?uploadId="+id, "", "x-oss-complete-all", "yes")
	want(t, "body", c.must(http.MethodGet, "/test/k", "").body, "last")
	id = c.initiate("k")
	c.part("k", id, 1, "x")
	if a := c.must(http.MethodDelete, "/test/k?uploadId="+id, ""); a.status != 204 {
		t.Errorf("abort: %d, want 204", a.status)
	}
	c.refused(404, "NoSuchUpload", http.MethodDelete, "/test/k?uploadId="+id, "")
}

func TestUploadPartCopy(t *testing.T) {
	c := start(t, Options{MinPartSize: 1})
	src := repeat(1000)
	etag := c.put("src", src).header.Get("ETag")
	id := c.initiate("k")
	copyPart := func(n int, headers ...string) answer {
		return c.do(http.MethodPut, fmt.Sprintf("/test/k?partNumber=%d&uploadId=%s", n, id), "", append(headers, "x-oss-copy-source", "/test/src")...)
	}
	var parts []string
	whole := ""
	for i, x := range []struct{ text, want string }{
		{"bytes=0-99", src[:100]}, {"bytes=100-", src[100:]}, {"", src}, {"bytes=500-1000", src}, {"bytes=2000-3000", src}, {"nonsense", src},
	} {
		a := copyPart(i+1, "x-oss-copy-source-range", x.text, "x-oss-copy-source-if-match", etag)
		if a.status != 200 {
			t.Fatalf("range %q: %d %s", x.text, a.status, a.body)
		}
		want(t, "checksum of "+x.text, a.header.Get("x-oss-hash-crc64ecma"), strconv.FormatUint(crc.Update(0, []byte(x.want)), 10))
		parts = append(parts, strconv.Itoa(i+1), element(a.body, "ETag"))
		whole += x.want
	}
	if a := copyPart(9, "x-oss-copy-source-if-match", `"x"`); a.status != 412 {
		t.Errorf("if-match: %d, want 412", a.status)
	}
	if a := copyPart(9, "x-oss-copy-source-if-none-match", etag); a.status != 304 {
		t.Errorf("if-none-match: %d, want 304", a.status)
	}
	c.must(http.MethodPost, "/test/log?append&position=0", "x")
	c.refused(400, "OperationNotSupported", http.MethodPut, "/test/k?partNumber=9&uploadId="+id, "", "x-oss-copy-source", "/test/log")
	c.put("src", "replaced: what was copied stays")
	a := c.must(http.MethodPost, "/test/k?uploadId="+id, completeDocument(parts...))
	want(t, "checksum", a.header.Get("x-oss-hash-crc64ecma"), strconv.FormatUint(crc.Update(0, []byte(whole)), 10))
	want(t, "body", c.must(http.MethodGet, "/test/k", "").body, whole)
}

func TestListUploads(t *testing.T) {
	c := start(t, Options{})
	ids := map[string]string{}
	for _, k := range []string{"a", "b/1", "b/2", "c"} {
		ids[k] = c.initiate(k)
	}
	second := c.initiate("c")
	all := func(query string, limit int) (keys, found []string, prefixes []string) {
		marker := ""
		for range 10 {
			doc := c.must(http.MethodGet, fmt.Sprintf("/test/?uploads&max-uploads=%d&%s%s", limit, query, marker), "").body
			keys = append(keys, elements(doc, "Upload/Key")...)
			found = append(found, elements(doc, "Upload/UploadId")...)
			prefixes = append(prefixes, elements(doc, "CommonPrefixes/Prefix")...)
			if element(doc, "IsTruncated") != "true" {
				return keys, found, prefixes
			}
			marker = "&key-marker=" + element(doc, "NextKeyMarker") + "&upload-id-marker=" + element(doc, "NextUploadIdMarker")
		}
		t.Fatal("no end")
		return nil, nil, nil
	}
	for _, limit := range []int{1, 2, 3, 1000} {
		keys, found, _ := all("", limit)
		want(t, "all keys", strings.Join(keys, " "), "a b/1 b/2 c c")
		if got := found[3] + found[4]; got != ids["c"]+second && got != second+ids["c"] {
			t.Errorf("uploads of c: %v", found[3:])
		}
		keys, _, prefixes := all("delimiter=%2F", limit)
		want(t, "keys", strings.Join(keys, " ")+"; "+strings.Join(prefixes, " "), "a c c; b/")
		keys, _, _ = all("prefix=b", limit)
		want(t, "keys", strings.Join(keys, " "), "b/1 b/2")
	}
	if got := c.server.Uploads(testBucket); len(got) != 5 || got[1].Key != "b/1" || got[1].ID != ids["b/1"] {
		t.Errorf("Uploads = %+v", got)
	}
}
