package namespace

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// What objects without attributes have.
const (
	defaultFileMode = 0o644
	defaultDirMode  = 0o755
)

// fakeBucket is a bucket in memory. Its List sees the keys when it begins; then it calls between, if set,
// and returns what it saw: what happens between is what a request under way may miss.
type fakeBucket struct {
	mu       sync.Mutex // guards the fields below
	objects  map[ossclient.Key]ossclient.Object
	bodies   map[ossclient.Key]string
	requests map[string]int
	version  int
	between  func()
	latency  time.Duration
	pageKeys int // in a page of a listing; 0: as many as OSS gives
}

func newFakeBucket() *fakeBucket {
	return &fakeBucket{objects: map[ossclient.Key]ossclient.Object{}, bodies: map[ossclient.Key]string{}, requests: map[string]int{}}
}

// put stores an object with a mode and a body, and returns it.
func (b *fakeBucket) put(key ossclient.Key, body string, mode uint32) ossclient.Object {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	o := ossclient.Object{
		Version: ossclient.Version{Key: key, ETag: ossclient.ETag(fmt.Sprintf("%032X", b.version)), Size: int64(len(body))},
		Type:    ossclient.Normal, StorageClass: "Standard", LastModified: time.Now().Truncate(time.Second),
	}
	if mode != 0 {
		o.Metadata.User = map[string]string{"mode": strconv.Itoa(int(mode))}
	}
	b.objects[key], b.bodies[key] = o, body
	return o
}

func (b *fakeBucket) remove(key ossclient.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	delete(b.bodies, key)
}

// count returns how many requests of an operation there were, and forgets them.
func (b *fakeBucket) count(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.requests[op]
	b.requests[op] = 0
	return n
}

func (b *fakeBucket) begin(ctx context.Context, op string) error {
	b.mu.Lock()
	b.requests[op]++
	latency := b.latency
	b.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (b *fakeBucket) end() {
	b.mu.Lock()
	f := b.between
	b.mu.Unlock()
	if f != nil {
		f()
	}
}

func (b *fakeBucket) Head(ctx context.Context, key ossclient.Key) (ossclient.Object, error) {
	if err := b.begin(ctx, "Head"); err != nil {
		return ossclient.Object{}, err
	}
	b.mu.Lock()
	o, ok := b.objects[key]
	b.mu.Unlock()
	b.end()
	if !ok {
		return o, &ossclient.Error{Op: "HeadObject", Key: key, Kind: fs.ErrNotExist}
	}
	return o, nil
}

func (b *fakeBucket) GetSymlink(context.Context, ossclient.Key) (string, ossclient.Object, error) {
	return "", ossclient.Object{}, ossclient.ErrUnsupported
}

func (b *fakeBucket) Get(context.Context, ossclient.GetRequest) (*ossclient.Body, error) {
	return nil, ossclient.ErrUnsupported
}

func (b *fakeBucket) List(ctx context.Context, r ossclient.ListRequest) (ossclient.Page, error) {
	if err := b.begin(ctx, "List"); err != nil {
		return ossclient.Page{}, err
	}
	b.mu.Lock()
	keys := make([]string, 0, len(b.objects))
	for k := range b.objects {
		if strings.HasPrefix(string(k), string(r.Prefix)) {
			keys = append(keys, string(k))
		}
	}
	sort.Strings(keys)
	limit := cmp.Or(b.pageKeys, pageKeys)
	if r.MaxKeys > 0 {
		limit = min(limit, r.MaxKeys)
	}
	after := string(max(ossclient.Key(r.Token), r.StartAfter))
	var p ossclient.Page
	last, rolled := "", ""
	for _, k := range keys {
		shown := k
		if i := strings.Index(k[len(r.Prefix):], "/"); r.Delimiter != "" && i >= 0 {
			shown = k[:len(r.Prefix)+i+1]
		}
		if k <= after || shown != k && (shown == rolled || r.Token != "" && shown <= after) {
			continue
		}
		if len(p.Objects)+len(p.Prefixes) == limit {
			p.Next = last
			break
		}
		last = shown
		if shown == k && (r.Delimiter == "" || !strings.HasSuffix(k, "/") || k == string(r.Prefix)) {
			o := b.objects[ossclient.Key(k)]
			o.Metadata = ossclient.Metadata{}
			p.Objects = append(p.Objects, o)
			continue
		}
		rolled = shown
		p.Prefixes = append(p.Prefixes, ossclient.Key(shown))
	}
	b.mu.Unlock()
	b.end()
	return p, nil
}

// fakeOverlay is an overlay in memory.
type fakeOverlay struct {
	mu     sync.Mutex // guards the field below
	states map[ossclient.Key]State
}

func newFakeOverlay() *fakeOverlay { return &fakeOverlay{states: map[ossclient.Key]State{}} }

func (o *fakeOverlay) set(st State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.states[st.Key] = st
}

func (o *fakeOverlay) drop(key ossclient.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.states, key)
}

func (o *fakeOverlay) Lookup(key ossclient.Key) (State, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st, ok := o.states[key]
	return st, ok
}

func (o *fakeOverlay) Overlay(dir, from ossclient.Key, limit int) []Item {
	o.mu.Lock()
	defer o.mu.Unlock()
	byName := map[ossclient.Key]Item{}
	for k, st := range o.states {
		if !strings.HasPrefix(string(k), string(dir)) || k == dir || k < dir+from {
			continue
		}
		name := ossclient.Key(childSort(dir, k))
		it := byName[name]
		it.Name, it.Dir = name, strings.HasSuffix(string(name), "/")
		if dir+name == k {
			it.State = st
		}
		byName[name] = it
	}
	var items []Item
	for _, it := range byName {
		items = append(items, it)
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Name < items[j].Name })
	return items[:min(limit, len(items))]
}

func (o *fakeOverlay) Now() writeback.Moment { return 0 }

func (o *fakeOverlay) Below(prefix ossclient.Key) (present, absent int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, st := range o.states {
		switch {
		case !strings.HasPrefix(string(k), string(prefix)) || k == prefix:
		case st.Kind == Absent:
			absent++
		default:
			present++
		}
	}
	return present, absent
}

// world is a bucket, an overlay and a tree of both.
type world struct {
	bucket  *fakeBucket
	overlay *fakeOverlay
	tree    *Tree
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	index, err := cache.OpenIndex("", 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{bucket: newFakeBucket(), overlay: newFakeOverlay()}
	o := Options{Bucket: w.bucket, Overlay: w.overlay, Index: index, TTL: time.Minute, Defaults: attr.Defaults{FileMode: defaultFileMode, DirMode: defaultDirMode}}
	if change != nil {
		change(&o)
	}
	w.tree = New(o)
	return w
}

func (w *world) close(t testing.TB) {
	t.Helper()
	w.tree.Close()
	if err := w.tree.o.Index.Close(); err != nil {
		t.Error(err)
	}
}

// create stages a file or directory.
func (w *world) create(key ossclient.Key, body string, mode uint32) {
	var a attr.Attr
	a.SetMode(mode)
	w.overlay.set(State{Key: key, Kind: Content, Attr: a, Size: int64(len(body)), Target: body})
}

// chmod stages other attributes of what only the bucket has; false: there is no such thing.
func (w *world) chmod(key ossclient.Key, mode uint32) bool {
	w.bucket.mu.Lock()
	o, ok := w.bucket.objects[key]
	w.bucket.mu.Unlock()
	if _, staged := w.overlay.Lookup(key); staged || !ok {
		return false
	}
	st := State{Key: key, Kind: Attributes, Base: o.Version, Size: o.Size}
	st.Attr.SetMode(mode)
	w.overlay.set(st)
	return true
}

// removeOwn stages the absence of a key.
func (w *world) removeOwn(key ossclient.Key) { w.overlay.set(State{Key: key, Kind: Absent}) }

// send makes the bucket have what is staged for key.
func (w *world) send(key ossclient.Key) {
	if w.confirm(key) {
		w.overlay.drop(key)
	}
}

// confirm is the first half of send: the overlay has the state for a while yet. It says whether there is one.
func (w *world) confirm(key ossclient.Key) bool {
	st, ok := w.overlay.Lookup(key)
	if !ok {
		return false
	}
	c := Confirmation{Key: key, Attr: st.Attr, Target: st.Target}
	switch st.Kind {
	case Absent:
		w.bucket.remove(key)
		c.Deleted = true
	case Attributes: // a copy to itself
		w.bucket.mu.Lock()
		body := w.bucket.bodies[key]
		w.bucket.mu.Unlock()
		c.Object = w.bucket.put(key, body, st.Attr.Mode)
	default:
		c.Object = w.bucket.put(key, st.Target, st.Attr.Mode)
	}
	w.tree.Confirmed(c)
	return true
}

// entries lists a whole directory.
func (w *world) entries(ctx context.Context, dir ossclient.Key) ([]Entry, error) {
	c := w.tree.List(ctx, dir, "")
	defer c.Close()
	var list []Entry
	for {
		e, err := c.Next(ctx)
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
}

// merged is the keys that should be seen.
func (w *world) merged() map[ossclient.Key]sight {
	all := map[ossclient.Key]sight{}
	w.bucket.mu.Lock()
	for k, o := range w.bucket.objects {
		mode, err := strconv.ParseUint(o.Metadata.User["mode"], 10, 32)
		switch {
		case err == nil:
		case isDirKey(k):
			mode = defaultDirMode
		default:
			mode = defaultFileMode
		}
		all[k] = sight{o.Size, uint32(mode) & attr.PermMask}
	}
	w.bucket.mu.Unlock()
	w.overlay.mu.Lock()
	for k, st := range w.overlay.states {
		s, there := all[k]
		if st.Kind == Content || !there {
			s.size = st.Size
		}
		if all[k] = (sight{s.size, st.Attr.Mode & attr.PermMask}); st.Kind == Absent {
			delete(all, k)
		}
	}
	w.overlay.mu.Unlock()
	return all
}
