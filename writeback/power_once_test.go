package writeback

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// onceBucket is a Bucket that looks at each request that stores an object.
type onceBucket struct {
	*traced
	m *powerModel

	mu    sync.Mutex // guards the fields below
	count int        // requests that changed objects
	step  int
	sent  map[Key]bool // in that step
}

// stores does a request that stores an object, which must be another than the one before it.
func (b *onceBucket) stores(key Key, do func() error) {
	before, there := b.m.r.server.Object(ossservertest.Bucket, string(key))
	if do() != nil {
		return
	}
	after, _ := b.m.r.server.Object(ossservertest.Bucket, string(key))
	b.changed()
	same := there && after.Size > 0 && before.CRC64 == after.CRC64 && before.Size == after.Size
	if same && fmt.Sprint(before.Header) == fmt.Sprint(after.Header) {
		b.m.fail("%s was stored again as it was", key)
	}
}

// content looks at a request that stores content: it is what the key has last, and the only one of its step.
func (b *onceBucket) content(key Key, do func() error) {
	b.stores(key, func() error {
		if err := do(); err != nil {
			return err
		}
		m, last := b.m, len(b.m.worlds)-1
		b.mu.Lock()
		if b.step != last {
			b.step, b.sent = last, make(map[Key]bool)
		}
		twice := b.sent[key]
		b.sent[key] = true
		b.mu.Unlock()
		if twice && m.log[len(m.log)-1] == "flush" { // an exchange, and a rename, may send what one key has after the other
			m.fail("%s was sent twice", key)
		}
		got, _ := m.r.body(string(key))
		_, passed := m.partial[key][sumOfString(got)]
		if got != m.worlds[last][key] && got != m.worlds[last-1][key] && got != m.before[key] && !passed {
			m.fail("%s was sent with %d bytes, which is not what it has; %s", key, len(got), m.nearest(key, got))
		}
		return nil
	})
}

func (b *onceBucket) Put(ctx context.Context, q ossclient.PutRequest) (r ossclient.PutResult, err error) {
	b.content(q.Key, func() error {
		r, err = b.traced.Put(ctx, q)
		return err
	})
	return r, err
}

func (b *onceBucket) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (r ossclient.PutResult, err error) {
	b.content(c.Key, func() error {
		r, err = b.traced.CompleteUpload(ctx, c)
		return err
	})
	return r, err
}

func (b *onceBucket) Copy(ctx context.Context, q ossclient.CopyRequest) (r ossclient.CopyResult, err error) {
	do := func() error {
		r, err = b.traced.Copy(ctx, q)
		return err
	}
	if q.Source.Key == q.Key {
		b.stores(q.Key, do)
	} else if do() == nil { // what is moved away and back is still there
		b.changed()
	}
	return r, err
}

func (b *onceBucket) DeleteMany(ctx context.Context, keys []Key) error {
	b.changed()
	return b.traced.DeleteMany(ctx, keys)
}

func (b *onceBucket) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
}

// changes is how many requests have changed objects.
func (b *onceBucket) changes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

func runOnceModel(t *testing.T, seed uint64) {
	m := newPowerModel(t, seed)
	m.sick, m.tight, m.early, m.peace = nil, false, false, true
	m.faults = nil
	m.r.server.SetFaults()
	b := &onceBucket{traced: m.b, m: m, step: -1}
	m.opt.Bucket, m.opt.Delay, m.opt.StageBudget = b, time.Hour, 1<<30
	m.begin(-1)
	m.works()
	m.flush(m.ctx)
	sent := b.changes()
	m.flush(m.ctx)
	m.peace = false
	m.remount(m.ctx)
	m.flush(m.ctx)
	if n := b.changes() - sent; n > 0 {
		m.fail("%d requests though the bucket had everything", n)
	}
	for _, key := range modelKeys {
		want, has := m.now()[key]
		if got, there := m.r.body(string(key)); got != want || there != has {
			m.fail("%s has %d bytes (%v), want %d (%v)", key, len(got), there, len(want), has)
		}
	}
	m.leftover()
	m.unmount()
	if left := m.uploads(); len(left) > 0 {
		m.fail("left over: %+v", left)
	}
}

// As long as nothing fails, and nobody else changes anything, the bucket is told of each state once: what a key has when it is sent, and nothing of what
// it had before; nor is it told again by the next process. OSSFS_POWER_SEED and OSSFS_POWER_SEEDS choose other runs.
// SEMANTICS 1.6
func TestSentOnce(t *testing.T) { powerSeeds(t, 10, runOnceModel) }
