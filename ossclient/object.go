package ossclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// ObjectOptions are stored with a new object; empty fields leave the choice to the bucket.
type ObjectOptions struct {
	StorageClass string // Standard, IA, Archive, ColdArchive, DeepColdArchive
	ACL          string // default, private, public-read, public-read-write
	SSE          string // AES256, KMS, SM4
	SSEKeyID     string
	Tags         map[string]string
}

// Head asks for an object's description (HeadObject). It fails with ErrNotExist when there is none.
func (b *Bucket) Head(ctx context.Context, key Key) (Object, error) {
	op := opHead
	if err := b.checkKey(op, key); err != nil {
		return Object{}, err
	}
	var o Object
	_, err := b.do(ctx, &request{op: op, key: key, accept: func(a *answer) error {
		if a.length < 0 {
			return &badAnswer{errors.New("it does not say how large the object is")}
		}
		o = objectOf(key, a.length, a.header)
		return nil
	}})
	return o, err
}

// CopyRequest asks OSS to copy an object of this bucket.
type CopyRequest struct {
	Source      Version // its Key, and its ETag as If-Match unless empty
	Key         Key
	Replace     *Metadata // nil: the source's metadata is copied too
	Options     ObjectOptions
	NoOverwrite bool // ErrExist when Key is there
}

// CopyResult is the new object. Its Size is the source's as the caller gave it.
type CopyResult struct {
	Version
	LastModified time.Time
	CRC64        uint64
	HasCRC64     bool
}

// copyDocument is CopyObject's and UploadPartCopy's answer.
type copyDocument struct {
	LastModified string
	ETag         string
}

// Copy copies an object inside the bucket (CopyObject). ErrPrecondition: the source has another ETag;
// ErrInvalid: OSS refuses to copy so large an object in one request, UploadPartCopy can.
func (b *Bucket) Copy(ctx context.Context, c CopyRequest) (CopyResult, error) {
	op := opCopy
	if err := b.checkKey(op, c.Key); err != nil {
		return CopyResult{}, err
	}
	if err := b.checkVersion(op, c.Source.Key, c.Source.ETag); err != nil {
		return CopyResult{}, err
	}
	h := make(http.Header, 16)
	b.setCopySource(h, c.Source)
	h["X-Oss-Metadata-Directive"] = []string{"COPY"}
	if c.Replace != nil {
		h["X-Oss-Metadata-Directive"] = []string{"REPLACE"}
		if err := setMetadata(h, *c.Replace); err != nil {
			return CopyResult{}, b.invalid(op, c.Key, err.Error())
		}
	}
	setOptions(h, c.Options)
	if len(c.Options.Tags) > 0 {
		h["X-Oss-Tagging-Directive"] = []string{"Replace"}
	}
	forbidOverwrite(h, c.NoOverwrite)
	var result CopyResult
	r := &request{op: op, key: c.Key, header: h, settle: b.settleCopy(c, &result)}
	r.accept = func(a *answer) error {
		var doc copyDocument
		if err := readDocument(a, "CopyObjectResult", &doc); err != nil {
			return err
		}
		result.Version = Version{Key: c.Key, ETag: trimETag(doc.ETag), Size: c.Source.Size}
		result.LastModified = isoTime(doc.LastModified)
		result.CRC64, result.HasCRC64 = crcOf(a.header)
		return nil
	}
	_, err := b.do(ctx, r)
	return result, err
}

// setCopySource names the source of a copy.
func (b *Bucket) setCopySource(h http.Header, v Version) {
	h["X-Oss-Copy-Source"] = []string{"/" + b.cfg.Bucket + "/" + escapePath(string(v.Key))}
	if v.ETag != "" {
		h["X-Oss-Copy-Source-If-Match"] = []string{`"` + string(v.ETag) + `"`}
	}
}

// Delete removes an object (DeleteObject). It succeeds when there was none.
func (b *Bucket) Delete(ctx context.Context, key Key) error {
	op := opDelete
	if err := b.checkKey(op, key); err != nil {
		return err
	}
	_, err := b.do(ctx, &request{op: op, key: key, accept: acceptAnything})
	return err
}

// acceptAnything reads what is of no interest, so that the connection can be used again.
func acceptAnything(a *answer) error {
	_, err := io.Copy(io.Discard, io.LimitReader(a.reader(), drainLimit))
	return err
}
