package writeback

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
)

var errCodec = errors.New("writeback: a record of the journal is malformed")

// encoder appends values to buf.
type encoder struct{ buf []byte }

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)   { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) byte(v byte)   { e.buf = append(e.buf, v) }
func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

// decoder takes values from the front of buf; after the first that is not there, bad is set and every
// value is zero.
type decoder struct {
	buf []byte
	bad bool
}

func (d *decoder) fail() { d.buf, d.bad = nil, true }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.buf) == 0 {
		d.fail()
		return 0
	}
	b := d.buf[0]
	d.buf = d.buf[1:]
	return b
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.buf)) {
		d.fail()
		return ""
	}
	s := string(d.buf[:n])
	d.buf = d.buf[n:]
	return s
}

// The parts of an Attr that are present.
const (
	attrRdev = 1 << iota
	attrXattr
	attrMeta
	attrHeaders
)

// packAttr makes the short form in which an Attr is kept in memory and in the journal.
func packAttr(a *attr.Attr) string {
	e := encoder{make([]byte, 0, 64)}
	var parts byte
	headers := a.ContentType != "" || a.ContentEncoding != "" || a.ContentDisposition != "" || a.ContentLanguage != "" ||
		a.CacheControl != "" || a.Expires != "" || a.StorageClass != ""
	for i, on := range [...]bool{a.Rdev != 0, len(a.Xattr) > 0, len(a.Meta) > 0, headers} {
		if on {
			parts |= 1 << i
		}
	}
	e.byte(byte(a.Has))
	e.byte(parts)
	e.uint(uint64(a.Mode))
	e.uint(uint64(a.UID))
	e.uint(uint64(a.GID))
	for _, t := range []struct {
		has attr.Has
		t   time.Time
	}{{attr.HasMtime, a.Mtime}, {attr.HasAtime, a.Atime}, {attr.HasCtime, a.Ctime}} {
		if a.Has&t.has != 0 {
			e.int(t.t.Unix())
			e.uint(uint64(t.t.Nanosecond()))
		}
	}
	if parts&attrRdev != 0 {
		e.uint(uint64(a.Rdev))
	}
	if parts&attrXattr != 0 {
		e.uint(uint64(len(a.Xattr)))
		for _, name := range slices.Sorted(maps.Keys(a.Xattr)) {
			e.string(name)
			e.string(string(a.Xattr[name]))
		}
	}
	if parts&attrMeta != 0 {
		e.uint(uint64(len(a.Meta)))
		for _, name := range slices.Sorted(maps.Keys(a.Meta)) {
			e.string(name)
			e.string(a.Meta[name])
		}
	}
	if parts&attrHeaders != 0 {
		for _, s := range attrStrings(a) {
			e.string(*s)
		}
	}
	return string(e.buf)
}

func attrStrings(a *attr.Attr) []*string {
	return []*string{&a.ContentType, &a.ContentEncoding, &a.ContentDisposition, &a.ContentLanguage, &a.CacheControl, &a.Expires, &a.StorageClass}
}

// unpackAttr is the inverse of packAttr.
func unpackAttr(s string) (attr.Attr, error) {
	if s == "" { // of what shall be absent
		return attr.Attr{}, nil
	}
	d := decoder{buf: []byte(s)}
	var a attr.Attr
	a.Has = attr.Has(d.byte())
	parts := d.byte()
	a.Mode, a.UID, a.GID = uint32(d.uint()), uint32(d.uint()), uint32(d.uint())
	for _, t := range []struct {
		has attr.Has
		t   *time.Time
	}{{attr.HasMtime, &a.Mtime}, {attr.HasAtime, &a.Atime}, {attr.HasCtime, &a.Ctime}} {
		if a.Has&t.has != 0 {
			sec := d.int()
			*t.t = time.Unix(sec, int64(d.uint()))
		}
	}
	if parts&attrRdev != 0 {
		a.Rdev = uint32(d.uint())
	}
	if parts&attrXattr != 0 {
		a.Xattr = make(map[string][]byte)
		for n := d.uint(); n > 0 && !d.bad; n-- {
			name := d.string()
			a.Xattr[name] = []byte(d.string())
		}
	}
	if parts&attrMeta != 0 {
		a.Meta = make(map[string]string)
		for n := d.uint(); n > 0 && !d.bad; n-- {
			name := d.string()
			a.Meta[name] = d.string()
		}
	}
	if parts&attrHeaders != 0 {
		for _, p := range attrStrings(&a) {
			*p = d.string()
		}
	}
	if d.bad {
		return attr.Attr{}, errCodec
	}
	return a, nil
}
