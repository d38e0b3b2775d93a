package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// change is one thing that a transaction does.
type change struct {
	kind   changeKind
	bucket string
	key    string // of deleteObject; of deleteUpload
	upload string // id, of putPart and deleteUpload
	info   *Bucket
	object *Object
	init   *Upload
	part   *Part
}

type changeKind uint8

const (
	putBucket changeKind = iota + 1
	deleteBucket
	putObject
	deleteObject
	putUpload
	putPart
	deleteUpload
)

// encoder writes changes: numbers as varints, strings with their length before them.
type encoder struct{ buf []byte }

func (e *encoder) uint(v uint64)   { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)     { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) fixed(v uint64)  { e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }
func (e *encoder) string(v string) { e.uint(uint64(len(v))); e.buf = append(e.buf, v...) }
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixNano())
}

func (e *encoder) change(c change) {
	e.buf = append(e.buf, byte(c.kind))
	e.string(c.bucket)
	switch c.kind {
	case putBucket:
		e.time(c.info.Created)
		e.string(c.info.ACL)
		e.string(c.info.Versioning)
		e.string(c.info.Class)
		e.string(c.info.Redundancy)
	case deleteObject:
		e.string(c.key)
	case putObject:
		e.object(c.object)
	case putUpload:
		e.string(c.init.ID)
		e.time(c.init.Initiated)
		e.object(&c.init.Object)
	case putPart:
		e.string(c.key)
		e.string(c.upload)
		e.part(c.part)
	case deleteUpload:
		e.string(c.key)
		e.string(c.upload)
	}
}

func (e *encoder) part(p *Part) {
	e.uint(uint64(p.Number))
	e.string(p.ETag)
	e.int(p.Size)
	e.time(p.Modified)
	e.fixed(p.CRC)
	e.content(p.Content)
}

func (e *encoder) object(o *Object) {
	e.string(o.Key)
	e.string(o.ETag)
	e.int(o.Size)
	e.time(o.Modified)
	e.string(o.Type)
	e.string(o.Class)
	e.uint(uint64(len(o.Header)))
	for _, f := range o.Header {
		e.string(f.Name)
		e.string(f.Value)
	}
	if o.Extra == nil {
		e.uint(0)
	} else {
		e.uint(1)
		e.string(o.Extra.ACL)
		e.string(o.Extra.Target)
		e.string(o.Extra.Tags)
		e.time(o.Extra.Restored)
		e.time(o.Extra.Restore)
	}
	e.fixed(o.CRC)
	e.content(o.Content)
}

func (e *encoder) content(c *Content) {
	if c == nil {
		e.uint(0)
		return
	}
	e.uint(uint64(len(c.segs)))
	for _, g := range c.segs {
		e.int(g.off)
		e.int(g.len)
		b := g.blob
		e.buf = append(e.buf, byte(b.place))
		e.int(b.size)
		switch b.place {
		case inFile:
			e.uint(b.id)
		case inPack:
			e.uint(b.pack.id)
			e.int(b.at)
		case synthetic:
			e.uint(b.seed)
		}
	}
}

var errRecord = errors.New("damaged record")

// decoder reads what encoder wrote. After the first fault every read gives zeros, and err says so.
type decoder struct {
	buf  []byte
	err  error
	load *loader // finds blobs
}

func (d *decoder) fail() {
	d.err = errRecord
	d.buf = nil
}

func (d *decoder) byte() byte {
	if len(d.buf) == 0 {
		d.fail()
		return 0
	}
	v := d.buf[0]
	d.buf = d.buf[1:]
	return v
}

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

func (d *decoder) fixed() uint64 {
	if len(d.buf) < 8 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(d.buf)
	d.buf = d.buf[8:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.buf)) {
		d.fail()
		return ""
	}
	v := string(d.buf[:n])
	d.buf = d.buf[n:]
	return v
}

// word is a string of a few that many records share.
func (d *decoder) word() string {
	n := d.uint()
	if n > uint64(len(d.buf)) {
		d.fail()
		return ""
	}
	v, ok := d.load.words[string(d.buf[:n])]
	if !ok {
		v = string(d.buf[:n])
		if len(d.load.words) < maxWords {
			d.load.words[v] = v
		}
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) time() time.Time {
	if v := d.int(); v != 0 {
		return time.Unix(0, v).UTC()
	}
	return time.Time{}
}

func (d *decoder) change() (change, error) {
	c := change{kind: changeKind(d.byte()), bucket: d.word()}
	switch c.kind {
	case putBucket:
		c.info = &Bucket{Name: c.bucket, Created: d.time(), ACL: d.string(), Versioning: d.string(), Class: d.string(), Redundancy: d.string()}
	case deleteBucket:
	case deleteObject:
		c.key = d.string()
	case putObject:
		c.object = d.object()
	case putUpload:
		c.init = &Upload{ID: d.string(), Initiated: d.time(), Object: *d.object()}
	case putPart:
		c.key, c.upload, c.part = d.string(), d.string(), d.part()
	case deleteUpload:
		c.key, c.upload = d.string(), d.string()
	default:
		if d.err == nil {
			d.err = fmt.Errorf("%w: kind %d", errRecord, c.kind)
		}
	}
	return c, d.err
}

func (d *decoder) part() *Part {
	return &Part{
		Number: int(d.uint()), ETag: d.string(), Size: d.int(), Modified: d.time(), CRC: d.fixed(), Content: d.content(),
	}
}

func (d *decoder) object() *Object {
	o := &Object{Key: d.string(), ETag: d.string(), Size: d.int(), Modified: d.time(), Type: d.word(), Class: d.word()}
	if n := d.uint(); n > 0 && n <= uint64(len(d.buf)) {
		o.Header = make([]Field, n)
		for i := range o.Header {
			o.Header[i] = Field{d.word(), d.word()}
		}
	}
	if d.uint() == 1 {
		o.Extra = &Extra{ACL: d.string(), Target: d.string(), Tags: d.string(), Restored: d.time(), Restore: d.time()}
	}
	o.CRC = d.fixed()
	o.Content = d.content()
	return o
}

func (d *decoder) content() *Content {
	n := d.uint()
	if n > uint64(len(d.buf)) {
		d.fail()
		return nil
	}
	segs := make([]segment, 0, n)
	for range n {
		g := segment{off: d.int(), len: d.int()}
		b := blob{place: place(d.byte()), size: d.int()}
		switch b.place {
		case inFile:
			b.id = d.uint()
		case inPack:
			b.id, b.at = d.uint(), d.int()
		case synthetic:
			b.seed = d.uint()
		default:
			d.fail()
		}
		if d.err != nil || g.off < 0 || g.len < 0 || b.at < 0 || b.size < 0 || g.off > b.size-g.len {
			d.fail()
			return nil
		}
		if g.blob, d.err = d.load.blob(&b); d.err != nil {
			return nil
		}
		segs = append(segs, g)
	}
	return newContent(d.load.store, segs)
}
