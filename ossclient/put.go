package ossclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// maxPut is the most that one PutObject, AppendObject or UploadPart takes
// (https://help.aliyun.com/en/oss/developer-reference/putobject).
const maxPut = 5 << 30

// PutRequest stores an object with one request.
type PutRequest struct {
	Key         Key
	Body        io.ReaderAt // read once for each attempt, and not any more once Put has returned
	Size        int64       // bytes; at most 5 GiB
	Metadata    Metadata
	Options     ObjectOptions
	NoOverwrite bool // ErrExist when Key is there

	// CRC64 gives the CRC-64/ECMA of the content when it is known; nil, or false: it is computed while
	// the content is read. It is compared with what OSS has stored either way.
	CRC64 func() (uint64, bool)
}

// PutResult is the stored object.
type PutResult struct {
	Version
	Date      time.Time // of the answer, by OSS's clock: LastModified is this within a second
	CRC64     uint64
	VersionID string
}

// Put stores an object (PutObject), replacing what Key was. ErrCorrupt: what OSS has stored has another checksum than what
// was read, several times; of an exclusive request, once, since its repetition would meet its own object. Whatever the error is, StoredSum tells of wrong
// bytes that were stored.
func (b *Bucket) Put(ctx context.Context, p PutRequest) (PutResult, error) {
	op := opPut
	if err := b.checkKey(op, p.Key); err != nil {
		return PutResult{}, err
	}
	if p.Size < 0 || p.Size > maxPut {
		return PutResult{}, b.invalid(op, p.Key, "one PutObject stores at most 5 GiB")
	}
	h := make(http.Header, 16)
	if err := setMetadata(h, p.Metadata); err != nil {
		return PutResult{}, b.invalid(op, p.Key, err.Error())
	}
	setOptions(h, p.Options)
	forbidOverwrite(h, p.NoOverwrite)
	known, isKnown := uint64(0), false
	if p.CRC64 != nil {
		known, isKnown = p.CRC64()
	}
	var result PutResult
	var spoilt error // what is stored is wrong
	r := &request{op: op, key: p.Key, header: h, body: content{reader: p.Body, size: p.Size, summed: !isKnown}}
	r.settle = b.settlePut(p, &result)
	r.accept = func(a *answer) error {
		sum := known
		if !isKnown {
			sum = a.sum
		}
		if err := b.compare("object", a.header, sum); err != nil {
			spoilt = err
			if p.NoOverwrite {
				return b.corrupt(r, err)
			}
			return err
		}
		result = putResultOf(p.Key, p.Size, sum, a.header)
		return nil
	}
	_, err := b.do(ctx, r)
	if e, ok := errors.AsType[*Error](err); ok && spoilt != nil && !errors.Is(e.Err, spoilt) {
		e.Err = errors.Join(e.Err, spoilt)
	}
	return result, err
}

// compare checks the checksum that OSS answers with.
func (b *Bucket) compare(what string, h http.Header, want uint64) error {
	got, ok := crcOf(h)
	if !ok || got == want {
		return nil
	}
	b.counters.corrupt.Add(1)
	return &corruption{what: what, got: got, want: want}
}

func putResultOf(key Key, size int64, sum uint64, h http.Header) PutResult {
	return PutResult{
		Version:   Version{Key: key, ETag: trimETag(h.Get("Etag")), Size: size},
		Date:      httpTime(h.Get(headerDate)),
		CRC64:     sum,
		VersionID: h.Get("X-Oss-Version-Id"),
	}
}
