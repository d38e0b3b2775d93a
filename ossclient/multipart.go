package ossclient

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// UploadID names a multipart upload that was begun and neither completed nor aborted.
type UploadID string

// UploadRequest begins a multipart upload.
type UploadRequest struct {
	Key      Key
	Metadata Metadata
	Options  ObjectOptions
	// Doubt, when not nil, is called before CreateUpload returns when OSS may have begun another upload
	// besides, or in spite of an error: an answer was lost. It may be called more than once.
	Doubt func()
}

// Part is a part that OSS has.
type Part struct {
	Number   int // 1 to 10,000
	ETag     ETag
	Size     int64 // bytes
	CRC64    uint64
	HasCRC64 bool
}

// MaxParts is how many parts an upload can have, and so the highest part number.
const MaxParts = 10000

// CreateUpload begins a multipart upload (InitiateMultipartUpload).
func (b *Bucket) CreateUpload(ctx context.Context, u UploadRequest) (UploadID, error) {
	op := opInitiate
	if err := b.checkKey(op, u.Key); err != nil {
		return "", err
	}
	h := make(http.Header, 16)
	if err := setMetadata(h, u.Metadata); err != nil {
		return "", b.invalid(op, u.Key, err.Error())
	}
	o := u.Options
	o.ACL = "" // InitiateMultipartUpload knows none: CompleteRequest.ACL
	setOptions(h, o)
	var id UploadID
	r := &request{op: op, key: u.Key, params: []param{{"encoding-type", "url"}, {"uploads", ""}}, header: h}
	r.accept = func(a *answer) error {
		var doc struct {
			ID UploadID `xml:"UploadId"`
		}
		err := readDocument(a, "InitiateMultipartUploadResult", &doc)
		if id = doc.ID; err == nil && id == "" {
			err = &badAnswer{errors.New("it has no UploadId")}
		}
		return err
	}
	r.settle = settleInitiate(u.Doubt)
	_, err := b.do(ctx, r)
	return id, err
}

// PartRequest sends one part.
type PartRequest struct {
	Key    Key
	Upload UploadID
	Number int         // 1 to 10,000
	Body   io.ReaderAt // not read any more once UploadPart has returned
	Size   int64       // 100 KiB to 5 GiB; the last part may be smaller
}

// UploadPart stores a part, replacing what had its number (UploadPart). Its checksum is compared with
// what OSS stored.
func (b *Bucket) UploadPart(ctx context.Context, p PartRequest) (Part, error) {
	op := opUploadPart
	if err := b.checkPart(op, p.Key, p.Number); err != nil {
		return Part{}, err
	}
	if p.Size < 0 || p.Size > maxPut {
		return Part{}, b.invalid(op, p.Key, "a part has at most 5 GiB")
	}
	var part Part
	r := &request{op: op, key: p.Key, params: partParams(p.Upload, p.Number), body: content{reader: p.Body, size: p.Size, summed: true}}
	r.accept = func(a *answer) error {
		if err := b.compare("part", a.header, a.sum); err != nil {
			return err
		}
		part = Part{Number: p.Number, ETag: trimETag(a.header.Get("Etag")), Size: p.Size, CRC64: a.sum, HasCRC64: true}
		return nil
	}
	_, err := b.do(ctx, r)
	return part, err
}

// CopyPartRequest makes a part of a range of an object in this bucket.
type CopyPartRequest struct {
	Key            Key
	Upload         UploadID
	Number         int     // 1 to 10,000
	Source         Version // its Key, and its ETag as If-Match unless empty
	Offset, Length int64   // bytes of the source
}

// CopyPart copies a part inside OSS (UploadPartCopy). It cannot read an appendable object.
func (b *Bucket) CopyPart(ctx context.Context, c CopyPartRequest) (Part, error) {
	op := opCopyPart
	if err := b.checkPart(op, c.Key, c.Number); err != nil {
		return Part{}, err
	}
	if err := b.checkVersion(op, c.Source.Key, c.Source.ETag); err != nil {
		return Part{}, err
	}
	if c.Offset < 0 || c.Length <= 0 || c.Length > maxPut {
		return Part{}, b.invalid(op, c.Key, "a part has 1 byte to 5 GiB")
	}
	h := make(http.Header, 8)
	b.setCopySource(h, c.Source)
	h["X-Oss-Copy-Source-Range"] = []string{"bytes=" + strconv.FormatInt(c.Offset, 10) + "-" + strconv.FormatInt(c.Offset+c.Length-1, 10)}
	var part Part
	_, err := b.do(ctx, &request{op: op, key: c.Key, params: partParams(c.Upload, c.Number), header: h, accept: func(a *answer) error {
		var doc copyDocument
		if err := readDocument(a, "CopyPartResult", &doc); err != nil {
			return err
		}
		part = Part{Number: c.Number, ETag: trimETag(doc.ETag), Size: c.Length}
		part.CRC64, part.HasCRC64 = crcOf(a.header)
		return nil
	}})
	return part, err
}

func partParams(id UploadID, number int) []param {
	return []param{{"partNumber", strconv.Itoa(number)}, {"uploadId", string(id)}}
}

func (b *Bucket) checkPart(op operation, key Key, number int) error {
	if number < 1 || number > MaxParts {
		return b.invalid(op, key, "a part's number is 1 to 10,000")
	}
	return b.checkKey(op, key)
}

// CompleteRequest makes an object of parts.
type CompleteRequest struct {
	Key         Key
	Upload      UploadID
	Parts       []Part // in the order of their numbers
	NoOverwrite bool
	ACL         string  // as in ObjectOptions
	CRC64       *uint64 // of the whole object; nil: made of the parts' when all have one
}

// CompleteUpload makes the object of its parts (CompleteMultipartUpload) and compares its checksum. When
// the answer is lost it finds out whether the object was made before it repeats the request.
func (b *Bucket) CompleteUpload(ctx context.Context, c CompleteRequest) (PutResult, error) {
	op := opComplete
	if err := b.checkKey(op, c.Key); err != nil {
		return PutResult{}, err
	}
	if len(c.Parts) == 0 || len(c.Parts) > MaxParts {
		return PutResult{}, b.invalid(op, c.Key, "an upload is completed of 1 to 10,000 parts")
	}
	want := expected(c)
	h := http.Header{headerContentType: {"application/xml"}}
	forbidOverwrite(h, c.NoOverwrite)
	setOptions(h, ObjectOptions{ACL: c.ACL})
	doc := completeDocument(c.Parts)
	var result PutResult
	r := &request{op: op, key: c.Key, params: []param{{"encoding-type", "url"}, {"uploadId", string(c.Upload)}}, header: h}
	r.body = content{reader: bytes.NewReader(doc), size: int64(len(doc))}
	r.accept = func(a *answer) error {
		var doc struct{ ETag string }
		if err := readDocument(a, "CompleteMultipartUploadResult", &doc); err != nil {
			return err
		}
		sum, has := crcOf(a.header)
		if want.known && has && sum != want.sum {
			b.counters.corrupt.Add(1)
			return b.corrupt(r, &corruption{"object", sum, want.sum})
		}
		result = putResultOf(c.Key, want.size, sum, a.header)
		result.ETag = trimETag(doc.ETag)
		return nil
	}
	r.settle = b.settleComplete(c.Key, want, &result)
	_, err := b.do(ctx, r)
	return result, err
}

// corrupt is the error of a checksum that is not mended by repeating.
func (b *Bucket) corrupt(r *request, cause error) *Error {
	e := b.newError(r, cause)
	e.Kind = ErrCorrupt
	return e
}

// expectation is what the completed object must be.
type expectation struct {
	sum   uint64
	known bool // sum is
	size  int64
}

func expected(c CompleteRequest) expectation {
	x := expectation{known: true}
	for _, p := range c.Parts {
		x.known = x.known && p.HasCRC64
		x.sum = crc.Combine(x.sum, p.CRC64, p.Size)
		x.size += p.Size
	}
	if c.CRC64 != nil {
		x.sum, x.known = *c.CRC64, true
	}
	return x
}

func completeDocument(parts []Part) []byte {
	var doc bytes.Buffer
	doc.WriteString("<CompleteMultipartUpload>")
	for _, p := range parts {
		doc.WriteString("<Part><PartNumber>")
		doc.WriteString(strconv.Itoa(p.Number))
		doc.WriteString("</PartNumber><ETag>\"")
		_ = xml.EscapeText(&doc, []byte(p.ETag)) // a bytes.Buffer never fails
		doc.WriteString("\"</ETag></Part>")
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return doc.Bytes()
}

// AbortUpload gives up a multipart upload and its parts (AbortMultipartUpload). It succeeds when there
// is no such upload any more.
func (b *Bucket) AbortUpload(ctx context.Context, key Key, id UploadID) error {
	op := opAbort
	if err := b.checkKey(op, key); err != nil {
		return err
	}
	_, err := b.do(ctx, &request{op: op, key: key, params: []param{{"uploadId", string(id)}}, accept: acceptAnything})
	if isCode(err, "NoSuchUpload") {
		return nil
	}
	return err
}
