package ossserver

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// found is an object that a request names, its content held until release.
type found struct {
	named  *store.Object // what has the key: the object, or a symbolic link
	object *store.Object // what the bytes are of: the object, or the link's target
}

func (f *found) release() { f.object.Content.Release() }

// find looks key up, and what it points to when follow is set and it is a symbolic link
// (https://help.aliyun.com/en/oss/developer-reference/getobject: a link's target is looked up at each GET, and
// may not be a link itself).
func (c *call) find(bucket, key, version string, follow bool) (*found, error) {
	f := &found{}
	err := c.server.store.View(func(tx *store.Tx) error {
		if tx.Bucket(bucket) == nil {
			return noSuchBucket(bucket)
		}
		if f.named = tx.Object(bucket, key); f.named == nil {
			return noSuchKey(key)
		}
		if !isNull(version) {
			return fail(http.StatusNotFound, "NoSuchVersion", "0026-00000002", "The specified version does not exist.", "Key", key, "VersionId", version)
		}
		f.object = f.named
		if follow && f.named.Type == store.Symlink {
			target := tx.Object(bucket, f.named.Target())
			if target == nil {
				return fail(http.StatusNotFound, "SymlinkTargetNotExist", "0026-00000003", "The symlink target object does not exist.", "Key", key)
			}
			if target.Type == store.Symlink {
				return fail(http.StatusBadRequest, "InvalidTargetType", "0026-00000004", "The symlink target type is invalid.", "Key", key)
			}
			f.object = target
		}
		if f.object.Content != nil {
			f.object.Content.Acquire()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// getObject is https://help.aliyun.com/en/oss/developer-reference/getobject.
func (c *call) getObject() error {
	f, err := c.find(c.bucket, c.key, c.param("versionId"), true)
	if err != nil {
		return err
	}
	defer f.release()
	o := f.object
	if err := checkConditions(c.r.Header, "", o, http.StatusNotModified); err != nil {
		return err
	}
	if !c.server.readable(o) {
		return invalidState(c.key)
	}
	r, err := c.byteRange(o.Size)
	if err != nil {
		return err
	}
	h := c.w.Header()
	c.objectHeaders(h, f)
	if err := c.overrideHeaders(h); err != nil {
		return err
	}
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.FormatInt(r.length, 10)}
	status := http.StatusOK
	if r.partial {
		status = http.StatusPartialContent
		h["Content-Range"] = []string{r.header(o.Size)}
		delete(h, "Content-Md5")
	}
	c.writeHeader(status)
	if r.length == 0 {
		return nil
	}
	if err := o.Content.Write(c.body(r.length), r.start, r.length); err != nil {
		return errAbandoned
	}
	c.server.stats.out.Add(r.length)
	return nil
}

// headObject is https://help.aliyun.com/en/oss/developer-reference/headobject.
func (c *call) headObject() error {
	f, err := c.find(c.bucket, c.key, c.param("versionId"), true)
	if err != nil {
		return err
	}
	defer f.release()
	if err := checkConditions(c.r.Header, "", f.object, http.StatusNotModified); err != nil {
		return err
	}
	h := c.w.Header()
	c.objectHeaders(h, f)
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.FormatInt(f.object.Size, 10)}
	c.stallEmpty()
	c.writeHeader(http.StatusOK)
	return nil
}

// objectMeta is https://help.aliyun.com/en/oss/developer-reference/getobjectmeta: what a listing says and the checksum,
// of a link itself and not of its target.
func (c *call) objectMeta() error {
	f, err := c.find(c.bucket, c.key, c.param("versionId"), false)
	if err != nil {
		return err
	}
	defer f.release()
	o := f.object
	h := c.w.Header()
	h["Etag"] = []string{quote(o.ETag)}
	h["Last-Modified"] = []string{o.Modified.Format(http.TimeFormat)}
	h["Content-Length"] = []string{strconv.FormatInt(o.Size, 10)}
	h["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC64(), 10)}
	if c.r.Method == http.MethodGet {
		h["Content-Length"] = []string{"0"}
	}
	c.writeHeader(http.StatusOK)
	return nil
}

// objectHeaders sets what GET and HEAD tell of an object.
func (c *call) objectHeaders(h http.Header, f *found) {
	o := f.object
	for _, field := range f.named.Header {
		h[field.Name] = []string{field.Value}
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = []string{defaultMIMEType}
	}
	modified := o.Modified
	if f.named.Modified.After(modified) {
		modified = f.named.Modified
	}
	h["Etag"] = []string{quote(o.ETag)}
	h["Last-Modified"] = []string{modified.Format(http.TimeFormat)}
	h["X-Oss-Object-Type"] = []string{f.named.Type}
	h["X-Oss-Storage-Class"] = []string{o.Class}
	h["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC64(), 10)}
	if o.Type == store.Normal && len(o.ETag) == 32 && !c.server.opts.CheapETag {
		if sum, err := hex.DecodeString(o.ETag); err == nil {
			h["Content-Md5"] = []string{base64.StdEncoding.EncodeToString(sum)}
		}
	}
	if o.Type == store.Appendable {
		h["X-Oss-Next-Append-Position"] = []string{strconv.FormatInt(o.Size, 10)}
	}
	if tags := f.named.Tags(); tags != "" {
		h["X-Oss-Tagging-Count"] = []string{strconv.Itoa(strings.Count(tags, "&") + 1)}
	}
	if restore := c.server.restoreHeader(o); restore != "" {
		h["X-Oss-Restore"] = []string{restore}
	}
}

func quote(etag string) string { return `"` + etag + `"` }

// overrideHeaders lets response-* parameters replace headers; only of a signed request.
func (c *call) overrideHeaders(h http.Header) error {
	for _, p := range c.query {
		name, ok := strings.CutPrefix(p.Name, "response-")
		if !ok {
			continue
		}
		name = http.CanonicalHeaderKey(name)
		if !slices.Contains([]string{"Content-Type", "Content-Language", "Expires", "Cache-Control", "Content-Disposition", "Content-Encoding"}, name) {
			continue
		}
		if !c.signed {
			return accessDenied("0017-00000903", "Response headers cannot be overridden by an anonymous request.")
		}
		h[name] = []string{p.Value}
	}
	return nil
}

// checkConditions compares If-Match and its like (or x-oss-copy-source-if-match and its like, with a prefix) with
// the object. same is the status when the object is the one that the client has.
func checkConditions(h http.Header, prefix string, o *store.Object, same int) error {
	if v := h.Get(prefix + "If-Match"); v != "" && !etagIn(v, o.ETag) {
		return precondition(prefix + "If-Match")
	}
	if v := h.Get(prefix + "If-Unmodified-Since"); v != "" {
		if t, err := http.ParseTime(v); err == nil && o.Modified.After(t) {
			return precondition(prefix + "If-Unmodified-Since")
		}
	}
	if v := h.Get(prefix + "If-None-Match"); v != "" {
		if etagIn(v, o.ETag) {
			return notModified(o, same)
		}
		return nil
	}
	if v := h.Get(prefix + "If-Modified-Since"); v != "" {
		// A time in the future is no condition.
		if t, err := http.ParseTime(v); err == nil && !o.Modified.After(t) && !t.After(time.Now().Add(24*time.Hour)) {
			return notModified(o, same)
		}
	}
	return nil
}

func notModified(o *store.Object, status int) *failure {
	return &failure{status: status, code: "NotModified", message: "Not Modified", header: http.Header{
		"Etag": {quote(o.ETag)}, "Last-Modified": {o.Modified.Format(http.TimeFormat)},
	}}
}

func precondition(name string) *failure {
	return fail(http.StatusPreconditionFailed, "PreconditionFailed", "0026-00000005",
		"At least one of the pre-conditions you specified did not hold.", "Condition", strings.TrimPrefix(name, "X-Oss-Copy-Source-"))
}

func etagIn(list, etag string) bool {
	for v := range strings.SplitSeq(list, ",") {
		v = strings.TrimSpace(v)
		if v == "*" || strings.EqualFold(strings.Trim(v, `"`), etag) {
			return true
		}
	}
	return false
}

// span is the part of an object that is sent.
type span struct {
	start, length int64
	partial       bool
}

func (r span) header(size int64) string {
	return "bytes " + strconv.FormatInt(r.start, 10) + "-" + strconv.FormatInt(r.start+r.length-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// byteRange reads Range. OSS answers a range that is not wholly inside the object with the whole object, unless
// the request says x-oss-range-behavior: standard
// (https://help.aliyun.com/en/oss/developer-reference/getobject).
func (c *call) byteRange(size int64) (span, error) {
	whole := span{0, size, false}
	first, last, ok := parseRange(c.r.Header.Get("Range"))
	if !ok {
		return whole, nil
	}
	standard := strings.EqualFold(c.r.Header.Get("X-Oss-Range-Behavior"), "standard")
	if first < 0 { // the last bytes
		if last == 0 || size == 0 {
			return whole, unsatisfiable(standard, size)
		}
		if last > size {
			if !standard {
				return whole, nil
			}
			last = size
		}
		return span{size - last, last, true}, nil
	}
	switch {
	case first >= size:
		return whole, unsatisfiable(standard, size)
	case last < 0:
		last = size - 1
	case last >= size && !standard:
		return whole, nil
	case last >= size:
		last = size - 1
	}
	return span{first, last - first + 1, true}, nil
}

func unsatisfiable(standard bool, size int64) error {
	if !standard {
		return nil
	}
	f := fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "0026-00000006", "The requested range cannot be satisfied.",
		"ActualObjectSize", strconv.FormatInt(size, 10))
	f.header = http.Header{"Content-Range": {"bytes */" + strconv.FormatInt(size, 10)}}
	return f
}

// parseRange reads "bytes=first-last", "bytes=first-" (last is -1) and "bytes=-n" (first is -1, last n). Of several
// ranges the first counts (https://www.alibabacloud.com/help/en/oss/how-to-obtain-oss-resources-by-segmenting-http-range-requests);
// anything else is as no range.
func parseRange(text string) (first, last int64, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimSpace(text), "bytes=")
	if !ok {
		return 0, 0, false
	}
	text, _, _ = strings.Cut(text, ",")
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, false
	}
	first, last = -1, -1
	if from != "" {
		if first, ok = number(from); !ok {
			return 0, 0, false
		}
	}
	if to != "" {
		if last, ok = number(to); !ok {
			return 0, 0, false
		}
	}
	if from == "" && to == "" || from != "" && to != "" && first > last {
		return 0, 0, false
	}
	return first, last, true
}

// number reads decimal digits only.
func number(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// sourceName splits x-oss-copy-source: "/bucket/key", escaped, perhaps with "?versionId=".
func sourceName(text string) (bucket, key, version string, ok bool) {
	text, query, _ := strings.Cut(text, "?")
	if v, found := strings.CutPrefix(query, "versionId="); found {
		version = v
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return "", "", "", false
	}
	bucket, key, ok = strings.Cut(strings.TrimPrefix(text, "/"), "/")
	return bucket, key, version, ok && bucket != "" && key != ""
}
