package writeback

import (
	"cmp"
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

// classOf is the storage class that a copy of an object is to have: the one that was asked for, or the object's own, which may
// be known. OSS gives a copy the bucket's where none is named: that could cost a fee for what was not stored long enough.
func (s *Store) classOf(ctx context.Context, source ossclient.Version, asked, known string) (string, error) {
	if class := cmp.Or(asked, known); class != "" {
		return class, nil
	}
	o, err := s.bucket.Head(ctx, source.Key)
	return o.StorageClass, err
}

// copyWith copies an object to a key, its own or another, and replaces what is stored with it. Attr is left to the caller. Exclusive: what
// is there is not overwritten, as with all that copy here; the error is ErrExist then.
func (s *Store) copyWith(ctx context.Context, source ossclient.Version, to Key, m ossclient.Metadata, class string, exclusive bool) (Confirmation, error) {
	o := s.options(class)
	c := Confirmation{Key: to}
	r, err := s.bucket.Copy(ctx, ossclient.CopyRequest{Source: source, Key: to, Replace: &m, Options: s.copyOptions(class), NoOverwrite: exclusive})
	if tooLargeToCopy(err) {
		p, err := s.copyByParts(ctx, source, to, m, o, exclusive)
		c.Object = ossclient.Object{Version: p.Version, LastModified: p.Date, Type: ossclient.Multipart, StorageClass: o.StorageClass, Metadata: m,
			CRC64: p.CRC64, HasCRC64: true, VersionID: p.VersionID}
		return c, err
	}
	c.Exact = true
	c.Object = ossclient.Object{Version: ossclient.Version{Key: to, ETag: r.ETag, Size: source.Size}, LastModified: r.LastModified,
		Type: ossclient.Normal, StorageClass: o.StorageClass, Metadata: m, CRC64: r.CRC64, HasCRC64: r.HasCRC64}
	return c, err
}

// copyPart has a part of an upload copied.
func (s *Store) copyPart(ctx context.Context, u *upload, p ossclient.CopyPartRequest) (ossclient.Part, error) {
	if err := s.name(u); err != nil {
		return ossclient.Part{}, err
	}
	p.Key, p.Upload = u.key, u.id
	return s.bucket.CopyPart(ctx, p)
}

// copyByParts copies an object with a multipart upload.
func (s *Store) copyByParts(ctx context.Context, source ossclient.Version, to Key, m ossclient.Metadata, o ossclient.ObjectOptions, exclusive bool) (ossclient.PutResult, error) {
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
			parts[i], err = s.copyPart(gctx, u, ossclient.CopyPartRequest{Number: i + 1, Source: source, Offset: off, Length: min(n, source.Size-off)})
			return err
		})
	}
	err = g.Wait()
	var r ossclient.PutResult
	if err == nil {
		r, err = s.bucket.CompleteUpload(ctx, ossclient.CompleteRequest{Key: to, Upload: u.id, Parts: parts, NoOverwrite: exclusive, ACL: o.ACL})
	}
	if err != nil {
		s.dropUpload(stage)
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

// copyObject copies an object with all that is stored with it, to one of some storage class.
func (s *Store) copyObject(ctx context.Context, source ossclient.Version, class string, to Key, exclusive bool) (Confirmation, error) {
	r, err := s.bucket.Copy(ctx, ossclient.CopyRequest{Source: source, Key: to, Options: s.copyOptions(class), NoOverwrite: exclusive})
	c := Confirmation{Key: to, Exact: true}
	if err == nil {
		c.Object = ossclient.Object{Version: ossclient.Version{Key: to, ETag: r.ETag, Size: source.Size}, LastModified: r.LastModified, CRC64: r.CRC64,
			HasCRC64: r.HasCRC64, StorageClass: class}
		return c, nil
	}
	if !tooLargeToCopy(err) {
		return c, err
	}
	o, err := s.bucket.Head(ctx, source.Key)
	if err != nil {
		return c, err
	}
	p, err := s.copyByParts(ctx, o.Version, to, o.Metadata, s.options(class), exclusive)
	if err != nil {
		return c, err
	}
	c.Exact, c.Attr = false, attr.FromMetadata(o.Metadata)
	c.Object = ossclient.Object{Version: p.Version, LastModified: p.Date, CRC64: p.CRC64, HasCRC64: true, Type: ossclient.Multipart, StorageClass: class, Metadata: o.Metadata}
	return c, nil
}
