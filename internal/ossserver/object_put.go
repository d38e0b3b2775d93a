package ossserver

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// body is what was received: its content is held until release.
type body struct {
	content *store.Content
	etag    string
	crc     uint64
}

func (b *body) release() { b.content.Release() }

// receive takes the request's body and compares it with Content-MD5.
func (c *call) receive() (*body, error) {
	size := c.r.ContentLength
	if size < 0 && !chunked(c.r) {
		return nil, fail(http.StatusLengthRequired, "MissingContentLength", "0017-00000801", "You must provide the Content-Length HTTP header.")
	}
	if size > maxObjectSize {
		return nil, tooLarge(size)
	}
	want, err := contentMD5(c.r)
	if err != nil {
		return nil, err
	}
	stage := c.server.store.Stage(size)
	defer stage.Discard()
	var sum hash.Hash
	if !c.server.opts.CheapETag || want != nil {
		sum = md5.New()
	}
	check, total, err := c.fill(stage, sum)
	if err != nil {
		return nil, err
	}
	b := &body{crc: check}
	if sum != nil {
		got := sum.Sum(nil)
		if want != nil && string(got) != string(want) {
			return nil, badDigest("The Content-MD5 you specified did not match what we received.", c.r.Header.Get("Content-Md5"))
		}
		b.etag = strings.ToUpper(hex.EncodeToString(got))
	}
	if c.server.opts.CheapETag {
		b.etag = cheapETag(check, total)
	}
	b.content, err = stage.Finish()
	return b, err
}

// fill reads the body into stage and returns its checksum and size.
func (c *call) fill(stage *store.Stage, sum hash.Hash) (check uint64, total int64, err error) {
	for {
		if total == c.r.ContentLength {
			return check, total, nil
		}
		room := stage.Next()
		n, err := c.r.Body.Read(room)
		if n > 0 {
			c.server.stats.in.Add(int64(n))
			check = crc.Update(check, room[:n])
			if sum != nil {
				sum.Write(room[:n])
			}
			if err := stage.Advance(n); err != nil {
				return 0, 0, err
			}
			if total += int64(n); total > maxObjectSize {
				return 0, 0, tooLarge(total)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && (c.r.ContentLength < 0 || total == c.r.ContentLength):
			return check, total, nil
		case err != nil:
			return 0, 0, errAbandoned // the client is gone, or cheats: it has promised more
		}
	}
}

func chunked(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 && r.TransferEncoding[0] == "chunked"
}

func cheapETag(check uint64, size int64) string {
	return fmt.Sprintf("%016X%016X", check, size)
}

func tooLarge(size int64) *failure {
	return fail(http.StatusBadRequest, "EntityTooLarge", "0017-00000804", "Your proposed upload exceeds the maximum allowed size.",
		"ProposedSize", strconv.FormatInt(size, 10), "MaxSizeAllowed", strconv.FormatInt(maxObjectSize, 10))
}

func badDigest(message, value string) *failure {
	return fail(http.StatusBadRequest, "InvalidDigest", "0017-00000802", message, "Content-MD5", value)
}

// contentMD5 decodes Content-MD5; nil: there is none
// (https://help.aliyun.com/en/oss/developer-reference/putobject).
func contentMD5(r *http.Request) ([]byte, error) {
	text := r.Header.Get("Content-Md5")
	if text == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != md5.Size {
		return nil, badDigest("The Content-MD5 you specified was invalid.", text)
	}
	return sum, nil
}

// checkMD5 compares a document with Content-MD5.
func checkMD5(r *http.Request, p []byte) error {
	want, err := contentMD5(r)
	if err != nil || want == nil {
		return err
	}
	if got := md5.Sum(p); string(got[:]) != string(want) {
		return badDigest("The Content-MD5 you specified did not match what we received.", r.Header.Get("Content-Md5"))
	}
	return nil
}

// template reads from the request's headers what a new object will be.
func (c *call) template() (*store.Object, error) {
	h := c.r.Header
	o := &store.Object{Key: c.key, Type: store.Normal, Modified: c.server.now()}
	var err error
	if o.Header, err = storedHeaders(h); err != nil {
		return nil, err
	}
	if o.Class = h.Get("X-Oss-Storage-Class"); o.Class == "" {
		o.Class = c.info().Class
	}
	if !validClass(o.Class) {
		return nil, invalidArgument("x-oss-storage-class", o.Class, "The storage class is invalid.")
	}
	acl := h.Get("X-Oss-Object-Acl")
	if acl != "" && !validACL(acl, true) {
		return nil, invalidArgument("x-oss-object-acl", acl, "The object ACL is invalid.")
	}
	tags, err := parseTags(h.Get("X-Oss-Tagging"))
	if err != nil {
		return nil, err
	}
	if acl != "" || tags != "" {
		o.Extra = &store.Extra{ACL: acl, Tags: tags}
	}
	encryption, err := encryptionHeaders(h)
	if err != nil {
		return nil, err
	}
	o.Header = append(o.Header, encryption...)
	return o, nil
}

// encryptionHeaders accepts a wish for encryption on the server and keeps it: it is told with each GET and HEAD
// (https://help.aliyun.com/en/oss/user-guide/server-side-encryption-5). Nothing is encrypted.
func encryptionHeaders(h http.Header) ([]store.Field, error) {
	method := h.Get(encryptionHeader)
	switch method {
	case "":
		return nil, nil
	case "AES256", "KMS", "SM4":
	default:
		return nil, fail(http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "0016-00000206", "The encryption request you specified is not valid. Supported value: AES256/SM4/KMS.")
	}
	fields := []store.Field{{Name: encryptionHeader, Value: method}}
	if id := h.Get(encryptionKeyHeader); id != "" && method == "KMS" {
		fields = append(fields, store.Field{Name: encryptionKeyHeader, Value: id})
	}
	return fields, nil
}

// echoEncryption tells in an answer how the object is encrypted.
func echoEncryption(h http.Header, o *store.Object) {
	for _, f := range o.Header {
		if f.Name == encryptionHeader || f.Name == encryptionKeyHeader {
			h[f.Name] = []string{f.Value}
		}
	}
}

// storedHeaders are the headers that GET and HEAD give back. The x-oss-meta-* together may have 8 KB
// (https://help.aliyun.com/en/oss/user-guide/manage-object-metadata-10).
func storedHeaders(h http.Header) ([]store.Field, error) {
	var fields []store.Field
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control", "Expires"} {
		if v := h.Get(name); v != "" {
			fields = append(fields, store.Field{Name: name, Value: v})
		}
	}
	size := 0
	for name, values := range h {
		short, ok := strings.CutPrefix(name, "X-Oss-Meta-")
		if !ok {
			continue
		}
		if !validMetaName(short) {
			return nil, invalidArgument("x-oss-meta-", short, "The name of the user metadata is invalid.")
		}
		value := strings.Join(values, ",")
		size += len(name) + len(value)
		fields = append(fields, store.Field{Name: name, Value: value})
	}
	if size > maxMetadata {
		return nil, fail(http.StatusBadRequest, "MetadataTooLarge", "0011-00000002", "Your metadata headers exceed the maximum allowed metadata size.",
			"MaxSizeAllowed", strconv.Itoa(maxMetadata), "MetadataSize", strconv.Itoa(size))
	}
	return fields, nil
}

// validMetaName allows letters, digits and hyphens (https://help.aliyun.com/en/oss/user-guide/0011-00000002).
func validMetaName(name string) bool {
	for i := range len(name) {
		b := name[i] | 0x20
		if (b < 'a' || b > 'z') && (name[i] < '0' || name[i] > '9') && name[i] != '-' {
			return false
		}
	}
	return name != ""
}

// parseTags checks tags in the form of a query: at most 10, names of 128 and values of 256 characters
// (https://help.aliyun.com/en/oss/user-guide/object-tagging-8).
func parseTags(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	values, err := url.ParseQuery(text)
	if err != nil || len(values) > 10 {
		return "", invalidArgument("x-oss-tagging", text, "The tagging is invalid.")
	}
	for name, list := range values {
		if name == "" || len(name) > 128*4 || len(list) > 1 || len(list[0]) > 256*4 {
			return "", invalidArgument("x-oss-tagging", text, "The tagging is invalid.")
		}
	}
	return values.Encode(), nil
}

// forbidden refuses to overwrite when the request says x-oss-forbid-overwrite: true.
func (c *call) forbidden(tx *store.Tx) error {
	if tx.Bucket(c.bucket) == nil {
		return noSuchBucket(c.bucket) // deleted meanwhile
	}
	if strings.EqualFold(c.r.Header.Get("X-Oss-Forbid-Overwrite"), "true") && tx.Object(c.bucket, c.key) != nil {
		return fail(http.StatusConflict, "FileAlreadyExists", "0026-00000013", "The object you specified already exists and can not be overwritten.")
	}
	return nil
}

// putObject is https://help.aliyun.com/en/oss/developer-reference/putobject.
func (c *call) putObject() error {
	o, err := c.template()
	if err != nil {
		return err
	}
	// Refused early where it can be, so that the body need not come; and again when the object is put.
	if err := c.server.store.View(c.forbidden); err != nil {
		return err
	}
	b, err := c.receive()
	if err != nil {
		return err
	}
	defer b.release()
	o.Content, o.Size, o.ETag, o.CRC = b.content, b.content.Size(), b.etag, b.crc
	o.Modified = c.server.now()
	if err := c.put(o); err != nil {
		return err
	}
	h := c.w.Header()
	h["Etag"] = []string{quote(o.ETag)}
	h["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC, 10)}
	echoEncryption(h, o)
	if !c.server.opts.CheapETag {
		if sum, err := hex.DecodeString(o.ETag); err == nil {
			h["Content-Md5"] = []string{base64.StdEncoding.EncodeToString(sum)}
		}
	}
	return c.empty(http.StatusOK)
}

func (c *call) put(o *store.Object) error {
	return c.server.store.Update(func(tx *store.Tx) error {
		if err := c.forbidden(tx); err != nil {
			return err
		}
		tx.PutObject(c.bucket, o)
		return nil
	})
}

// deleteObject is https://help.aliyun.com/en/oss/developer-reference/deleteobject: 204 also when nothing was there.
func (c *call) deleteObject() error {
	err := c.server.store.Update(func(tx *store.Tx) error {
		if tx.Object(c.bucket, c.key) != nil {
			tx.DeleteObject(c.bucket, c.key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// appendObject is https://help.aliyun.com/en/oss/developer-reference/appendobject.
func (c *call) appendObject() error {
	if c.param("position") == "" {
		return fail(http.StatusBadRequest, "MissingArgument", "0016-00000501", "Missing Some Required Arguments.", "ArgumentName", "position")
	}
	position, ok := number(c.param("position"))
	if !ok {
		return invalidArgument("position", c.param("position"), "The position is invalid.")
	}
	o, err := c.template()
	if err != nil {
		return err
	}
	if err := c.server.store.View(func(tx *store.Tx) error { return c.appendable(tx, position) }); err != nil {
		return err
	}
	b, err := c.receive()
	if err != nil {
		return err
	}
	defer b.release()
	var made *store.Content
	defer func() { made.Release() }()
	err = c.server.store.Update(func(tx *store.Tx) error {
		if err := c.appendable(tx, position); err != nil {
			return err
		}
		o.CRC, made = b.crc, b.content.Acquire()
		if old := tx.Object(c.bucket, c.key); old != nil {
			o.Header, o.Class, o.Extra = old.Header, old.Class, old.Extra // an append does not change them
			o.CRC = crc.Combine(old.CRC64(), b.crc, b.content.Size())
			made.Release()
			made = c.server.store.Join(old.Content, b.content)
		}
		o.Type, o.Content, o.Size, o.Modified = store.Appendable, made, made.Size(), c.server.now()
		o.ETag = cheapETag(o.CRC, o.Size)
		tx.PutObject(c.bucket, o)
		return nil
	})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["X-Oss-Next-Append-Position"] = []string{strconv.FormatInt(o.Size, 10)}
	h["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC, 10)}
	h["Etag"] = []string{quote(o.ETag)}
	return c.empty(http.StatusOK)
}

// appendable checks that the object can be appended to at position.
func (c *call) appendable(tx *store.Tx, position int64) error {
	if tx.Bucket(c.bucket) == nil {
		return noSuchBucket(c.bucket)
	}
	old := tx.Object(c.bucket, c.key)
	var size int64
	if old != nil {
		if old.Type != store.Appendable {
			return fail(http.StatusConflict, "ObjectNotAppendable", "0026-00000017", "The object is not appendable.")
		}
		size = old.Size
	}
	if size+max(c.r.ContentLength, 0) > maxObjectSize {
		return tooLarge(size + c.r.ContentLength)
	}
	if position != size {
		f := fail(http.StatusConflict, "PositionNotEqualToLength", "0026-00000016", "Position is not equal to file length.")
		f.header = http.Header{"X-Oss-Next-Append-Position": {strconv.FormatInt(size, 10)}}
		return f
	}
	return nil
}
