package writeback

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// tooLargeToCopy says whether CopyObject refused an object for its size or kind, which copying it by
// parts gets around.
func tooLargeToCopy(err error) bool {
	var e *ossclient.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == "EntityTooLarge" || e.Code == "InvalidArgument" && e.Op == "CopyObject" || errors.Is(err, ossclient.ErrUnsupported)
}

// copyParts is sendAttributes for what CopyObject refuses.
func (s *Store) copyParts(ctx context.Context, e *entry, source ossclient.Version, m ossclient.Metadata) error {
	a := e.attributes()
	r, err := s.copyByParts(ctx, source, e.key, m, s.options(a.StorageClass))
	if err != nil {
		return err
	}
	return s.stored(e, nil, r, ossclient.Multipart, m)
}

// copyByParts copies an object with a multipart upload.
func (s *Store) copyByParts(ctx context.Context, source ossclient.Version, to Key, m ossclient.Metadata, o ossclient.ObjectOptions) (ossclient.PutResult, error) {
	// Journaled as the upload of a staged file that is not there: after a crash Open gives it up.
	u := &upload{key: to, parts: make(map[int]sentPart)}
	var stage uint64
	err := s.beginUpload(ctx, ossclient.UploadRequest{Key: to, Metadata: m, Options: o}, func(id ossclient.UploadID, done []op) (err error) {
		u.id = id
		stage, err = s.noteCopy(u, done)
		return err
	})
	if err != nil {
		return ossclient.PutResult{}, err
	}
	n := max(int64(64<<20), source.Size/maxParts+1)
	parts := make([]ossclient.Part, (source.Size+n-1)/n)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i := range parts {
		off := int64(i) * n
		g.Go(func() error {
			var err error
			parts[i], err = s.bucket.CopyPart(gctx, ossclient.CopyPartRequest{Key: to, Upload: u.id, Number: i + 1, Source: source, Offset: off, Length: min(n, source.Size-off)})
			return err
		})
	}
	err = g.Wait()
	var r ossclient.PutResult
	if err == nil {
		r, err = s.bucket.CompleteUpload(ctx, ossclient.CompleteRequest{Key: to, Upload: u.id, Parts: parts, ACL: o.ACL})
	}
	if err != nil {
		s.abandon(ctx, stage)
		return r, err
	}
	return r, s.noteUploaded(stage)
}

func (s *Store) noteCopy(u *upload, done []op) (stage uint64, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.lastStage++
	return s.lastStage, s.commitLocked(append(done, op{code: opUpload, stage: s.lastStage, upload: u})...)
}

// copyObject copies an object of some storage class with all that is stored with it.
func (s *Store) copyObject(ctx context.Context, source ossclient.Version, class string, to Key) (Confirmation, error) {
	r, err := s.bucket.Copy(ctx, ossclient.CopyRequest{Source: source, Key: to, Options: s.copyOptions(class)})
	c := Confirmation{Key: to, Exact: true}
	if err == nil {
		c.Object = ossclient.Object{Version: ossclient.Version{Key: to, ETag: r.ETag, Size: source.Size}, LastModified: r.LastModified, CRC64: r.CRC64, HasCRC64: r.HasCRC64}
		return c, nil
	}
	if !tooLargeToCopy(err) {
		return c, err
	}
	o, err := s.bucket.Head(ctx, source.Key)
	if err != nil {
		return c, err
	}
	p, err := s.copyByParts(ctx, o.Version, to, o.Metadata, s.options(o.StorageClass))
	if err != nil {
		return c, err
	}
	c.Exact, c.Attr = false, attr.FromMetadata(o.Metadata)
	c.Object = ossclient.Object{Version: p.Version, LastModified: p.Date, CRC64: p.CRC64, HasCRC64: true, Type: ossclient.Multipart, Metadata: o.Metadata}
	return c, nil
}
