package writeback

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Who removes a name means what it has at that moment, whether he has seen it or not. But a removal may wait for its turn: for the network, or, in the
// journal of a mount that was not there, for days. What is deleted late is looked at first.

// notOurs is a removal that finds what another client has put there since.
type notOurs struct {
	e   *entry
	now ossclient.Object
}

// mayDelete sorts removals: those that hold, and those that have waited too long, and are of something else than what the bucket has now.
func (s *Store) mayDelete(ctx context.Context, list []*entry) (may []*entry, others []notOurs, err error) {
	found := make([]*ossclient.Object, len(list))
	var g errgroup.Group
	g.SetLimit(smallAtOnce)
	now := time.Now()
	for i, e := range list {
		if s.sure(e, now) {
			continue
		}
		g.Go(func() error {
			o, err := s.bucket.Head(ctx, e.key)
			switch {
			case errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err):
				return nil
			case err == nil && !s.removes(e, &o):
				found[i] = &o
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, e := range list {
		if found[i] != nil {
			others = append(others, notOurs{e, *found[i]})
		} else {
			may = append(may, e)
		}
	}
	return may, others, nil
}

// copiedFor is how long the copy that a rename makes, of one version and no other, is as good as a look at the old name.
const copiedFor = 2 * time.Second

// sure says whether a removal needs no look: it is young. One of what nobody here knew is no exception: what it finds late is another client's.
// Who renames means one object, and not the name: the old one is sure as long as the copy of it is fresh.
func (s *Store) sure(e *entry, now time.Time) bool {
	age := e.age(now)
	young := age >= 0 && age < s.opt.Believe
	switch {
	case e.isDir():
		return true
	case e.has(flagSuspect):
		return young && e.copied && age < copiedFor
	}
	return young || s.opt.OnConflict == Overwrite
}

// leftLocked is the absence that the copy of an object leaves at its old key. Nobody waits for it while the Store is being opened: then it is looked
// at. It needs change.
func (s *Store) leftLocked(old *entry, source ossclient.Version) *entry {
	gone := s.replaceLocked(source.Key, Absent, old, source)
	if gone.copied = s.opened.Load(); s.opt.OnConflict != Overwrite { // what another client has put there is not what was moved
		gone.flags |= flagSuspect
	}
	return gone
}

// removes says whether an object is what was removed, or what was sent before that.
func (s *Store) removes(e *entry, o *ossclient.Object) bool {
	return e.known() && e.base.ETag == o.ETag || s.sentBefore(e, o)
}

// sentBefore says whether an object is what was sent to the key of a state before, and no answer to it was heard, or one that said that it came wrong:
// the last attempt is in memory, and what came of those before it, in the state.
func (s *Store) sentBefore(e *entry, o *ossclient.Object) bool {
	s.mu.RLock()
	last := s.tried[e.key]
	s.mu.RUnlock()
	return last.any(o) || e.trial.any(o)
}

// notRemoved takes back removals that came too late.
func (s *Store) notRemoved(list []notOurs) error {
	if len(list) == 0 {
		return nil
	}
	for _, x := range list {
		s.tell(Confirmation{Key: x.e.key, Object: x.now, Foreign: true, Exact: true, Attr: attr.FromMetadata(x.now.Metadata)})
	}
	s.change.Lock()
	defer s.change.Unlock()
	var ops []op
	for _, x := range list {
		if cur := s.get(x.e.key); cur != nil && cur.seq == x.e.seq { // else it was made anew, and is compared when that is sent
			ops = append(ops, op{code: opDel, key: x.e.key})
		}
		s.mu.Lock()
		delete(s.tried, x.e.key)
		s.mu.Unlock()
		s.conflicts.Add(1)
		s.log.Warn("removed here, and changed by another client since; its version stays", "key", string(x.e.key))
	}
	if len(ops) == 0 {
		return nil
	}
	return s.commitLocked(ops...)
}

func keysOf(list []*entry) []Key {
	keys := make([]Key, len(list))
	for i, e := range list {
		keys[i] = e.key
	}
	return keys
}
