package stream

import (
	"context"
	"errors"
	"fmt"
	"io"

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

// get asks for n bytes of v from offset off, and for no other version's.
func get(ctx context.Context, src Source, v ossclient.Version, off, n int64) (*ossclient.Body, error) {
	body, err := src.Get(ctx, ossclient.GetRequest{Key: v.Key, IfMatch: v.ETag, Offset: off, Length: n})
	if errors.Is(err, ossclient.ErrPrecondition) || errors.Is(err, ossclient.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrStale, err)
	}
	if err != nil {
		return nil, err
	}
	if body.Object.ETag != v.ETag {
		_ = body.Close() // nothing of it was used
		return nil, fmt.Errorf("%w: %s has ETag %s, and %s was opened", ErrStale, v.Key, body.Object.ETag, v.ETag)
	}
	return body, nil
}

// readDirect reads into dst without any memory of ours.
func readDirect(ctx context.Context, src Source, v ossclient.Version, dst []byte, off int64) (int, error) {
	body, err := get(ctx, src, v, off, int64(len(dst)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, dst)
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return n, fmt.Errorf("reading %s at %d: %w", v.Key, off+int64(n), err)
	}
	return n, nil
}
