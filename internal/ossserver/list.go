package ossserver

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// listing is what a page of a listing is asked to hold.
type listing struct {
	prefix, delimiter string
	after             string // keys and prefixes up to this one are not listed
	limit             int
}

// page is a part of a listing.
type page struct {
	objects   []*store.Object
	prefixes  []string
	truncated bool
	next      string // the last key or prefix listed
}

// maxKeys reads how much a page may hold: 1 to 1,000.
func (c *call) maxKeys(name string, otherwise int) (int, error) {
	text := c.param(name)
	if text == "" {
		return otherwise, nil
	}
	n, ok := number(text)
	if !ok || n < 1 || n > maxListed {
		return 0, invalidArgument(name, text, "The parameter must be an integer between 1 and 1000.")
	}
	return int(n), nil
}

// commonPrefix is what a key is rolled up to: all up to the first delimiter behind the prefix.
func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
		return key[:len(prefix)+i+len(delimiter)], true
	}
	return "", false
}

// behind is the first string that does not begin with p and is greater than all that do; empty: there is none.
func behind(p string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			return p[:i] + string([]byte{p[i] + 1})
		}
	}
	return ""
}

// list collects a page. What is rolled up is skipped with one step in the tree, so that a directory of a million
// keys costs a listing of its parent nothing.
func list(tx *store.Tx, bucket string, q listing) page {
	var p page
	start := q.prefix
	if q.after != "" {
		start = max(start, q.after+"\x00")
		if common, ok := commonPrefix(q.after, q.prefix, q.delimiter); ok && common == q.after {
			if start = max(start, behind(common)); behind(common) == "" {
				return p
			}
		}
	}
	tx.Ascend(bucket, start, func(o *store.Object) (string, bool) {
		if !strings.HasPrefix(o.Key, q.prefix) {
			return "", false
		}
		if len(p.objects)+len(p.prefixes) >= q.limit {
			p.truncated = true
			return "", false
		}
		if common, ok := commonPrefix(o.Key, q.prefix, q.delimiter); ok {
			p.prefixes = append(p.prefixes, common)
			p.next = common
			next := behind(common)
			return next, next != ""
		}
		p.objects = append(p.objects, o)
		p.next = o.Key
		return "", true
	})
	return p
}

// find collects a page under the store's lock.
func (c *call) page(q listing) (page, error) {
	var p page
	err := c.server.store.View(func(tx *store.Tx) error {
		if tx.Bucket(c.bucket) == nil {
			return noSuchBucket(c.bucket)
		}
		p = list(tx, c.bucket, q)
		return nil
	})
	return p, err
}

// query reads the parameters that both listings have.
func (c *call) listQuery() (q listing, x xmlWriter, err error) {
	q = listing{prefix: c.param("prefix"), delimiter: c.param("delimiter")}
	if q.limit, err = c.maxKeys("max-keys", defaultListed); err != nil {
		return q, x, err
	}
	for _, name := range []string{"prefix", "marker", "start-after"} {
		if len(c.param(name)) > maxKey {
			return q, x, invalidArgument(name, c.param(name), "The parameter is too long.")
		}
	}
	switch encoding := c.param("encoding-type"); encoding {
	case "":
	case "url":
		x.url = true
	default:
		return q, x, invalidArgument("encoding-type", encoding, "The encoding-type is invalid.")
	}
	x.buf = make([]byte, 0, 512+q.limit*360)
	return q, x, nil
}

// listV1 is https://help.aliyun.com/en/oss/developer-reference/listobjects.
func (c *call) listV1() error {
	q, x, err := c.listQuery()
	if err != nil {
		return err
	}
	q.after = c.param("marker")
	p, err := c.page(q)
	if err != nil {
		return err
	}
	x.begin("ListBucketResult")
	x.raw("Name", c.bucket)
	x.key("Prefix", q.prefix)
	x.key("Marker", q.after)
	x.number("MaxKeys", int64(q.limit))
	x.key("Delimiter", q.delimiter)
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.raw("IsTruncated", strconv.FormatBool(p.truncated))
	if p.truncated {
		x.key("NextMarker", p.next)
	}
	c.writeContents(&x, p, true)
	x.end("ListBucketResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// listV2 is https://help.aliyun.com/en/oss/developer-reference/listobjectsv2.
func (c *call) listV2() error {
	q, x, err := c.listQuery()
	if err != nil {
		return err
	}
	q.after = c.param("start-after")
	token := c.param("continuation-token")
	if token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return invalidArgument("continuation-token", token, "The continuation token is invalid.")
		}
		q.after = string(after)
	}
	p, err := c.page(q)
	if err != nil {
		return err
	}
	x.begin("ListBucketResult")
	x.raw("Name", c.bucket)
	x.key("Prefix", q.prefix)
	if start := c.param("start-after"); start != "" {
		x.key("StartAfter", start)
	}
	x.number("MaxKeys", int64(q.limit))
	x.key("Delimiter", q.delimiter)
	if x.url {
		x.raw("EncodingType", "url")
	}
	if token != "" {
		x.text("ContinuationToken", token)
	}
	x.raw("IsTruncated", strconv.FormatBool(p.truncated))
	if p.truncated {
		x.text("NextContinuationToken", base64.RawURLEncoding.EncodeToString([]byte(p.next)))
	}
	c.writeContents(&x, p, c.param("fetch-owner") == "true")
	x.number("KeyCount", int64(len(p.objects)+len(p.prefixes)))
	x.end("ListBucketResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

func (c *call) writeContents(x *xmlWriter, p page, owner bool) {
	for _, o := range p.objects {
		x.begin("Contents")
		x.key("Key", o.Key)
		x.begin("LastModified")
		x.buf = o.Modified.AppendFormat(x.buf, listTime)
		x.end("LastModified")
		x.begin("ETag")
		x.buf = append(append(append(x.buf, "&quot;"...), o.ETag...), "&quot;"...)
		x.end("ETag")
		x.raw("Type", o.Type)
		x.number("Size", o.Size)
		x.raw("StorageClass", o.Class)
		if restore := c.server.restoreHeader(o); restore != "" {
			x.text("RestoreInfo", restore)
		}
		if owner {
			writeOwner(x)
		}
		x.end("Contents")
	}
	writePrefixes(x, p.prefixes)
}

// listVersions is https://help.aliyun.com/en/oss/developer-reference/listobjectversions of a bucket whose objects
// have one version each, "null".
func (c *call) listVersions() error {
	q, x, err := c.listQuery()
	if err != nil {
		return err
	}
	q.after = c.param("key-marker")
	p, err := c.page(q)
	if err != nil {
		return err
	}
	x.begin("ListVersionsResult")
	x.raw("Name", c.bucket)
	x.key("Prefix", q.prefix)
	x.key("KeyMarker", q.after)
	x.text("VersionIdMarker", c.param("version-id-marker"))
	x.number("MaxKeys", int64(q.limit))
	x.key("Delimiter", q.delimiter)
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.raw("IsTruncated", strconv.FormatBool(p.truncated))
	if p.truncated {
		x.key("NextKeyMarker", p.next)
		x.text("NextVersionIdMarker", "")
	}
	for _, o := range p.objects {
		x.begin("Version")
		x.key("Key", o.Key)
		x.raw("VersionId", "null")
		x.raw("IsLatest", "true")
		x.raw("LastModified", o.Modified.Format(listTime))
		x.text("ETag", quote(o.ETag))
		x.raw("Type", o.Type)
		x.number("Size", o.Size)
		x.raw("StorageClass", o.Class)
		writeOwner(&x)
		x.end("Version")
	}
	writePrefixes(&x, p.prefixes)
	x.end("ListVersionsResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}
