package ossserver

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// source finds what x-oss-copy-source names and checks its conditions.
func (c *call) source() (*found, string, error) {
	text := c.r.Header.Get("X-Oss-Copy-Source")
	bucket, key, version, ok := sourceName(text)
	if !ok || !validBucket(bucket) || !validKey(key) {
		return nil, "", invalidArgument("x-oss-copy-source", text, "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey")
	}
	f, err := c.find(bucket, key, version, false)
	if err != nil {
		return nil, "", err
	}
	if err := checkConditions(c.r.Header, "X-Oss-Copy-Source-", f.object, http.StatusNotModified); err != nil {
		f.release()
		return nil, "", err
	}
	if !c.server.readable(f.object) {
		f.release()
		return nil, "", invalidState(key)
	}
	return f, bucket, nil
}

// copyObject is https://help.aliyun.com/en/oss/developer-reference/copyobject. Nothing is copied: both objects
// share their bytes, as they do in OSS.
func (c *call) copyObject() error {
	f, bucket, err := c.source()
	if err != nil {
		return err
	}
	defer f.release()
	o, err := c.template()
	if err != nil {
		return err
	}
	from := f.object
	if err := c.copyAttributes(o, from, bucket == c.bucket && from.Key == c.key); err != nil {
		return err
	}
	if from.Size > copyLimit(bucket == c.bucket, o.Class == from.Class) {
		return tooLarge(from.Size)
	}
	o.Content, o.Size, o.ETag, o.CRC, o.Type = from.Content, from.Size, from.ETag, from.CRC, from.Type
	if o.Type == store.Appendable {
		o.Type = store.Normal
	}
	if err := c.put(o); err != nil {
		return err
	}
	c.w.Header()["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC64(), 10)}
	c.w.Header()["Etag"] = []string{quote(o.ETag)}
	echoEncryption(c.w.Header(), o)
	var x xmlWriter
	x.begin("CopyObjectResult")
	x.text("ETag", quote(o.ETag))
	x.raw("LastModified", o.Modified.Format(listTime))
	x.end("CopyObjectResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// copyLimit is the size that may be copied at once, in bytes: any within a bucket, less when the bucket or the
// class is another.
func copyLimit(sameBucket, sameClass bool) int64 {
	switch {
	case !sameClass:
		return maxConversion
	case !sameBucket:
		return maxObjectSize
	}
	return math.MaxInt64
}

// copiedHeaders are the source's, but for encryption, which is the request's.
func copiedHeaders(o, from *store.Object) []store.Field {
	encrypts := func(f store.Field) bool { return f.Name == encryptionHeader || f.Name == encryptionKeyHeader }
	fields := slices.DeleteFunc(slices.Clone(from.Header), encrypts)
	for _, f := range o.Header {
		if encrypts(f) {
			fields = append(fields, f)
		}
	}
	return fields
}

// copyAttributes does what the two directives say. On an object that is copied onto itself the headers are
// always replaced.
func (c *call) copyAttributes(o, from *store.Object, itself bool) error {
	directive := c.r.Header.Get("X-Oss-Metadata-Directive")
	switch {
	case directive == "" || strings.EqualFold(directive, "COPY"):
		if !itself {
			o.Header = copiedHeaders(o, from)
		}
	case !strings.EqualFold(directive, "REPLACE"):
		return invalidArgument("x-oss-metadata-directive", directive, "The metadata directive is invalid.")
	}
	extra := store.Extra{ACL: o.ACL(), Tags: o.Tags(), Target: from.Target()}
	directive = c.r.Header.Get("X-Oss-Tagging-Directive")
	switch {
	case directive == "" || strings.EqualFold(directive, "Copy"):
		extra.Tags = from.Tags()
	case !strings.EqualFold(directive, "Replace"):
		return invalidArgument("x-oss-tagging-directive", directive, "The tagging directive is invalid.")
	}
	o.Extra = nil
	if extra != (store.Extra{}) {
		o.Extra = &extra
	}
	return nil
}
