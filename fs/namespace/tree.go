package namespace

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// Bucket is what the tree asks of the bucket.
type Bucket interface {
	Head(ctx context.Context, key ossclient.Key) (ossclient.Object, error)
	List(ctx context.Context, r ossclient.ListRequest) (ossclient.Page, error)
	GetSymlink(ctx context.Context, key ossclient.Key) (target string, o ossclient.Object, err error)
	Get(ctx context.Context, r ossclient.GetRequest) (*ossclient.Body, error)
}

// Overlay is what the bucket does not have yet: a *writeback.Store. None of it waits for the network.
type Overlay interface {
	Lookup(key ossclient.Key) (State, bool)
	Overlay(dir, from ossclient.Key, limit int) []Item
	Below(prefix ossclient.Key) (present, absent int)
	Now() writeback.Moment
}

// Options are what a Tree is made of. Bucket, Overlay and Index are required.
type Options struct {
	Bucket   Bucket
	Overlay  Overlay
	Index    *cache.Index
	Root     ossclient.Key // the directory that is shown: "" or "pre/fix/"
	Defaults attr.Defaults
	TTL      time.Duration // how long what the bucket said is believed
	NoHead   bool          // objects that the index does not know are shown with the defaults
	Logger   *slog.Logger  // nil: slog.Default()
	Changed  func(Change)  // hears what others changed; called with no lock held; may be nil
	Memory   int64         // bytes for listings; 0: DefaultMemory
}

const (
	// DefaultMemory is the size in bytes of the listings kept in memory.
	DefaultMemory = 128 << 20
	// headsAtOnce is how many objects are asked for their attributes at once.
	headsAtOnce = 64
	// recentsKept bounds the number of confirmations kept.
	recentsKept = 1 << 16
	// recentsExtra is how much longer than the TTL they are kept: as long as a request may be on its way.
	recentsExtra = 2 * time.Minute
)

// Tree is the merged view of a bucket and an overlay. Its methods are safe for concurrent use.
type Tree struct {
	o         Options
	listings  *cache.Listings
	recents   recents
	refreshes refreshes
	born      time.Time
	now       func() time.Time
	ctx       context.Context // of the requests; ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup // the goroutines of the tree
	flights   singleflight.Group
	heads     heads
	seen      seen
	counts    counts
	walks     walks
	spans     spans
	checks    checks
	trails    trails

	hits, misses atomic.Int64 // of fresh
}

// New makes a Tree. Nothing is asked yet.
func New(o Options) *Tree {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	t := &Tree{o: o, listings: cache.NewListings(o.Memory), born: time.Now(), now: time.Now}
	t.recents.limit = recentsKept
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.heads = newHeads()
	return t
}

// Close ends the requests under way and waits for them. Cursors must have been closed.
func (t *Tree) Close() {
	t.cancel()
	t.work.Wait()
}

// Root is the mount's top directory. It always exists.
func (t *Tree) Root() Entry {
	e := Entry{Key: t.o.Root, Dir: true, Marker: true, Until: t.now().Add(t.o.TTL)}
	e.Attr = t.o.Defaults.Fill(attr.Attr{}, attr.TypeDir, t.born)
	return e
}

// Child is the key of something to be made in dir. The error is names.ErrTooLong or names.ErrInvalid, the
// latter also for a short form of a name, or the name of a file beside a directory, unless a lookup has just
// said what it stands for, and that the directory is there.
func (t *Tree) Child(dir ossclient.Key, name string, isDir bool) (ossclient.Key, error) {
	ref, err := names.In(dir).Parse(name)
	if err != nil {
		return "", err
	}
	component := ref.Component
	if ref.Kind != names.Plain {
		var ok bool
		if component, ok = t.seen.get(dir, name); !ok || isDir && ref.Kind != names.Long {
			return "", names.ErrInvalid
		}
	}
	key := names.Join(dir, component, isDir)
	return key, names.Check(key)
}

// Confirmed takes in what the bucket said to a change of ours. It is called before the overlay drops the
// state, with no lock of the overlay's held.
func (t *Tree) Confirmed(c Confirmation) {
	known := t.complete(&c)
	kept := c
	kept.Object.Metadata = ossclient.Metadata{ContentType: c.Object.Metadata.ContentType} // Attr says the rest: many of them are kept
	t.recents.add(kept, known, t.now(), t.o.TTL+recentsExtra)                             // before the index has it: see remember
	switch {
	case c.Deleted, !known:
		t.o.Index.Delete(c.Key)
	default:
		id := cache.IdentityOf(&c.Object)
		id.Approximate = !c.Exact
		t.o.Index.Put(c.Key, id, cache.Record{Attr: c.Attr, Target: c.Target, CRC64: c.Object.CRC64, HasCRC64: c.Object.HasCRC64})
	}
}

// complete finds what is stored with a copy that a rename made: it is what the index knows of the source. It says
// false when nobody knows, or knows where a link leads, so that the bucket has to be asked.
func (t *Tree) complete(c *Confirmation) bool {
	switch copied := c.Source.ETag != ""; {
	case c.Deleted:
		return true
	case copied && !c.SourceModified.IsZero():
		source := ossclient.Object{Version: c.Source, LastModified: c.SourceModified}
		r, ok := t.indexed(&source)
		if ok {
			c.Attr, c.Target = r.Attr, r.Target
		}
		return ok
	case copied && c.Attr.Has&attr.HasMode == 0:
		return false
	}
	return !aimless(&c.Object, &c.Attr, c.Target)
}

// indexed is what the index knows of an object.
func (t *Tree) indexed(o *ossclient.Object) (cache.Record, bool) {
	r, ok := t.o.Index.Get(o.Key, cache.IdentityOf(o))
	return r, ok && !aimless(o, &r.Attr, r.Target)
}

// aimless says whether an object is a symbolic link of which it is not known where it leads.
func aimless(o *ossclient.Object, a *attr.Attr, target string) bool {
	return a.Type() == attr.TypeLink && target == "" && !isDirKey(o.Key) && o.Size > 0 && o.Size <= maxTarget
}

// fresh is the remembered listing of dir, if it may still be believed.
func (t *Tree) fresh(dir ossclient.Key) *cache.Listing {
	l := t.listings.Get(dir)
	if l == nil || !t.believed(l) {
		t.misses.Add(1)
		return nil
	}
	t.hits.Add(1)
	return l
}

// believed says whether a listing may still be.
func (t *Tree) believed(l *cache.Listing) bool {
	return t.now().Sub(l.Asked) < t.o.TTL && !t.overtaken(l.Dir, l.First())
}

// Stats is what the listings in memory are good for.
type Stats struct {
	Listings     int64 // bytes of memory
	Hits, Misses int64 // questions for a listing that may still be believed
}

// Stats says what the listings in memory have been good for.
func (t *Tree) Stats() Stats {
	return Stats{Listings: t.listings.Bytes(), Hits: t.hits.Load(), Misses: t.misses.Load()}
}

// known is fresh, or the empty listing of a directory that the fresh listing of one above shows to be absent.
func (t *Tree) known(dir ossclient.Key) *cache.Listing {
	if l := t.fresh(dir); l != nil || dir == t.o.Root || !names.Within(t.o.Root, dir) {
		return l
	}
	parent, component := names.Split(dir)
	l := t.known(parent)
	if l == nil {
		return nil
	}
	_, at, ok := l.Find(component, true)
	if ok {
		return nil
	}
	b := cache.NewBuilder(dir, l.Asked)
	b.Page(l.Began(at))
	if l = b.Listing(); !t.believed(l) { // dir was refreshed, the one above was not
		return nil
	}
	return l
}

func isDirKey(key ossclient.Key) bool { return key == "" || names.IsDir(key) }

// gone says whether err means that there is no such object.
func gone(err error) bool { return errors.Is(err, ossclient.ErrNotExist) }

// seen remembers what the short forms of names stand for that lookups have resolved.
type seen struct {
	mu    sync.Mutex // guards the field below
	names map[string]string
}

const seenKept = 4096

func (s *seen) get(dir ossclient.Key, name string) (component string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	component, ok = s.names[string(dir)+name]
	return component, ok
}

// note remembers what the name of a file beside a directory stands for, as long as the directory is there.
func (s *seen) note(name string, key ossclient.Key, there bool) {
	dir, component := names.Split(key)
	if there {
		s.put(dir, name, component)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, string(dir)+name)
}

func (s *seen) put(dir ossclient.Key, name, component string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil || len(s.names) >= seenKept {
		s.names = make(map[string]string)
	}
	s.names[strings.Clone(string(dir)+name)] = component
}
