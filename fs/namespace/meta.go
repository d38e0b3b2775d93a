package namespace

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// maxTarget is the length in bytes of the longest symbolic link (PATH_MAX); a body that is longer is none.
const maxTarget = 4096

// heads are the questions for attributes under way, one for each key.
type heads struct {
	slots chan struct{} // one for each that may be sent at once

	mu    sync.Mutex // guards the field below
	calls map[ossclient.Key]*call
}

func newHeads() heads {
	return heads{slots: make(chan struct{}, headsAtOnce), calls: make(map[ossclient.Key]*call)}
}

// waiting is how many questions have no answer yet.
func (h *heads) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// call is one question for attributes. When done is closed, the other fields stay as they are.
type call struct {
	began uint64 // its number in the order of events, or that of the request that knew the answer; 0: that of what led to the question
	done  chan struct{}
	meta  *meta // nil: there is no such object
	err   error
	until time.Time // how long the answer is believed, when that is less than of what led to the question; else zero
}

// since is an answer that was known by the request of a number. A question that was put has its own, which is higher.
func (c *call) since(began uint64) *call {
	select {
	case <-c.done:
		if c.began == 0 {
			return &call{began: began, done: c.done, meta: c.meta, err: c.err, until: c.until}
		}
	default:
	}
	return c
}

// upTo is an answer that is believed no longer than until. A question that is still on its way will have a new one.
func (c *call) upTo(until time.Time) *call {
	select {
	case <-c.done:
		return &call{began: c.began, done: c.done, meta: c.meta, err: c.err, until: until}
	default:
		return c
	}
}

// limit is until, or how long the answer is believed when that is less.
func (c *call) limit(until time.Time) time.Time {
	select {
	case <-c.done:
		if !c.until.IsZero() && c.until.Before(until) {
			return c.until
		}
	default: // it was not needed
	}
	return until
}

func answered(m *meta) *call {
	c := &call{done: make(chan struct{}), meta: m}
	close(c.done)
	return c
}

// wait returns the answer; nil without an error when there is no such object.
func (c *call) wait(ctx context.Context) (*meta, error) {
	select {
	case <-c.done:
		return c.meta, c.err
	default:
	}
	select {
	case <-c.done:
		return c.meta, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// describe begins to find the attributes of an object that a listing begun at began has shown: in the index,
// else by asking.
func (t *Tree) describe(o ossclient.Object, began uint64) *call {
	if r, ok := t.indexed(&o); ok {
		return answered(recorded(o, r))
	}
	return t.inquire(o, began)
}

// describePage is describe for objects in the order of their keys.
func (t *Tree) describePage(objects []ossclient.Object, began uint64) []*call {
	calls := make([]*call, len(objects))
	t.o.Index.GetPage(objects, func(i int, r cache.Record) {
		if !aimless(&objects[i], &r.Attr, r.Target) {
			calls[i] = answered(recorded(objects[i], r))
		}
	})
	for i := range calls {
		if calls[i] == nil {
			calls[i] = t.inquire(objects[i], began)
		}
	}
	return calls
}

func recorded(o ossclient.Object, r cache.Record) *meta {
	if r.HasCRC64 && !o.HasCRC64 {
		o.CRC64, o.HasCRC64 = r.CRC64, true
	}
	return &meta{object: o, attr: r.Attr, target: r.Target}
}

// inquire begins to ask the bucket for the attributes of an object that the index does not know. Of a
// directory's key the object need not be there, and o is just its key. A question under way is shared if it was
// put after began.
func (t *Tree) inquire(o ossclient.Object, began uint64) *call {
	if t.o.NoHead && o.ETag != "" && o.Type != ossclient.Symlink {
		return answered(&meta{object: o})
	}
	t.heads.mu.Lock()
	defer t.heads.mu.Unlock()
	if c := t.heads.calls[o.Key]; c != nil && c.began >= began {
		return c
	}
	c := &call{began: t.recents.tick(), done: make(chan struct{})}
	t.heads.calls[o.Key] = c
	t.work.Go(func() {
		select {
		case t.heads.slots <- struct{}{}:
			c.meta, c.err = t.ask(t.ctx, o)
			<-t.heads.slots
		case <-t.ctx.Done():
			c.err = t.ctx.Err()
		}
		t.heads.mu.Lock()
		if t.heads.calls[o.Key] == c {
			delete(t.heads.calls, o.Key)
		}
		t.heads.mu.Unlock()
		close(c.done)
	})
	return c
}

// ask asks the bucket for an object and remembers the answer.
func (t *Tree) ask(ctx context.Context, o ossclient.Object) (*meta, error) {
	if o.ETag != "" { // another question may have been answered since the index was asked
		if r, ok := t.indexed(&o); ok {
			return recorded(o, r), nil
		}
	}
	if o.Type == ossclient.Symlink {
		return t.askSymlink(ctx, o)
	}
	began := t.recents.tick()
	got, err := t.o.Bucket.Head(ctx, o.Key)
	switch {
	case gone(err):
		return nil, nil
	case errors.Is(err, ossclient.ErrPermission) && o.ETag != "":
		t.o.Logger.Warn("attributes are not shown: no permission to ask for them", "key", o.Key, "err", err)
		return &meta{object: o}, nil
	case err != nil:
		return nil, err
	case got.Type == ossclient.Symlink:
		return t.askSymlink(ctx, got)
	}
	m := &meta{object: got, attr: attr.FromMetadata(got.Metadata)}
	if m.attr.Type() == attr.TypeLink && !isDirKey(o.Key) {
		if err := t.askTarget(ctx, m); err != nil {
			if gone(err) || errors.Is(err, ossclient.ErrPrecondition) {
				return nil, nil // gone, or replaced, since: the next question will tell
			}
			return nil, err
		}
	}
	t.remember(m, cache.IdentityOf(&got), began)
	return m, nil
}

// Ask is what the bucket says of the object of an entry now, whatever is remembered.
func (t *Tree) Ask(ctx context.Context, e Entry) (ossclient.Object, error) {
	return t.o.Bucket.Head(ctx, e.Version.Key)
}

// askTarget reads the body of a symbolic link as ossfs stores it.
func (t *Tree) askTarget(ctx context.Context, m *meta) error {
	if m.object.Size == 0 || m.object.Size > maxTarget {
		return nil
	}
	body, err := t.o.Bucket.Get(ctx, ossclient.GetRequest{Key: m.object.Key, IfMatch: m.object.ETag, Length: -1})
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxTarget))
	m.target = string(text)
	return err
}

// askSymlink asks for one of OSS's own symbolic links. Its identity is that of the link, as a listing
// shows it: a HEAD would describe what it points to.
func (t *Tree) askSymlink(ctx context.Context, o ossclient.Object) (*meta, error) {
	began := t.recents.tick()
	target, got, err := t.o.Bucket.GetSymlink(ctx, o.Key)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &meta{object: got, attr: attr.FromMetadata(got.Metadata)}
	m.attr.SetMode(attr.TypeLink | 0o777)
	m.target = t.relative(o.Key, ossclient.Key(target))
	m.object.Key, m.object.Type = o.Key, ossclient.Symlink
	if o.ETag != "" && m.object.ETag == "" {
		m.object.ETag = o.ETag
	}
	t.remember(m, cache.IdentityOf(&o), began)
	return m, nil
}

// remember has the index know the answer to a question that began at a time. An answer that a confirmation has overtaken is not kept: a
// change of attributes alone, within a second, leaves an object its identity.
func (t *Tree) remember(m *meta, id cache.Identity, began uint64) {
	key := m.object.Key
	t.o.Index.Put(key, id, cache.Record{Attr: m.attr, Target: m.target, CRC64: m.object.CRC64, HasCRC64: m.object.HasCRC64})
	// Looked at afterwards: what is confirmed from here on comes into the index later than this.
	if _, overtaken := t.recents.since(key, began); overtaken || t.recents.stale(began) {
		t.o.Index.Delete(key)
	}
}
