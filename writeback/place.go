package writeback

import (
	"context"
	"errors"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// place has put copy an object to another key, in place of what the bucket is known to have there, and of nothing else: what another
// client has put there meanwhile was seen by nobody who moves something to its name. over is what the caller saw there, for where no
// pending state knows better. must: it cannot stay where it is, whatever the Options say.
func (s *Store) place(ctx context.Context, source ossclient.Version, to Key, over ossclient.Version, must bool, put func(exclusive bool) (Confirmation, error)) (Confirmation, error) {
	there := s.expected(to, over)
	for {
		exclusive, err := s.mayOverwrite(ctx, there)
		var c Confirmation
		if err == nil {
			c, err = put(exclusive)
		}
		if !errors.Is(err, ossclient.ErrExist) && !errors.As(err, new(*ConflictError)) {
			return c, err
		}
		if there, err = s.makeRoom(ctx, source, there, must); err != nil {
			return c, err
		}
	}
}

// expected is a state that may replace what the bucket is known to have at a key.
func (s *Store) expected(key Key, over ossclient.Version) *entry {
	s.change.Lock()
	defer s.change.Unlock()
	return s.replaceLocked(key, Content, s.get(key), over)
}

// makeRoom looks at what is there instead of what was expected, and returns the state that may replace it. What is another client's is kept
// beside it, or is a *ConflictError, as the Options say; kept when it must be.
func (s *Store) makeRoom(ctx context.Context, source ossclient.Version, there *entry, must bool) (*entry, error) {
	now, err := s.bucket.Head(ctx, there.key)
	gone := errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err)
	if err != nil && !gone {
		return nil, err
	}
	next := there.clone()
	next.base, next.trial = baseOf(now.Version), nil
	next.flags &^= flagUnknown | flagSuspect
	if gone || s.sentBefore(there, &now) {
		return next, nil
	}
	if same, err := s.sameBytes(ctx, source, &now); same || err != nil { // an earlier attempt of ours, most likely
		return next, err
	}
	if s.opt.OnConflict == Fail && !must {
		return nil, &ConflictError{Key: there.key, Base: there.version(), Now: now.Version}
	}
	if err = s.keepAside(ctx, &now); errors.Is(err, errAgain) {
		return there, nil
	}
	return next, err
}

// sameBytes says whether two objects have the same content.
func (s *Store) sameBytes(ctx context.Context, v ossclient.Version, o *ossclient.Object) (bool, error) {
	switch {
	case v.Size != o.Size:
		return false, nil
	case v.ETag == o.ETag:
		return true, nil
	}
	now, err := s.bucket.Head(ctx, v.Key)
	return err == nil && now.Size == o.Size && now.HasCRC64 && o.HasCRC64 && now.CRC64 == o.CRC64, err
}

// keepAside gives what another client has put at a key another name beside it, by a copy. errAgain: it was changed again, or deleted, or that name is taken.
func (s *Store) keepAside(ctx context.Context, now *ossclient.Object) error {
	s.change.Lock()
	to := s.besideLocked(now.Key)
	s.change.Unlock()
	c, err := s.copyObject(ctx, now.Version, now.StorageClass, to, true)
	if errors.Is(err, ossclient.ErrExist) { // the answer to an earlier request was lost, or another mount had the same name to give
		if o, herr := s.bucket.Head(ctx, to); herr == nil && o.Size == now.Size && o.HasCRC64 && now.HasCRC64 && o.CRC64 == now.CRC64 {
			c.Object, err = o, nil
		}
	}
	switch {
	case errors.Is(err, ossclient.ErrExist), errors.Is(err, ossclient.ErrPrecondition), errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err):
		return errors.Join(errAgain, err)
	case err != nil:
		return err
	}
	c.Attr, c.Source = attr.FromMetadata(now.Metadata), now.Version
	s.tell(c)
	s.conflicts.Add(1)
	s.log.Warn("changed by another client; its version is kept beside ours", "key", string(now.Key), "theirs", string(to))
	return nil
}
