package writeback

import (
	"context"
	"maps"
	"sync"

	"github.com/ossfs/ossfs/ossclient"
)

// shared is a Bucket that another client changes between the requests of the Store. What it changes between a look at a key and the request that
// follows may be overwritten: OSS has no conditional PUT.
type shared struct {
	traced
	m    *othersModel
	turn sync.RWMutex // locked by the other client

	at     sync.Mutex // guards the fields below
	clock  int
	looks  map[look]int // when the Store has looked last, and has sent nothing since
	theirs []theirChange
	late   map[Key]bool // a request was given up when its process died: the server may get to it still
	taken  map[Key]bool // removed by name, and the delete not noted as done yet
	copied map[Key]int  // when this process has copied it, and the same
}

// look is a look at a key. Who sends a state does it all under one Context; others look, too, such as for the bytes of an edit that is kept beside the object.
type look struct {
	ctx context.Context
	key Key
}

// theirChange is what the other client has put somewhere.
type theirChange struct {
	key  Key
	when int
	line int
}

func (b *shared) Head(ctx context.Context, key Key) (ossclient.Object, error) {
	b.at.Lock()
	b.clock++
	b.looks[look{ctx, key}] = b.clock
	b.at.Unlock()
	b.turn.RLock()
	defer b.turn.RUnlock()
	return b.traced.Head(ctx, key)
}

// changes does a request that changes a key, after a look or not.
func (b *shared) changes(ctx context.Context, key Key, do func() error) error {
	b.turn.RLock()
	defer b.turn.RUnlock()
	b.overtaken(ctx, key)
	err := do()
	b.at.Lock()
	defer b.at.Unlock()
	b.late[key] = ctx.Err() != nil
	return err
}

// overtaken notes that what the other client has put to a key since the last look of who sends may be overwritten.
func (b *shared) overtaken(ctx context.Context, key Key) {
	b.at.Lock()
	when, looked := b.looks[look{ctx, key}]
	delete(b.looks, look{ctx, key})
	b.at.Unlock()
	if looked {
		b.goesSince(when, key, "a look")
	}
}

// goesSince notes that what the other client has put to a key since something was done may go.
func (b *shared) goesSince(when int, key Key, what string) {
	b.at.Lock()
	var between []int
	for _, c := range b.theirs {
		if c.key == key && c.when > when {
			between = append(between, c.line)
		}
	}
	b.at.Unlock()
	b.m.goes(between, "between %s at %s and a request", what, key)
}

func (b *shared) Put(ctx context.Context, q ossclient.PutRequest) (r ossclient.PutResult, err error) {
	err = b.changes(ctx, q.Key, func() error {
		r, err = b.traced.Put(ctx, q)
		return err
	})
	return r, err
}

func (b *shared) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (r ossclient.PutResult, err error) {
	err = b.changes(ctx, c.Key, func() error {
		r, err = b.traced.CompleteUpload(ctx, c)
		return err
	})
	return r, err
}

func (b *shared) Copy(ctx context.Context, q ossclient.CopyRequest) (r ossclient.CopyResult, err error) {
	b.at.Lock()
	b.clock++
	b.copied[q.Source.Key] = b.clock
	b.at.Unlock()
	err = b.changes(ctx, q.Key, func() error {
		r, err = b.traced.Copy(ctx, q)
		return err
	})
	return r, err
}

func (b *shared) DeleteMany(ctx context.Context, keys []Key) error {
	b.turn.RLock()
	defer b.turn.RUnlock()
	for _, key := range keys {
		b.at.Lock()
		taken := b.taken[key]
		when, copied := b.copied[key]
		b.at.Unlock()
		if copied { // its copy is as good as a look, for a moment
			b.goesSince(when, key, "the copy")
		}
		if taken {
			_, list := b.m.note(key)
			b.m.goes(list, "%s was removed, whatever it had", key)
		}
		b.overtaken(ctx, key)
	}
	return b.traced.DeleteMany(ctx, keys)
}

// takes notes that what a key has is removed by name, whatever it is.
func (b *shared) takes(key Key) {
	b.at.Lock()
	defer b.at.Unlock()
	b.taken[key] = true
}

// settled notes which of the keys that were removed by name have no state any more: a kill does not bring their removals back. One that does not live to
// note the answer to a delete leaves the removal to the next, who sends it again, and within Options.Believe does not look what others have put there since.
func (b *shared) settled(pending func(Key) bool) {
	b.at.Lock()
	defer b.at.Unlock()
	maps.DeleteFunc(b.taken, func(key Key, _ bool) bool { return !pending(key) })
	maps.DeleteFunc(b.copied, func(key Key, _ int) bool { return !pending(key) })
}

// died notes that the process has died, or the power failed: what waited then is looked at before it is deleted, but what was removed by name and not long ago.
func (b *shared) died(power bool) {
	b.at.Lock()
	defer b.at.Unlock()
	if clear(b.copied); power {
		clear(b.taken)
	}
}

// put is what the other client does; line < 0: a removal.
func (b *shared) other(key Key, line int, do func()) {
	b.turn.Lock()
	defer b.turn.Unlock()
	_, list := b.m.note(key)
	b.m.goes(list, "the other client has changed %s", key)
	do()
	b.m.note(key)
	b.at.Lock()
	defer b.at.Unlock()
	b.clock++
	if line >= 0 && b.late[key] { // it was looked at before that request, which comes after this
		b.m.goes([]int{line}, "a request that changes %s may be under way", key)
	}
	if line >= 0 {
		b.theirs = append(b.theirs, theirChange{key, b.clock, line})
	}
}
