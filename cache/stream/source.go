package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ossfs/ossfs/ossclient"
)

// Source is where bytes come from: the bucket.
type Source interface {
	Get(ctx context.Context, req ossclient.GetRequest) (*ossclient.Body, error)
}

// ErrStale is returned when the object is no longer the version that was opened.
var ErrStale = errors.New("the object was replaced")

// ErrCorrupt is returned when the CRC-64 of what was read is not the object's. It is ossclient's kind.
var ErrCorrupt = ossclient.ErrCorrupt

// get asks for n bytes from offset off, and for no other version's. That the object is found replaced is for those to log who hear of
// it: it may have been fetched ahead of them, and of nobody.
func (o *object) get(ctx context.Context, off, n int64) (io.ReadCloser, ossclient.Object, error) {
	p, v := o.pool, o.version
	body, object, err := p.open(ctx, ossclient.GetRequest{Key: v.Key, IfMatch: v.ETag, Offset: off, Length: n})
	if errors.Is(err, ossclient.ErrPrecondition) || errors.Is(err, ossclient.ErrNotExist) {
		o.replaced.Do(func() {
			p.log.Debug("object was replaced or deleted under an open file", "key", v.Key, "etag", v.ETag, "error", err)
		})
		return nil, object, fmt.Errorf("%w: %w", ErrStale, err)
	}
	if err != nil {
		return nil, object, err
	}
	if object.ETag != v.ETag {
		_ = body.Close() // nothing of it was used
		o.replaced.Do(func() {
			p.log.Debug("object was replaced under an open file", "key", v.Key, "etag", v.ETag, "now", object.ETag)
		})
		return nil, object, fmt.Errorf("%w: %s has ETag %s, and %s was opened", ErrStale, v.Key, object.ETag, v.ETag)
	}
	return body, object, nil
}

// readDirect reads into dst without any memory of ours.
func (o *object) readDirect(ctx context.Context, dst []byte, off int64) (int, error) {
	p := o.pool
	if p.ctx.Err() != nil {
		return 0, fs.ErrClosed
	}
	if err := p.governor.conn(ctx); err != nil {
		return 0, err
	}
	defer p.governor.endConn()
	p.counters.direct.Add(1)
	body, _, err := o.get(ctx, off, int64(len(dst)))
	if err != nil {
		return 0, err
	}
	defer body.Close() // its error would change nothing: the bytes were counted
	n, err := io.ReadFull(body, dst)
	p.counters.bytes.Add(int64(n))
	p.counters.straight.Add(int64(n))
	if err != nil {
		return n, fmt.Errorf("reading %s at %d: %w", o.version.Key, off+int64(n), err)
	}
	return n, nil
}
