package cache

import (
	"encoding/binary"
	"encoding/hex"
	"sort"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// Row is one child of a directory as a listing shows it: an object, or a common prefix. Rows are in
// the order of [Row.Sort], which is the order of the keys.
type Row struct {
	Component    string
	Dir          bool // the common prefix Component + "/"; the fields below are empty
	ETag         ossclient.ETag
	Size         int64 // bytes
	LastModified time.Time
	Type         ossclient.ObjectType
	StorageClass string
}

// Sort is the key of the row, below its directory.
func (r *Row) Sort() string {
	if r.Dir {
		return r.Component + "/"
	}
	return r.Component
}

// RowOf is the row of an object whose component is given.
func RowOf(component string, o *ossclient.Object) Row {
	return Row{Component: component, ETag: o.ETag, Size: o.Size, LastModified: o.LastModified, Type: o.Type, StorageClass: o.StorageClass}
}

// Object is the row as an object with the given key.
func (r *Row) Object(key ossclient.Key) ossclient.Object {
	return ossclient.Object{
		Version: ossclient.Version{Key: key, ETag: r.ETag, Size: r.Size}, LastModified: r.LastModified, Type: r.Type, StorageClass: r.StorageClass,
	}
}

// Same says whether two rows show the same version of the same thing.
func (r *Row) Same(o *Row) bool {
	return r.Component == o.Component && r.Dir == o.Dir && r.ETag == o.ETag && r.Size == o.Size && r.LastModified.Equal(o.LastModified) && r.Type == o.Type
}

// Listing is all that the bucket said of one directory, packed into few bytes a row. It is immutable.
type Listing struct {
	Dir   ossclient.Key
	Asked time.Time // when the first request for it was sent
	Self  *Row      // the directory's own object, when there is one

	rows  []byte
	start []uint32 // where each row begins
	pages []page
}

// page says when the request was sent that gave the rows from first on, by the caller's own clock.
type page struct {
	first int
	began uint64
}

// Len is the number of rows.
func (l *Listing) Len() int { return len(l.start) }

// At is the i-th row.
func (l *Listing) At(i int) Row { return unpack(l.rows[l.start[i]:]) }

// Began says when the request was sent that showed the i-th row, or would have shown one there.
func (l *Listing) Began(i int) uint64 {
	n := sort.Search(len(l.pages), func(n int) bool { return l.pages[n].first > i })
	return l.pages[max(n-1, 0)].began
}

// First is when the earliest of its requests was sent.
func (l *Listing) First() uint64 { return l.pages[0].began }

// Seek is the number of rows that come before sort, in order.
func (l *Listing) Seek(sortKey string) int {
	return sort.Search(len(l.start), func(i int) bool {
		name, dir := unpackName(l.rows[l.start[i]:])
		return compareSort(name, dir, sortKey) >= 0
	})
}

// compareSort compares a row's order to a key without making the row's string.
func compareSort(name []byte, dir bool, sortKey string) int {
	n := min(len(name), len(sortKey))
	if a, b := string(name[:n]), sortKey[:n]; a != b {
		if a < b {
			return -1
		}
		return 1
	}
	if dir && len(sortKey) > n {
		if c := sortKey[n]; c != '/' {
			return int('/') - int(c)
		}
		return n + 1 - len(sortKey)
	}
	size := len(name)
	if dir {
		size++
	}
	return size - len(sortKey)
}

// Find is the row of a component, as a directory or as a file, and where it is or would be.
func (l *Listing) Find(component string, dir bool) (row Row, at int, ok bool) {
	sortKey := component
	if dir {
		sortKey += "/"
	}
	at = l.Seek(sortKey)
	if at == l.Len() {
		return Row{}, at, false
	}
	row = l.At(at)
	return row, at, row.Component == component && row.Dir == dir
}

// Bytes is the memory it takes.
func (l *Listing) Bytes() int64 {
	return int64(len(l.rows)+4*len(l.start)+16*len(l.pages)+len(l.Dir)) + 256
}

// Builder makes a Listing from the pages of one.
type Builder struct{ l Listing }

// NewBuilder begins the listing of dir that was asked for at the given time.
func NewBuilder(dir ossclient.Key, asked time.Time) *Builder {
	return &Builder{Listing{Dir: dir, Asked: asked}}
}

// Page begins the rows of a page whose request was sent at began. A listing has at least one.
func (b *Builder) Page(began uint64) {
	b.l.pages = append(b.l.pages, page{len(b.l.start), began})
}

// Add appends a row; rows come in order.
func (b *Builder) Add(r *Row) {
	b.l.start = append(b.l.start, uint32(len(b.l.rows)))
	b.l.rows = r.pack(b.l.rows)
}

// Self sets the directory's own object.
func (b *Builder) Self(r Row) { b.l.Self = &r }

// Bytes is the memory taken so far.
func (b *Builder) Bytes() int64 { return b.l.Bytes() }

// Part is what was built so far; the builder goes on.
func (b *Builder) Part() *Listing {
	l := b.l
	return &l
}

// Listing is what was built; the builder is not used again.
func (b *Builder) Listing() *Listing {
	l := b.l
	if cap(l.rows)-len(l.rows) > len(l.rows)/8 {
		l.rows = append(make([]byte, 0, len(l.rows)), l.rows...)
		l.start = append(make([]uint32, 0, len(l.start)), l.start...)
	}
	return &l
}

// The bits of a packed row's first byte.
const (
	packedDir  = 1 << 0
	packedHex  = 1 << 1 // the ETag is upper-case hex of 16 bytes, and kept as these
	packedText = 1 << 2 // Type or StorageClass is not the usual one, and follows
)

func (r *Row) pack(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(len(r.Component)))
	b = append(b, r.Component...)
	if r.Dir {
		b[at] = packedDir
		return b
	}
	b = binary.AppendUvarint(b, uint64(r.Size))
	b = binary.AppendVarint(b, r.LastModified.Unix())
	if raw, ok := hexETag(string(r.ETag)); ok {
		b[at] |= packedHex
		b = append(b, raw[:]...)
	} else {
		b = appendText(b, string(r.ETag))
	}
	if r.Type != ossclient.Normal || r.StorageClass != standard {
		b[at] |= packedText
		b = appendText(appendText(b, string(r.Type)), r.StorageClass)
	}
	return b
}

const standard = "Standard"

func hexETag(s string) (raw [16]byte, ok bool) {
	if len(s) != 32 {
		return raw, false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return raw, false
		}
	}
	_, err := hex.Decode(raw[:], []byte(s))
	return raw, err == nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func readText(b []byte) (s []byte, rest []byte) {
	n, k := binary.Uvarint(b)
	return b[k : k+int(n)], b[k+int(n):]
}

func unpackName(b []byte) (name []byte, dir bool) {
	name, _ = readText(b[1:])
	return name, b[0]&packedDir != 0
}

const upperHex = "0123456789ABCDEF"

func unpack(b []byte) Row {
	flags := b[0]
	name, b := readText(b[1:])
	r := Row{Component: string(name)}
	if flags&packedDir != 0 {
		r.Dir = true
		return r
	}
	size, k := binary.Uvarint(b)
	b = b[k:]
	sec, k := binary.Varint(b)
	b = b[k:]
	r.Size, r.LastModified = int64(size), time.Unix(sec, 0)
	if flags&packedHex != 0 {
		var text [32]byte
		for i, c := range b[:16] {
			text[2*i], text[2*i+1] = upperHex[c>>4], upperHex[c&15]
		}
		r.ETag, b = ossclient.ETag(text[:]), b[16:]
	} else {
		var etag []byte
		etag, b = readText(b)
		r.ETag = ossclient.ETag(etag)
	}
	r.Type, r.StorageClass = ossclient.Normal, standard
	if flags&packedText != 0 {
		typ, b := readText(b)
		class, _ := readText(b)
		r.Type, r.StorageClass = ossclient.ObjectType(typ), string(class)
	}
	return r
}
