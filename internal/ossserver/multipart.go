package ossserver

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// initiateUpload is https://help.aliyun.com/en/oss/developer-reference/initiatemultipartupload.
func (c *call) initiateUpload() error {
	o, err := c.template()
	if err != nil {
		return err
	}
	sum := md5.Sum([]byte(c.id + c.key))
	u := &store.Upload{ID: strings.ToUpper(hex.EncodeToString(sum[:])), Initiated: c.server.now(), Object: *o}
	err = c.server.store.Update(func(tx *store.Tx) error {
		if err := c.forbidden(tx); err != nil {
			return err
		}
		tx.PutUpload(c.bucket, u)
		return nil
	})
	if err != nil {
		return err
	}
	echoEncryption(c.w.Header(), o)
	x := xmlWriter{url: c.param("encoding-type") == "url"}
	x.begin("InitiateMultipartUploadResult")
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.raw("Bucket", c.bucket)
	x.key("Key", c.key)
	x.raw("UploadId", u.ID)
	x.end("InitiateMultipartUploadResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// partNumber is the part's number, 1 to 10,000.
func (c *call) partNumber() (int, error) {
	text := c.param("partNumber")
	n, ok := number(text)
	if !ok || n < 1 || n > maxParts {
		return 0, invalidArgument("PartNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return int(n), nil
}

// upload finds the upload that the request names.
func (c *call) upload(tx *store.Tx) (*store.Upload, error) {
	id := c.param("uploadId")
	u := tx.Upload(c.bucket, c.key, id)
	if u == nil {
		return nil, noSuchUpload(id)
	}
	return u, nil
}

// uploadPart is https://help.aliyun.com/en/oss/developer-reference/uploadpart.
func (c *call) uploadPart() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	if err := c.server.store.View(func(tx *store.Tx) error { _, err := c.upload(tx); return err }); err != nil {
		return err
	}
	b, err := c.receive()
	if err != nil {
		return err
	}
	defer b.release()
	if err := c.putPart(&store.Part{Number: n, ETag: b.etag, Size: b.content.Size(), CRC: b.crc, Content: b.content}); err != nil {
		return err
	}
	h := c.w.Header()
	h["Etag"] = []string{quote(b.etag)}
	h["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(b.crc, 10)}
	return c.empty(http.StatusOK)
}

func (c *call) putPart(p *store.Part) error {
	p.Modified = c.server.now()
	return c.server.store.Update(func(tx *store.Tx) error {
		u, err := c.upload(tx)
		if err != nil {
			return err
		}
		tx.PutPart(c.bucket, u, p)
		return nil
	})
}

// uploadPartCopy is https://help.aliyun.com/en/oss/developer-reference/uploadpartcopy. A range that is not inside
// the source means all of it.
func (c *call) uploadPartCopy() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	f, _, err := c.source()
	if err != nil {
		return err
	}
	defer f.release()
	from := f.object
	if from.Type == store.Appendable || from.Type == store.Symlink {
		return fail(http.StatusBadRequest, "OperationNotSupported", "0016-00000703", "The operation is not supported for this object type.", "Key", from.Key)
	}
	r := span{0, from.Size, false}
	if text := c.r.Header.Get("X-Oss-Copy-Source-Range"); text != "" {
		first, last, ok := parseRange(text)
		if ok && first >= 0 && first < from.Size && last < from.Size {
			if last < 0 {
				last = from.Size - 1
			}
			r = span{first, last - first + 1, true}
		}
	}
	if r.length > maxObjectSize {
		return tooLarge(r.length)
	}
	content := from.Content.Slice(r.start, r.length)
	defer content.Release()
	p := &store.Part{Number: n, Size: r.length, CRC: from.CRC64(), ETag: from.ETag, Content: content}
	if r.length != from.Size || strings.Contains(from.ETag, "-") {
		if p.CRC, p.ETag, err = c.server.digest(content); err != nil {
			return err
		}
	}
	if err := c.putPart(p); err != nil {
		return err
	}
	c.w.Header()["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(p.CRC, 10)}
	c.w.Header()["Etag"] = []string{quote(p.ETag)} // the Node SDK reads it here
	var x xmlWriter
	x.begin("CopyPartResult")
	x.raw("LastModified", p.Modified.Format(listTime))
	x.text("ETag", quote(p.ETag))
	x.end("CopyPartResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// digest reads a content for its checksum and ETag.
func (s *Server) digest(content *store.Content) (uint64, string, error) {
	d := digester{cheap: s.opts.CheapETag}
	sum := md5.New()
	if !d.cheap {
		d.md5 = sum
	}
	if err := content.Write(&d, 0, content.Size()); err != nil {
		return 0, "", fmt.Errorf("read what is copied: %w", err)
	}
	if d.cheap {
		return d.crc, cheapETag(d.crc, content.Size()), nil
	}
	return d.crc, strings.ToUpper(hex.EncodeToString(sum.Sum(nil))), nil
}

type digester struct {
	cheap bool
	crc   uint64
	md5   interface{ Write([]byte) (int, error) }
}

func (d *digester) Write(p []byte) (int, error) {
	d.crc = crc.Update(d.crc, p)
	if d.md5 != nil {
		return d.md5.Write(p)
	}
	return len(p), nil
}

// completed is a part as CompleteMultipartUpload lists it.
type completed struct {
	number int
	etag   string
}

// completeUpload is https://help.aliyun.com/en/oss/developer-reference/completemultipartupload.
func (c *call) completeUpload() error {
	doc, err := c.readDocument()
	if err != nil {
		return err
	}
	all := strings.EqualFold(c.r.Header.Get("X-Oss-Complete-All"), "yes")
	if all && strings.TrimSpace(doc) != "" {
		return invalidArgument("x-oss-complete-all", "yes", "The request body must be empty when x-oss-complete-all is specified.")
	}
	var list []completed
	if !all {
		if list, err = parseComplete(doc); err != nil {
			return err
		}
	}
	acl := c.r.Header.Get("X-Oss-Object-Acl")
	if acl != "" && !validACL(acl, true) {
		return invalidArgument("x-oss-object-acl", acl, "The object ACL is invalid.")
	}
	var o *store.Object
	var made *store.Content
	defer func() { made.Release() }()
	err = c.server.store.Update(func(tx *store.Tx) error {
		u, err := c.upload(tx)
		if err != nil {
			return err
		}
		if err := c.forbidden(tx); err != nil {
			return err
		}
		parts, err := c.chosenParts(tx, u, list, all)
		if err != nil {
			return err
		}
		object := u.Object
		o = &object
		if acl != "" {
			o.Extra = &store.Extra{ACL: acl, Tags: o.Tags()}
		}
		c.assemble(o, parts)
		made = o.Content
		tx.PutObject(c.bucket, o)
		tx.DeleteUpload(c.bucket, u)
		return nil
	})
	if err != nil {
		return err
	}
	c.answerComplete(o)
	return nil
}

func (c *call) answerComplete(o *store.Object) {
	c.w.Header()["X-Oss-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.CRC, 10)}
	c.w.Header()["Etag"] = []string{quote(o.ETag)}
	echoEncryption(c.w.Header(), o)
	x := xmlWriter{url: c.param("encoding-type") == "url"}
	x.begin("CompleteMultipartUploadResult")
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.text("Location", "http://"+c.r.Host+c.r.URL.EscapedPath())
	x.raw("Bucket", c.bucket)
	x.key("Key", c.key)
	x.text("ETag", quote(o.ETag))
	x.end("CompleteMultipartUploadResult")
	c.writeXML(http.StatusOK, &x)
}

// parseComplete reads the list of parts, whose numbers must rise.
func parseComplete(doc string) ([]completed, error) {
	var list []completed
	bad := false
	ok := scanXML(doc, func(path string) {
		if path == "CompleteMultipartUpload/Part" {
			list = append(list, completed{})
		}
	}, func(path, text string) {
		if len(list) == 0 {
			return
		}
		last := &list[len(list)-1]
		switch path {
		case "CompleteMultipartUpload/Part/PartNumber":
			n, ok := number(strings.TrimSpace(text))
			bad = bad || !ok || n < 1 || n > maxParts
			last.number = int(n)
		case "CompleteMultipartUpload/Part/ETag":
			last.etag = strings.Trim(strings.TrimSpace(text), `"`)
		}
	})
	if !ok || bad || len(list) == 0 {
		return nil, malformedXML()
	}
	for i, p := range list {
		if p.number == 0 || p.etag == "" {
			return nil, malformedXML()
		}
		if i > 0 && p.number <= list[i-1].number {
			return nil, fail(http.StatusBadRequest, "InvalidPartOrder", "0042-00000209", "The list of parts was not in ascending order.")
		}
	}
	return list, nil
}

// chosenParts finds the parts and refuses those that are too small or that are not as listed.
func (c *call) chosenParts(tx *store.Tx, u *store.Upload, list []completed, all bool) ([]*store.Part, error) {
	var parts []*store.Part
	if all {
		tx.AscendParts(u, 0, func(p *store.Part) bool {
			parts = append(parts, p)
			return true
		})
		if len(parts) == 0 {
			return nil, fail(http.StatusBadRequest, "InvalidPart", "0042-00000210", "The upload has no part.")
		}
	}
	for _, want := range list {
		p := tx.Part(u, want.number)
		if p == nil || !strings.EqualFold(p.ETag, want.etag) {
			return nil, fail(http.StatusBadRequest, "InvalidPart", "0042-00000210", "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.",
				"PartNumber", strconv.Itoa(want.number))
		}
		parts = append(parts, p)
	}
	for _, p := range parts[:len(parts)-1] {
		if p.Size < c.server.opts.MinPartSize {
			return nil, fail(http.StatusBadRequest, "EntityTooSmall", "0042-00000213", "Your proposed upload smaller than the minimum allowed size.",
				"MinSizeAllowed", strconv.FormatInt(c.server.opts.MinPartSize, 10), "ProposedSize", strconv.FormatInt(p.Size, 10), "PartNumber", strconv.Itoa(p.Number), "ETag", p.ETag)
		}
	}
	return parts, nil
}

// assemble makes the object of the parts: their checksums combine, and its ETag is made from theirs.
func (c *call) assemble(o *store.Object, parts []*store.Part) {
	contents := make([]*store.Content, len(parts))
	sum := md5.New()
	for i, p := range parts {
		contents[i] = p.Content
		o.CRC = crc.Combine(o.CRC, p.CRC, p.Size)
		fmt.Fprintf(sum, "%s", p.ETag)
	}
	o.Type, o.Modified = store.Multipart, c.server.now()
	o.Content = c.server.store.Join(contents...)
	o.Size = o.Content.Size()
	o.ETag = fmt.Sprintf("%X-%d", sum.Sum(nil), len(parts))
}

// abortUpload is https://help.aliyun.com/en/oss/developer-reference/abortmultipartupload.
func (c *call) abortUpload() error {
	err := c.server.store.Update(func(tx *store.Tx) error {
		u, err := c.upload(tx)
		if err != nil {
			return err
		}
		tx.DeleteUpload(c.bucket, u)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
