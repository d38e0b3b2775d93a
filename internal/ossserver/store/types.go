package store

import (
	"sync"
	"time"

	"github.com/tidwall/btree"
)

// The types of objects, as x-oss-object-type spells them.
const (
	Normal     = "Normal"
	Multipart  = "Multipart"
	Appendable = "Appendable"
	Symlink    = "Symlink"
)

// Field is one header stored with an object, its name in canonical form.
type Field struct{ Name, Value string }

// Object is an object as it is at one moment; it is never changed after it was put.
type Object struct {
	Key      string
	ETag     string // without quotes
	Size     int64  // bytes
	Modified time.Time
	Type     string // Normal, Multipart, Appendable, Symlink
	Class    string // Standard, IA, Archive, ColdArchive, DeepColdArchive
	Header   []Field
	Extra    *Extra // what few objects have; nil: none of it
	CRC      uint64 // CRC-64/ECMA of the content; see CRC64
	Content  *Content
}

// Extra is what most objects do not have.
type Extra struct {
	ACL      string
	Target   string // a symbolic link's
	Tags     string // in the form of a URL query
	Restored time.Time
	Restore  time.Time // when a restore under way is done; zero: never asked for
}

// ACL is the object's own ACL; empty means the bucket's.
func (o *Object) ACL() string { return o.extra().ACL }

// Target is the key that a symbolic link points to.
func (o *Object) Target() string { return o.extra().Target }

// Tags are the object's tags in the form of a URL query.
func (o *Object) Tags() string { return o.extra().Tags }

// RestoreDone is when a restore is or was done; zero: never asked for.
func (o *Object) RestoreDone() time.Time { return o.extra().Restore }

// RestoredUntil is when the restored copy goes away.
func (o *Object) RestoredUntil() time.Time { return o.extra().Restored }

func (o *Object) extra() Extra {
	if o.Extra == nil {
		return Extra{}
	}
	return *o.Extra
}

// CRC64 returns the checksum of the object's bytes. That of a synthetic object is computed when it is first
// asked for, which takes time in proportion to its size.
func (o *Object) CRC64() uint64 {
	if o.Content != nil && o.Content.lazy() {
		return o.Content.syntheticCRC()
	}
	return o.CRC
}

// Bucket is a bucket's own properties.
type Bucket struct {
	Name       string
	Created    time.Time
	ACL        string // private, public-read, public-read-write
	Versioning string // empty, Enabled or Suspended
	Class      string
	Redundancy string
}

// Upload is a multipart upload under way.
type Upload struct {
	ID        string
	Initiated time.Time
	Object    Object // what the object will be: key, headers, class, extras
	parts     btree.Map[int, *Part]
}

// Part is a part of an Upload; it is never changed after it was put.
type Part struct {
	Number   int
	ETag     string
	Size     int64
	Modified time.Time
	CRC      uint64
	Content  *Content
}

// bucket is a Bucket and what it holds, guarded by Store.mu.
type bucket struct {
	Bucket
	objects *btree.BTreeG[*Object]
	uploads *btree.BTreeG[*Upload]
	bytes   int64
}

func newBucket(info Bucket) *bucket {
	return &bucket{
		Bucket:  info,
		objects: btree.NewBTreeGOptions(func(a, b *Object) bool { return a.Key < b.Key }, btree.Options{NoLocks: true}),
		uploads: btree.NewBTreeGOptions(func(a, b *Upload) bool {
			if a.Object.Key != b.Object.Key {
				return a.Object.Key < b.Object.Key
			}
			return a.ID < b.ID
		}, btree.Options{NoLocks: true}),
	}
}

// Store is what all the buckets hold. Its methods are safe for concurrent use.
type Store struct {
	disk *disk // nil: memory

	mu      sync.RWMutex // guards the fields below
	buckets map[string]*bucket
	log     *log
	closed  bool
}
