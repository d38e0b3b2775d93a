package writeback

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/ossclient"
)

// intent is a multipart upload that is about to be begun. It is journaled before the request: when the process
// dies in it, or the answer is lost, OSS may have an upload that nobody knows the name of. Such an upload is found
// by a listing of the uploads of that one key, and given up when it is ours as far as can be told: begun in the
// time in which ours was, not known by the journal, and without a part, since no part is sent before the name is
// journaled. Another client's upload is given up only if it was begun for the same key in the same seconds and
// has no part yet; its client is told NoSuchUpload.
type intent struct {
	id   uint64
	key  Key
	when int64 // by OSS's clock, nanoseconds since 1970

	// The fields below are not journaled; guarded by Store.mu.
	busy  bool // the request is on its way, or its upload not journaled yet
	until int64
}

const (
	intentSlack   = 5 * time.Second // how far OSS's clock may be from what we take it for
	intentLasts   = 2 * time.Minute // how long a request may have been on its way in a process that died
	intentSettles = time.Minute     // after this an upload that was not found was never begun
)

// intend journals that an upload to key is about to be begun.
func (s *Store) intend(key Key) (*intent, error) {
	s.change.Lock()
	defer s.change.Unlock()
	in := &intent{id: s.v.intent + 1, key: key, when: s.bucket.Now().UnixNano(), busy: true}
	return in, s.commitLocked(op{code: opIntend, intent: in})
}

// beginUpload begins an upload. note journals it, together with the ops it is given. Both that and the intent are durable before what follows them
// (see name): an upload of which a loss of power took the name is never given up when it has parts, and not looked for without the intent.
func (s *Store) beginUpload(ctx context.Context, q ossclient.UploadRequest, note func(id ossclient.UploadID, done []op) error) error {
	in, err := s.intend(q.Key)
	if err != nil {
		return err
	}
	end := []op{{code: opIntended, intent: in}}
	if err := s.sync.ahead(); err != nil {
		return errors.Join(err, s.commitOps(end...))
	}
	doubt := false
	q.Doubt = func() { doubt = true }
	id, err := s.bucket.CreateUpload(ctx, q)
	doubt = doubt || err != nil && !permanent(err)
	switch {
	case err == nil && doubt:
		err = note(id, nil)
	case err == nil:
		err = note(id, end)
	case !doubt: // refused
		err = errors.Join(err, s.commitOps(end...))
		id = ""
	}
	if err != nil && id != "" { // nobody else knows it
		aerr := s.abort(ctx, &upload{key: q.Key, id: id})
		if doubt = doubt || aerr != nil; !doubt {
			aerr = s.commitOps(end...)
		}
		err = errors.Join(err, aerr)
	}
	s.mu.Lock()
	in.busy, in.until = false, s.bucket.Now().UnixNano()
	s.mu.Unlock()
	if doubt {
		s.spawn(func() { s.settleIntent(s.ctx, in) })
	}
	return err
}

// name makes the name of an upload durable, before anything is sent to it: whoever finds the upload in the map may be ahead of who has
// begun it.
func (s *Store) name(u *upload) error {
	s.mu.RLock()
	named := u.named
	s.mu.RUnlock()
	if named {
		return nil
	}
	if err := s.sync.ahead(); err != nil {
		return err
	}
	s.mu.Lock()
	u.named = true
	s.mu.Unlock()
	return nil
}

func (s *Store) commitOps(ops ...op) error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.commitLocked(ops...)
}

// intents are those that the journal has.
func (s *Store) intents() []*intent {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.v.intents))
}

// settleIntents looks for the uploads that were begun without our knowing.
func (s *Store) settleIntents(ctx context.Context, list []*intent) {
	var g errgroup.Group
	g.SetLimit(partsAtOnce)
	for _, in := range list {
		g.Go(func() error {
			for pause := strayPause; s.settleIntent(ctx, in) && s.usable() == nil; pause = min(2*pause, time.Second) {
				select {
				case <-time.After(pause):
				case <-ctx.Done():
					return nil // it stays, for the next who looks
				}
			}
			return nil
		})
	}
	_ = g.Wait() // settleIntent tells what it could not do
}

// settleIntent gives up the uploads of an intent. As long as the request, or one that repeated it, may still take effect, the
// intent stays, for the next who looks; again says that one should look soon.
func (s *Store) settleIntent(ctx context.Context, in *intent) (again bool) {
	ids, err := s.strays(ctx, in)
	for _, id := range ids {
		if aerr := s.bucket.AbortUpload(ctx, in.key, id); aerr != nil {
			err = errors.Join(err, aerr)
			continue
		}
		s.log.Info("gave up an upload that was begun as the process died, or whose answer was lost", "key", string(in.key), "upload", string(id))
	}
	age := s.bucket.Now().Sub(time.Unix(0, in.when))
	switch {
	case errors.Is(err, errBegins):
		return true
	case err != nil:
		s.log.Warn("looking for an upload that may have been begun; the next mount looks again", "key", string(in.key), "error", err)
	case age > intentSettles:
		if err := s.commitOps(op{code: opIntended, intent: in}); err != nil {
			s.log.Error("the end of an upload was not journaled", "key", string(in.key), "error", err)
		}
	}
	return false
}

// strays are the uploads that an intent may have begun.
func (s *Store) strays(ctx context.Context, in *intent) ([]ossclient.UploadID, error) {
	from, until := s.timeOf(in)
	var ids []ossclient.UploadID
	for u, err := range s.bucket.ListUploads(ctx, in.key) {
		if err != nil {
			return nil, err
		}
		if u.Key != in.key {
			break // keys come in order: the one asked for is the first of its prefix
		}
		if u.Initiated.Before(from) || u.Initiated.After(until) {
			continue
		}
		parts, err := s.bucket.ListParts(ctx, u.Key, u.ID)
		if err != nil && !errors.Is(err, ossclient.ErrNotExist) {
			return nil, err
		}
		if err == nil && len(parts) == 0 {
			ids = append(ids, u.ID)
		}
	}
	return s.unknown(in, ids)
}

// errBegins says that an upload of the same key is just being begun here, and has no name yet: which of those that are
// listed is ours cannot be said before it has.
var errBegins = errors.New("an upload of this key is being begun")

const strayPause = 10 * time.Millisecond // before it is looked at again, at first

// timeOf is when the upload of an intent may have been begun, by OSS's clock.
func (s *Store) timeOf(in *intent) (from, until time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from = time.Unix(0, in.when).Add(-intentSlack)
	until = time.Unix(0, in.until)
	if in.until == 0 {
		until = time.Unix(0, in.when).Add(intentLasts)
	}
	return from, until.Add(intentSlack)
}

// unknown leaves out the uploads that the journal knows. It is asked after they were listed: what was begun before
// the listing is known by then, or its intent is busy (errBegins), and nothing is given up.
func (s *Store) unknown(in *intent, ids []ossclient.UploadID) ([]ossclient.UploadID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.v.intents[in.id] == nil {
		return nil, nil // settled by somebody else
	}
	for _, other := range s.v.intents {
		if other.busy && other.key == in.key {
			return nil, errBegins
		}
	}
	known := make(map[ossclient.UploadID]bool)
	for _, u := range s.v.uploads {
		known[u.id] = true
	}
	return slices.DeleteFunc(ids, func(id ossclient.UploadID) bool { return known[id] }), nil
}
