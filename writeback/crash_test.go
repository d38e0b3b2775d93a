package writeback

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// world is what a key shall hold: its content; "" with present false when there shall be nothing.
type world map[Key]string

// crashRun does a fixed list of steps on a Store, and notes what each was to make of the world.
type crashRun struct {
	r      *rig
	s      *Store
	prefix Key
	mem    *disktest.Mem
	worlds []world // after each step that was acknowledged; the first is the start
	failed world   // what the step that failed would have made
	edited bool    // the step writes to what is there: none of it may be missing
	synced int     // the last step before the last acknowledged sync
}

func (c *crashRun) key(name string) Key { return c.prefix + Key(name) }

// step does one thing; it returns false when the disk has stopped.
func (c *crashRun) step(do func() error, change func(w world)) bool {
	next := maps.Clone(c.worlds[len(c.worlds)-1])
	change(next)
	c.edited = false
	if err := do(); err != nil {
		c.failed = next
		if !c.mem.Stopped() {
			c.r.t.Errorf("step %d failed on a sound disk: %v", len(c.worlds), err)
		}
		return false
	}
	c.worlds = append(c.worlds, next)
	return true
}

func (c *crashRun) store(name, content string) func() error {
	return func() error {
		f, err := c.s.Create(c.key(name), fileAttr(), c.base(name))
		if err != nil {
			return err
		}
		defer f.Release()
		for off := 0; off < len(content); off += 3000 {
			if _, err := f.WriteAt(context.Background(), []byte(content[off:min(off+3000, len(content))]), int64(off)); err != nil {
				return err
			}
		}
		return f.Commit()
	}
}

// base is what a caller would know: the bucket's version, unless something is pending.
func (c *crashRun) base(name string) ossclient.Version {
	if st, ok := c.s.Lookup(c.key(name)); ok {
		return st.Base
	}
	o, err := c.r.bucket.Head(context.Background(), c.key(name))
	if err != nil {
		return ossclient.Version{}
	}
	return o.Version
}

func (c *crashRun) edit(name, content string, off int64) func() error {
	return func() error {
		c.edited = true
		f, err := c.s.Edit(c.key(name), Seen{Version: c.base(name)}, fileAttr(), nil)
		if err != nil {
			return err
		}
		defer f.Release()
		if _, err := f.WriteAt(context.Background(), []byte(content), off); err != nil {
			return err
		}
		return f.Commit()
	}
}

func (c *crashRun) sync() bool {
	at := len(c.worlds) - 1
	ok := c.step(func() error { return c.s.sync.flush() }, func(world) {})
	if ok {
		c.synced = at
	}
	return ok
}

func (c *crashRun) run(ctx context.Context) {
	set := func(name, content string) func(world) { return func(w world) { w[c.key(name)] = content } }
	move := func(from, to string) func(world) {
		return func(w world) {
			for key, content := range maps.Clone(w) {
				if rest, ok := strings.CutPrefix(string(key), string(c.key(from))); ok && (rest == "" || strings.HasSuffix(from, "/")) {
					delete(w, key)
					w[c.key(to)+Key(rest)] = content
				}
			}
		}
	}
	rename := func(from, to string) func() error {
		return func() error {
			return c.s.Rename(ctx, c.key(from), c.key(to), RenameSource{Version: c.base(from)}, Seen{Version: c.base(to)})
		}
	}
	remove := func(name string) func() error {
		return func() error { return c.s.Remove(c.key(name), Seen{Version: c.base(name)}) }
	}
	mode := fileAttr()
	mode.SetMode(attr.TypeFile | 0o600)
	big := noise(20000, 7)
	grows := noise(17000, 8) // from small content to a staged file, in the middle of the crash test's sizes
	_ = c.step(c.store("t1", "one"), set("t1", "one")) &&
		c.step(rename("t1", "f1"), move("t1", "f1")) &&
		c.step(func() error { return c.s.SetAttr(c.key("f1"), Seen{Version: c.base("f1")}, Rest{}, mode) }, func(world) {}) &&
		c.step(c.store("f1", big), set("f1", big)) &&
		c.sync() &&
		c.step(c.store("d/x", "x"), set("d/x", "x")) &&
		c.step(func() error { return c.s.Sync(ctx, c.key("d/x")) }, func(world) {}) &&
		c.step(c.store("d/y", big), set("d/y", big)) &&
		c.step(c.edit("old", "EDIT", 3), func(w world) { w[c.key("old")] = "oldEDITld!" }) &&
		c.step(c.store("f1", "again"), set("f1", "again")) &&
		c.step(remove("f1"), func(w world) { delete(w, c.key("f1")) }) &&
		c.step(c.store("g", grows[:9000]), set("g", grows[:9000])) &&
		c.sync() &&
		c.step(c.edit("g", grows[9000:], 9000), set("g", grows)) &&
		c.step(rename("g", "h"), move("g", "h")) &&
		c.step(c.store("f1", "third"), set("f1", "third")) &&
		c.step(func() error { return c.s.RenameTree(ctx, c.key("d/"), c.key("e/"), Seen{}) }, move("d/", "e/")) &&
		c.step(rename("old", "e/old"), move("old", "e/old")) &&
		c.step(remove("e/x"), func(w world) { delete(w, c.key("e/x")) }) &&
		c.step(func() error { return c.s.SyncTree(ctx, c.key("e/")) }, func(world) {}) &&
		c.sync()
}

// crash runs the steps, stops the disk at its k-th change, and recovers from what a crash leaves; false:
// there is no k-th change.
func crash(t *testing.T, r *rig, k int, power bool) bool {
	prefix := Key(fmt.Sprintf("k%d-%v/", k, power))
	c := &crashRun{r: r, prefix: prefix, mem: disktest.New(), worlds: []world{{prefix + "old": "oldoldold!"}}}
	r.put(string(prefix)+"old", "oldoldold!")
	opt := r.opt
	opt.Disk, opt.Delay = c.mem, time.Millisecond
	opt.Bucket = patient{r.bucket}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c.mem.StopAt(k, stop)
	var err error
	if c.s, err = Open(t.Context(), opt); err == nil {
		c.run(ctx)
		c.s.cancel()
		c.s.wg.Wait()
	}
	if !c.mem.Stopped() {
		_ = c.s.Close(t.Context())
		return false
	}
	opt.Disk = c.mem.Killed()
	if power {
		opt.Disk = c.mem.PowerCut(rand.New(rand.NewPCG(uint64(k), 2)))
	}
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatalf("k=%d: open after the crash: %v", k, err)
	}
	defer s.Close(context.Background())
	fctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := s.Flush(fctx, "", nil); err != nil {
		t.Fatalf("k=%d: flush after the crash: %v; %+v", k, err, s.Status())
	}
	c.compare(t, k, power)
	return true
}

// compare looks into the bucket: each key has what it had after the last acknowledged step, or what the
// failed one was to give it; after a loss of power, what it had since the last sync.
func (c *crashRun) compare(t *testing.T, k int, power bool) {
	first := len(c.worlds) - 1
	if power {
		first = c.synced
	}
	allowed := slices.Clone(c.worlds[first:])
	if c.failed != nil {
		allowed = append(allowed, c.failed)
	}
	keys := make(map[Key]bool)
	for _, w := range c.worlds {
		for key := range w {
			keys[key] = true
		}
	}
	for _, key := range c.r.server.Keys(ossservertest.Bucket) {
		if strings.HasPrefix(key, string(c.prefix)) {
			keys[Key(key)] = true
		}
	}
	for key := range keys {
		allowed := allowed
		for other := range keys {
			if power && strings.HasPrefix(string(other), string(key)+".conflict-") {
				allowed = c.worlds // which of two is newer could not be known: both are kept
			}
		}
		got, there := c.r.body(string(key))
		ok := power && strings.Contains(string(key), ".conflict-")
		for _, w := range allowed {
			want, present := w[key]
			ok = ok || present == there && want == got
		}
		if c.failed != nil { // written to, and never closed: any part of it
			least := 0
			if c.edited {
				least = len(c.worlds[len(c.worlds)-1][key])
			}
			ok = ok || there && strings.HasPrefix(c.failed[key], got) && len(got) >= least
		}
		if !ok {
			t.Errorf("k=%d power=%v: %s has %d bytes %.20q (%v); step %d, synced %d; wanted %.20q", k, power, key, len(got), got, there, len(c.worlds), c.synced, allowed[0][key])
		}
	}
}

// patient sees every request through, so that none has its effect after the next process has begun.
type patient struct{ *ossclient.Bucket }

func (p patient) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	return p.Bucket.Put(context.WithoutCancel(ctx), q)
}

func (p patient) Copy(ctx context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	return p.Bucket.Copy(context.WithoutCancel(ctx), q)
}

func (p patient) DeleteMany(ctx context.Context, keys []Key) error {
	return p.Bucket.DeleteMany(context.WithoutCancel(ctx), keys)
}

// With every content in a staged file, with content that is small at first, and with all of it small.
func TestCrashAtEveryChange(t *testing.T) {
	for _, power := range []bool{false, true} {
		for _, small := range []int64{-1, 10000, 0} {
			t.Run(fmt.Sprintf("%s/small=%d", map[bool]string{false: "kill", true: "power"}[power], small), func(t *testing.T) {
				r := newRig(t)
				r.opt.smallMost = small
				k := 0
				for ; crash(t, r, k, power); k++ {
				}
				t.Logf("%d changes", k)
				if k < 30 {
					t.Errorf("only %d changes of the disk", k)
				}
			})
		}
	}
}
