package stream

import (
	"context"
	"io"

	"github.com/ossfs/ossfs/ossclient"
)

// File is one open handle of an object version. It is safe for concurrent use.
type File struct {
	pool    *Pool
	version ossclient.Version
	hint    Hint
}

// Version is what was opened.
func (f *File) Version() ossclient.Version { return f.version }

// ReadAt reads len(dst) bytes at off into dst, or fewer and io.EOF at the end of the object. The errors are
// ErrStale, ErrCorrupt, the context's when that ends, and the Source's.
func (f *File) ReadAt(ctx context.Context, dst []byte, off int64) (int, error) {
	if off >= f.version.Size {
		return 0, io.EOF
	}
	var eof error
	if rest := f.version.Size - off; int64(len(dst)) > rest {
		dst, eof = dst[:rest], io.EOF
	}
	if len(dst) == 0 {
		return 0, eof
	}
	n, err := readDirect(ctx, f.pool.opts.Source, f.version, dst, off)
	if err == nil {
		err = eof
	}
	return n, err
}

// Close ends the reading. What was fetched for this handle alone is given up.
func (f *File) Close() error { return nil }
