package namespace

import (
	"context"
	"sync"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// checkAge is how long before a directory is removed the bucket may have been asked whether anything is in it.
const checkAge = time.Second

// checks are questions put ahead of a program that removes one directory after the other, as rm -r does: what the bucket
// has in a directory is asked while its files are being removed. Each directory found empty allows one such question for
// one beside it, so that there are never more of them than of directories removed.
type checks struct {
	mu      sync.Mutex                  // guards the fields below; a leaf
	removed map[ossclient.Key]time.Time // when a directory was found empty that is in this one, unless the question was put since
	byDir   map[ossclient.Key]*check
}

// check is one question. When done is closed, page and err stay as they are.
type check struct {
	asked time.Time
	began uint64
	done  chan struct{}
	page  ossclient.Page
	err   error
}

// checksKept bounds the questions remembered, and the directories.
const checksKept = 256

// foundEmpty notes that dir is about to be removed.
func (c *checks) foundEmpty(dir ossclient.Key, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed == nil || len(c.removed) >= checksKept {
		c.removed = make(map[ossclient.Key]time.Time)
	}
	parent, _ := names.Split(dir)
	c.removed[parent] = now
}

// begin makes a question for dir, if it is time for one.
func (c *checks) begin(dir ossclient.Key, now time.Time) *check {
	parent, _ := names.Split(dir)
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.removed[parent]
	if !ok || now.Sub(last) >= checkAge {
		return nil
	}
	delete(c.removed, parent)
	if c.byDir == nil || len(c.byDir) >= checksKept {
		c.byDir = make(map[ossclient.Key]*check)
	}
	x := &check{asked: now, done: make(chan struct{})}
	c.byDir[dir] = x
	return x
}

// take is the question that was put for dir a moment ago, nil when there is none. Who asks a second time is not served by it.
func (c *checks) take(dir ossclient.Key, now time.Time) *check {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byDir[dir]
	delete(c.byDir, dir)
	if x == nil || now.Sub(x.asked) >= checkAge {
		return nil
	}
	return x
}

// Removed notes that an entry of dir was removed that is no directory.
func (t *Tree) Removed(dir ossclient.Key) {
	if t.o.TTL <= 0 || dir == t.o.Root || !names.Within(t.o.Root, dir) {
		return
	}
	x := t.checks.begin(dir, t.now())
	if x == nil {
		return
	}
	t.work.Go(func() {
		defer close(x.done)
		x.began = t.recents.tick()
		x.page, x.err = t.o.Bucket.List(t.ctx, ossclient.ListRequest{Prefix: dir})
	})
}

// Empty says whether nothing but its own object is in the directory. It asks the bucket, or has asked a moment ago.
func (t *Tree) Empty(ctx context.Context, dir ossclient.Key) (bool, error) {
	x := t.checks.take(dir, t.now())
	if t.anyStaged(dir) {
		return false, nil
	}
	empty, err := t.checked(ctx, dir, x)
	if !empty && err == nil {
		empty, err = t.askEmpty(ctx, dir)
	}
	if !empty || err != nil {
		return false, err
	}
	t.checks.foundEmpty(dir, t.now())
	return true, nil
}

// checked says whether a question put ahead, if there was one, shows that a directory is empty, when all that has been
// removed since is taken away. When it does not, the bucket has to be asked.
func (t *Tree) checked(ctx context.Context, dir ossclient.Key, x *check) (bool, error) {
	if x == nil {
		return false, nil
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if x.err != nil || x.page.Next != "" || t.overtaken(dir, x.began) {
		return false, nil
	}
	for i := range x.page.Objects {
		if key := x.page.Objects[i].Key; key != dir && t.objectVisible(key, x.began) {
			return false, nil
		}
	}
	return t.nothingAdded(dir, x.began), nil
}

func (t *Tree) askEmpty(ctx context.Context, dir ossclient.Key) (bool, error) {
	began := t.recents.tick()
	any, err := t.scan(ctx, dir, true)
	if any || err != nil {
		return false, err
	}
	return t.nothingAdded(dir, began), nil
}

// nothingAdded says whether we have nothing in a directory that the bucket did not have at began.
func (t *Tree) nothingAdded(dir ossclient.Key, began uint64) bool {
	return !t.anyStaged(dir) && !t.addedVisible(dir, began, true)
}
