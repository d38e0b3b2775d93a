package ossclient

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	metaPrefix = "X-Oss-Meta-"
	// maxMetadata is OSS's limit on user metadata: names and values together
	// (https://help.aliyun.com/en/oss/user-guide/manage-object-metadata-10).
	maxMetadata = 8 << 10
	maxKey      = 1023
)

// objectOf reads an object's description from the headers of a HEAD or GET.
func objectOf(key Key, size int64, h http.Header) Object {
	o := Object{Version: Version{Key: key, Size: size}}
	for name, values := range h {
		if len(values) > 0 {
			o.set(name, values[0])
		}
	}
	o.CRC64, o.HasCRC64 = crcOf(h)
	return o
}

// set takes what one header says.
func (o *Object) set(name, value string) {
	m := &o.Metadata
	switch name {
	case "Etag":
		o.ETag = trimETag(value)
	case "Last-Modified":
		o.LastModified = httpTime(value)
	case "X-Oss-Object-Type":
		o.Type = ObjectType(value)
	case "X-Oss-Storage-Class":
		o.StorageClass = value
	case "X-Oss-Version-Id":
		o.VersionID = value
	case "X-Oss-Restore":
		o.Restore = value
	case headerContentType:
		m.ContentType = value
	case "Content-Encoding":
		m.ContentEncoding = value
	case "Content-Disposition":
		m.ContentDisposition = value
	case "Content-Language":
		m.ContentLanguage = value
	case "Cache-Control":
		m.CacheControl = value
	case "Expires":
		m.Expires = value
	default:
		if user, ok := strings.CutPrefix(name, metaPrefix); ok {
			if m.User == nil {
				m.User = make(map[string]string, 8)
			}
			m.User[strings.ToLower(user)] = value
		}
	}
}

// crcOf reads the checksum of the whole object.
func crcOf(h http.Header) (uint64, bool) {
	v := h["X-Oss-Hash-Crc64ecma"]
	if len(v) == 0 || v[0] == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(v[0], 10, 64)
	return n, err == nil
}

// httpTime reads the date of a header; zero: it is none. Each answer has one or two, and net/http's reader of all forms
// of them takes a third as long as a signature: it is left to it what is not of the one form that servers write.
func httpTime(s string) time.Time {
	if t, ok := plainTime(s); ok {
		return t
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// plainTime reads a date such as "Fri, 20 Nov 2026 10:00:00 GMT" (RFC 9110, 5.6.7), and no other form.
func plainTime(s string) (t time.Time, ok bool) {
	if len(s) != len(http.TimeFormat) || s[3:5] != ", " || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || s[19] != ':' || s[22] != ':' || s[25:] != " GMT" {
		return time.Time{}, false
	}
	day, ok1 := digits(s[5:7])
	month, ok2 := monthOf(s[8:11])
	year, ok3 := digits(s[12:16])
	hour, ok4 := digits(s[17:19])
	minute, ok5 := digits(s[20:22])
	second, ok6 := digits(s[23:25])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t = time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	// A day or an hour that is too large is another day.
	return t, t.Day() == day && t.Weekday().String()[:3] == s[:3]
}

// digits reads a decimal number without a sign.
func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

func monthOf(s string) (m time.Month, ok bool) {
	i := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", s)
	return time.Month(i/3 + 1), i >= 0 && i%3 == 0
}

// setMetadata writes metadata into the headers of a request that makes an object.
func setMetadata(h http.Header, m Metadata) error {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set(headerContentType, m.ContentType)
	set("Content-Encoding", m.ContentEncoding)
	set("Content-Disposition", m.ContentDisposition)
	set("Content-Language", m.ContentLanguage)
	set("Cache-Control", m.CacheControl)
	set("Expires", m.Expires)
	size := 0
	for name, value := range m.User {
		if !validToken(name) || !validValue(value) {
			return fmt.Errorf("metadata %q: its name or value cannot be a header", name)
		}
		h[http.CanonicalHeaderKey(metaPrefix+name)] = []string{value}
		size += len(metaPrefix) + len(name) + len(value)
	}
	if size > maxMetadata {
		return fmt.Errorf("metadata of %d bytes: OSS stores at most %d", size, maxMetadata)
	}
	for _, values := range h {
		if !validValue(values[0]) {
			return fmt.Errorf("metadata: a value has control characters, which no header can carry")
		}
	}
	return nil
}

// validToken reports whether s may be part of a header's name.
func validToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s may be a header's value as it is: no control characters, and no space at its
// ends, which would be lost.
func validValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// setOptions writes the options of a new object. initiate and append know no ACL header of another name.
func setOptions(h http.Header, o ObjectOptions) {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set("X-Oss-Storage-Class", o.StorageClass)
	set("X-Oss-Object-Acl", o.ACL)
	set("X-Oss-Server-Side-Encryption", o.SSE)
	set("X-Oss-Server-Side-Encryption-Key-Id", o.SSEKeyID)
	if len(o.Tags) == 0 {
		return
	}
	pairs := make([]string, 0, len(o.Tags))
	for k, v := range o.Tags {
		pairs = append(pairs, url.QueryEscape(k)+"="+url.QueryEscape(v))
	}
	slices.Sort(pairs)
	h["X-Oss-Tagging"] = []string{strings.Join(pairs, "&")}
}

func forbidOverwrite(h http.Header, yes bool) {
	if yes {
		h["X-Oss-Forbid-Overwrite"] = []string{"true"}
	}
}

// checkKey refuses what OSS would refuse, or what would become another request
// (https://help.aliyun.com/en/oss/user-guide/object-naming-conventions).
func (b *Bucket) checkKey(op operation, key Key) error {
	switch {
	case key == "":
		return b.invalid(op, key, "a key has at least one byte")
	case len(key) > maxKey:
		return b.invalid(op, key, "a key has at most 1,023 bytes")
	case key[0] == '/' || key[0] == '\\':
		return b.invalid(op, key, `a key does not begin with "/" or "\"`)
	}
	return nil
}

// checkVersion is checkKey, and refuses an ETag that no header can carry.
func (b *Bucket) checkVersion(op operation, key Key, etag ETag) error {
	if !validValue(string(etag)) {
		return b.invalid(op, key, "an ETag has no control characters")
	}
	return b.checkKey(op, key)
}
