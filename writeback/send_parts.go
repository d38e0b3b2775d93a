package writeback

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	partFirst = 8 << 20 // bytes of the first parts
	partMost  = 5 << 30
	partLeast = 100 << 10 // what OSS takes for parts but the last
	maxParts  = 10000
	copyMost  = 1 << 30 // bytes copied as one part: several are copied at once
)

// piece is a part of a file that is to be sent: staged bytes, or a copy of the base's.
type piece struct {
	off, n int64
	copied bool
}

// partSize is the size of a part that begins at off: it grows with the file, so that 10,000 parts reach
// as far as OSS does.
func partSize(off int64) int64 {
	n := off / 16 &^ (1<<20 - 1)
	return min(max(n, partFirst), partMost)
}

// plan cuts a file into parts. What is not changed is copied.
func plan(size int64, e *edit) []piece {
	if e == nil {
		var list []piece
		for off := int64(0); off < size; {
			n := min(partSize(off), size-off)
			list = append(list, piece{off: off, n: n})
			off += n
		}
		return list
	}
	for cell := int64(1 << 20); ; cell *= 2 {
		if list := planEdit(size, e, cell); len(list) <= maxParts {
			return list
		}
	}
}

// planEdit cuts at multiples of cell: cells with a changed byte are sent, runs of others copied.
func planEdit(size int64, e *edit, cell int64) []piece {
	var list []piece
	for off := int64(0); off < size; {
		end := min(off+cell, size)
		copied := end <= e.limit && !e.dirty.Overlaps(off, end)
		most := max(int64(partFirst), cell)
		if copied {
			most = max(64<<20, size/1000)
		}
		most = min(most, copyMost)
		if last := len(list) - 1; last >= 0 && list[last].copied == copied && list[last].n+end-off <= most {
			list[last].n += end - off
		} else {
			list = append(list, piece{off, end - off, copied})
		}
		off = end
	}
	return list
}

// sendParts stores content with a multipart upload.
func (s *Store) sendParts(ctx context.Context, e *entry, f *File) error {
	exclusive, err := s.mayOverwrite(ctx, e)
	if err != nil {
		return s.lost(ctx, e, f, err)
	}
	a := e.attributes()
	m := metadata(e.key, &a)
	id, err := s.bucket.CreateUpload(ctx, ossclient.UploadRequest{Key: e.key, Metadata: m, Options: s.options(a.StorageClass)})
	if err != nil {
		return err
	}
	pieces := plan(e.size, e.edit)
	parts := make([]ossclient.Part, len(pieces))
	g, gctx := errgroup.WithContext(ctx)
	for i, p := range pieces {
		if err := s.partToken(gctx); err != nil {
			break
		}
		g.Go(func() error {
			defer s.partDone()
			var err error
			parts[i], err = s.sendPiece(gctx, e, f, id, i+1, p)
			return err
		})
	}
	err = errors.Join(g.Wait(), ctx.Err())
	var r ossclient.PutResult
	if err == nil {
		r, err = s.bucket.CompleteUpload(ctx, ossclient.CompleteRequest{Key: e.key, Upload: id, Parts: parts, NoOverwrite: exclusive})
	}
	if err != nil {
		if aerr := s.bucket.AbortUpload(context.WithoutCancel(ctx), e.key, id); aerr != nil {
			s.log.Warn("a multipart upload was left over; `ossfs uploads abort` removes it", "key", string(e.key), "upload", string(id), "error", aerr)
		}
		return s.lost(ctx, e, f, err)
	}
	return s.stored(e, f, r, ossclient.Multipart, m)
}

// sendPiece makes one part.
func (s *Store) sendPiece(ctx context.Context, e *entry, f *File, id ossclient.UploadID, number int, p piece) (ossclient.Part, error) {
	if p.copied {
		return s.bucket.CopyPart(ctx, ossclient.CopyPartRequest{Key: e.key, Upload: id, Number: number, Source: *e.base, Offset: p.off, Length: p.n})
	}
	if err := f.complete(ctx, p.off, p.off+p.n); err != nil {
		return ossclient.Part{}, err
	}
	return s.bucket.UploadPart(ctx, ossclient.PartRequest{Key: e.key, Upload: id, Number: number, Body: content{f, p.off}, Size: p.n})
}

func (s *Store) partToken(ctx context.Context) error {
	select {
	case s.parts <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) partDone() { <-s.parts }

// streamLocked is told that a file has outgrown a single Put.
func (f *File) streamLocked() {}
