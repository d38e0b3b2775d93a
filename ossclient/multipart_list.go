package ossclient

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// Upload is a multipart upload that was begun and neither completed nor aborted.
type Upload struct {
	Key       Key
	ID        UploadID
	Initiated time.Time
}

type partsDocument struct {
	IsTruncated          bool
	NextPartNumberMarker int
	Part                 []struct {
		PartNumber    int
		ETag          string
		Size          int64
		HashCrc64ecma string
	}
}

// ListParts gives all parts of an upload in the order of their numbers (ListParts). ErrNotExist: there
// is no such upload.
func (b *Bucket) ListParts(ctx context.Context, key Key, id UploadID) ([]Part, error) {
	op := opListParts
	if err := b.checkKey(op, key); err != nil {
		return nil, err
	}
	var parts []Part
	for marker := 0; ; {
		params := []param{{"encoding-type", "url"}, {"max-parts", "1000"}, {"part-number-marker", strconv.Itoa(marker)}, {"uploadId", string(id)}}
		var doc partsDocument
		_, err := b.do(ctx, &request{op: op, key: key, params: params, accept: func(a *answer) error {
			doc = partsDocument{}
			return readDocument(a, "ListPartsResult", &doc)
		}})
		if err != nil {
			return nil, err
		}
		for _, p := range doc.Part {
			if p.PartNumber < 1 || p.PartNumber > MaxParts || p.Size < 0 {
				return nil, b.newBroken(op, key, fmt.Errorf("part %d of %d bytes is listed", p.PartNumber, p.Size))
			}
			part := Part{Number: p.PartNumber, ETag: trimETag(p.ETag), Size: p.Size}
			if sum, err := strconv.ParseUint(p.HashCrc64ecma, 10, 64); err == nil {
				part.CRC64, part.HasCRC64 = sum, true
			}
			parts = append(parts, part)
		}
		if !doc.IsTruncated {
			return parts, nil
		}
		if doc.NextPartNumberMarker <= marker {
			return nil, b.newBroken(op, key, errors.New("the listing of parts does not go on"))
		}
		marker = doc.NextPartNumberMarker
	}
}

// newBroken is the error of an answer that makes no sense.
func (b *Bucket) newBroken(op operation, key Key, err error) *Error {
	return &Error{Op: op.String(), Bucket: b.cfg.Bucket, Key: key, Kind: ErrUnavailable, Err: err}
}

type uploadsDocument struct {
	EncodingType       string
	IsTruncated        bool
	NextKeyMarker      string
	NextUploadIdMarker string
	Upload             []struct{ Key, UploadId, Initiated string }
}

// ListUploads gives the unfinished uploads whose keys begin with prefix, in the order of their keys
// (ListMultipartUploads). It ends at the first error.
func (b *Bucket) ListUploads(ctx context.Context, prefix Key) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		var keyMarker, idMarker string
		for {
			doc, err := b.uploadsPage(ctx, prefix, keyMarker, idMarker)
			if err != nil {
				yield(Upload{}, err)
				return
			}
			for _, u := range doc.Upload {
				if !yield(Upload{Key: Key(u.Key), ID: UploadID(u.UploadId), Initiated: isoTime(u.Initiated)}, nil) {
					return
				}
			}
			if !doc.IsTruncated {
				return
			}
			if doc.NextKeyMarker == keyMarker && doc.NextUploadIdMarker == idMarker {
				yield(Upload{}, b.newBroken(opListUploads, prefix, errors.New("the listing of uploads does not go on")))
				return
			}
			keyMarker, idMarker = doc.NextKeyMarker, doc.NextUploadIdMarker
		}
	}
}

// uploadsPage asks for one page and undoes its encoding.
func (b *Bucket) uploadsPage(ctx context.Context, prefix Key, keyMarker, idMarker string) (uploadsDocument, error) {
	params := []param{{"encoding-type", "url"}}
	if keyMarker != "" {
		params = append(params, param{"key-marker", keyMarker})
	}
	params = append(params, param{"max-uploads", "1000"})
	if prefix != "" {
		params = append(params, param{"prefix", string(prefix)})
	}
	if idMarker != "" {
		params = append(params, param{"upload-id-marker", idMarker})
	}
	params = append(params, param{"uploads", ""})
	var doc uploadsDocument
	_, err := b.do(ctx, &request{op: opListUploads, params: params, accept: func(a *answer) error {
		doc = uploadsDocument{}
		if err := readDocument(a, "ListMultipartUploadsResult", &doc); err != nil {
			return err
		}
		return doc.decode()
	}})
	return doc, err
}

// decode undoes encoding-type=url.
func (d *uploadsDocument) decode() error {
	if d.EncodingType != "url" {
		return nil
	}
	fields := []*string{&d.NextKeyMarker}
	for i := range d.Upload {
		fields = append(fields, &d.Upload[i].Key)
	}
	for _, f := range fields {
		v, err := url.QueryUnescape(*f)
		if err != nil {
			return &badAnswer{err}
		}
		*f = v
	}
	return nil
}
