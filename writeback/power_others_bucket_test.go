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
	looks  map[Key]int // when the Store has looked last, and has sent nothing since
	theirs []theirChange
	late   map[Key]bool // a request was given up when its process died: the server may get to it still
	taken  map[Key]bool // removed by name, and the delete not noted as done yet
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
	b.looks[key] = b.clock
	b.at.Unlock()
	b.turn.RLock()
	defer b.turn.RUnlock()
	return b.traced.Head(ctx, key)
}

// changes does a request that changes a key, after a look or not.
func (b *shared) changes(ctx context.Context, key Key, do func() error) error {
	b.turn.RLock()
	defer b.turn.RUnlock()
	b.overtaken(key)
	err := do()
	b.at.Lock()
	defer b.at.Unlock()
	b.late[key] = ctx.Err() != nil
	return err
}

// overtaken notes that what the other client has put to a key since the last look may be overwritten.
func (b *shared) overtaken(key Key) {
	b.at.Lock()
	when, looked := b.looks[key]
	delete(b.looks, key)
	var between []int
	for _, c := range b.theirs {
		if looked && c.key == key && c.when > when {
			between = append(between, c.line)
		}
	}
	b.at.Unlock()
	b.m.goes(between, "between a look at %s and a request", key)
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
		b.at.Unlock()
		if taken {
			_, list := b.m.note(key)
			b.m.goes(list, "%s was removed, whatever it had", key)
		}
		b.overtaken(key)
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
}

// lost notes that the power has failed: all that waited is looked at before it is deleted.
func (b *shared) lost() {
	b.at.Lock()
	defer b.at.Unlock()
	clear(b.taken)
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
