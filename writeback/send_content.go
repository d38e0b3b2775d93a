package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/extent"
)

// complete makes [off, end) local: what is missing is read from the base.
func (f *File) complete(ctx context.Context, off, end int64) error {
	piece := f.s.most(4 << 20)
	f.mu.Lock()
	_, err := f.openLocked()
	missing := f.missingLocked(off, end)
	base := f.base
	lost := slices.ContainsFunc(missing, func(r extent.Range) bool { return !f.inBaseLocked(r) })
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if lost {
		return ErrLost
	}
	for _, r := range missing {
		for at := r.Off; at < r.End; at += piece {
			if err := f.fetchPiece(ctx, *base, at, min(piece, r.End-at)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchPiece makes n bytes of the base local.
func (f *File) fetchPiece(ctx context.Context, base ossclient.Version, off, n int64) error {
	giveBack, err := f.s.borrow(ctx, n)
	if err != nil {
		return err
	}
	defer giveBack()
	p := make([]byte, n)
	if err := f.s.fetch(ctx, base, p, off); err != nil {
		return err
	}
	return f.keep(p, off)
}

// ErrLost says that bytes were given up here for an upload that is no more: somebody else has ended it. Programs get EIO.
var ErrLost = fmt.Errorf("writeback: parts that were sent are gone from the bucket, and not staged any more: %w", ossclient.ErrNotExist)

// keep puts bytes of the base into the staged file, where nothing was written meanwhile.
func (f *File) keep(p []byte, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.missingLocked(off, off+int64(len(p))) {
		if _, err := f.f.WriteAt(p[r.Off-off:r.End-off], r.Off); err != nil {
			return err
		}
		f.local.Add(r.Off, r.End)
		f.countLocked()
		f.s.sync.wrote(f) // the next state counts on them
	}
	return nil
}

// dropCleanLocked gives up what may have been fetched of the base of an edit: it is about to have another, of other bytes, up to
// limit. Behind that there are to be zeros. It needs f.mu.
func (f *File) dropCleanLocked(limit int64) error {
	if _, err := f.openLocked(); err != nil {
		return err
	}
	for _, r := range f.changed.Missing(0, min(f.limit, f.size)) {
		if r.End > limit { // an earlier use of the file may have fetched it
			if err := f.blankLocked(extent.Range{Off: max(r.Off, limit), End: r.End}); err != nil {
				return err
			}
		}
		f.local.Remove(r.Off, r.End)
	}
	f.countLocked()
	return nil
}

// blankLocked makes a range read as zeros: a hole, where the filesystem has such. It needs f.mu.
func (f *File) blankLocked(r extent.Range) error {
	err := f.punchLocked(r)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	zeros := make([]byte, min(r.Len(), 64<<10))
	for at := r.Off; at < r.End; at += int64(len(zeros)) {
		if _, err := f.f.WriteAt(zeros[:min(int64(len(zeros)), r.End-at)], at); err != nil {
			return err
		}
	}
	f.s.sync.wrote(f)
	return nil
}

// stringReader is a body of a few bytes.
type stringReader string

func (s stringReader) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(string(s)).ReadAt(p, off)
}

var _ io.ReaderAt = stringReader("")

// metadata is what is stored with an object. Content-Type is by the name's extension when none is given.
func metadata(key Key, a *attr.Attr) ossclient.Metadata {
	m := a.Metadata()
	if m.ContentType == "" {
		m.ContentType = contentType(key, a)
	}
	return m
}
