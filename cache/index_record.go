package cache

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// A record is stored as its identity and its fields, numbers as varints and texts with their length.
// The first byte is recordFormat; what begins with another one is not understood and so not there.
const recordFormat = 1

// The bits of the second byte.
const (
	recordApproximate = 1 << 0
	recordCRC         = 1 << 1
	recordMore        = 1 << 2 // headers, extended attributes and the like follow
)

var errRecord = errors.New("a record of the index is damaged")

func encodeRecord(id *Identity, r *Record) []byte {
	a := &r.Attr
	flags := byte(0)
	if id.Approximate {
		flags |= recordApproximate
	}
	if r.HasCRC64 {
		flags |= recordCRC
	}
	more := a.Rdev != 0 || len(a.Xattr)+len(a.Meta) > 0 || a.ContentEncoding != "" || a.ContentDisposition != "" ||
		a.ContentLanguage != "" || a.CacheControl != "" || a.Expires != "" || a.StorageClass != ""
	if more {
		flags |= recordMore
	}
	b := make([]byte, 0, 128)
	b = append(b, recordFormat, flags)
	b = appendText(b, string(id.ETag))
	b = binary.AppendUvarint(b, uint64(id.Size))
	b = binary.AppendVarint(b, id.LastModified.Unix())
	b = append(b, byte(a.Has))
	b = binary.AppendUvarint(b, uint64(a.Mode))
	b = binary.AppendUvarint(b, uint64(a.UID))
	b = binary.AppendUvarint(b, uint64(a.GID))
	b = appendTime(b, a.Mtime)
	b = appendTime(b, a.Atime)
	b = appendTime(b, a.Ctime)
	b = appendText(b, a.ContentType)
	b = appendText(b, r.Target)
	if r.HasCRC64 {
		b = binary.LittleEndian.AppendUint64(b, r.CRC64)
	}
	if more {
		b = appendMore(b, a)
	}
	return b
}

func appendMore(b []byte, a *attr.Attr) []byte {
	b = binary.AppendUvarint(b, uint64(a.Rdev))
	for _, s := range []string{a.ContentEncoding, a.ContentDisposition, a.ContentLanguage, a.CacheControl, a.Expires, a.StorageClass} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(a.Xattr)))
	for _, name := range slices.Sorted(maps.Keys(a.Xattr)) {
		b = appendText(appendText(b, name), string(a.Xattr[name]))
	}
	b = binary.AppendUvarint(b, uint64(len(a.Meta)))
	for _, name := range slices.Sorted(maps.Keys(a.Meta)) {
		b = appendText(appendText(b, name), a.Meta[name])
	}
	return b
}

// appendTime writes a time, or one byte when there is none.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// recordReader reads what encodeRecord wrote. After the first fault it returns zeros and bad is set.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *recordReader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *recordReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) text() string { return string(r.take(r.uint())) }

func (r *recordReader) time() time.Time {
	if r.byte() == 0 {
		return time.Time{}
	}
	sec := r.int()
	return time.Unix(sec, int64(r.uint()))
}

// decodeIdentity reads only what tells whether the record is wanted.
func (r *recordReader) identity() (id Identity, flags byte, err error) {
	if r.byte() != recordFormat {
		return id, 0, errRecord
	}
	flags = r.byte()
	id.ETag = ossclient.ETag(r.text())
	id.Size = int64(r.uint())
	id.LastModified = time.Unix(r.int(), 0)
	id.Approximate = flags&recordApproximate != 0
	if r.bad {
		return id, 0, errRecord
	}
	return id, flags, nil
}

// decodeRecord returns the record when it is that of the object with the identity want.
func decodeRecord(b []byte, want *Identity) (rec Record, id Identity, ok bool, err error) {
	r := recordReader{b: b}
	id, flags, err := r.identity()
	if err != nil || !id.matches(*want) {
		return rec, id, false, err
	}
	a := &rec.Attr
	a.Has = attr.Has(r.byte())
	a.Mode, a.UID, a.GID = uint32(r.uint()), uint32(r.uint()), uint32(r.uint())
	a.Mtime, a.Atime, a.Ctime = r.time(), r.time(), r.time()
	a.ContentType = r.text()
	rec.Target = r.text()
	if flags&recordCRC != 0 {
		if p := r.take(8); p != nil {
			rec.CRC64, rec.HasCRC64 = binary.LittleEndian.Uint64(p), true
		}
	}
	if flags&recordMore != 0 {
		r.more(a)
	}
	if r.bad || len(r.b) != 0 {
		return Record{}, id, false, errRecord
	}
	return rec, id, true, nil
}

func (r *recordReader) more(a *attr.Attr) {
	a.Rdev = uint32(r.uint())
	for _, s := range []*string{&a.ContentEncoding, &a.ContentDisposition, &a.ContentLanguage, &a.CacheControl, &a.Expires, &a.StorageClass} {
		*s = r.text()
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		if a.Xattr == nil {
			a.Xattr = make(map[string][]byte)
		}
		name := r.text()
		a.Xattr[name] = slices.Clone(r.take(r.uint()))
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		if a.Meta == nil {
			a.Meta = make(map[string]string)
		}
		name := r.text()
		a.Meta[name] = r.text()
	}
}
