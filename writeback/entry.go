package writeback

import (
	"slices"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/extent"
)

// entry is the state of one key that the bucket does not have. It is immutable once it is in the map.
type entry struct {
	key     Key
	attr    string // packAttr
	body    string // content that is no staged file
	base    *ossclient.Version
	trial   *trial     // states that the bucket may have got without our knowing, the last first
	edit    *edit      // which bytes of the staged file count; nil: all
	begins  *beginning // the state that it begins with; nil: none, or not known
	seq     uint64
	since   uint64 // the seq of the oldest change that the bucket has nothing of
	rec     uint64 // the number of its record in the journal
	when    int64  // the time of that change, nanoseconds since 1970
	size    int64
	stage   uint64  // the number of its staged file; 0: none
	class   string  // of attributes: the storage class of base, when known; not journaled, since it can be asked for
	baseSum *uint64 // of attributes: the CRC-64 of base, when known; not journaled: who has base open is no more after a crash
	after   bool    // it must be durable before it is sent: it took the place of a state that a loss of power may bring back; not journaled
	copied  bool    // of an absence: a rename has just copied base, as it was; not journaled: the next process looks what is there
	sum     uint64  // CRC-64 of the staged file, with flagSum
	kind    Kind
	flags   flags
}

type flags uint8

const (
	flagDirty   flags = 1 << iota // written to since it was last committed: not to be sent unless asked
	flagUnknown                   // what the bucket has at key is not known: no conflict can be seen
	flagSuspect                   // a loss of power may have taken later states, or the key was left by a rename: look before sending
	flagSum                       // sum is known: of the whole content
	flagPart                      // sum is known: of the dirty bytes, one range after the other
	flagKept                      // with flagDirty: what was last committed is still there, it was only added to
	flagAnew                      // with flagDirty: nothing was committed since the key was absent, which the bucket does not know yet
)

// edit describes a staged file that holds only a part of its content: what is not in dirty and lies
// before limit is as in the base.
type edit struct {
	dirty extent.Set
	limit int64
}

// trial is content that was sent, and of which no answer is known yet. When the bucket turns out to have
// it, nobody else has changed the object.
type trial struct {
	seq   uint64 // of the state
	size  int64
	sum   uint64
	older *trial // what was sent before, and may be what the bucket has; nil: nothing
}

// trialsMost is how many of a key's trials are remembered.
const trialsMost = 4

func (t *trial) is(o *ossclient.Object) bool {
	return t != nil && o.HasCRC64 && o.CRC64 == t.sum && o.Size == t.size
}

// any says whether an object is what was sent at any time.
func (t *trial) any(o *ossclient.Object) bool { return t.find(o) != nil }

// find is the last trial that an object is what was sent in; nil: none.
func (t *trial) find(o *ossclient.Object) *trial {
	for ; t != nil; t = t.older {
		if t.is(o) {
			return t
		}
	}
	return nil
}

// over is t with the older ones behind it, each content once.
func (t *trial) over(older *trial) *trial {
	if t == nil {
		return older
	}
	list := []trial{*t}
	for ; older != nil && len(list) < trialsMost; older = older.older {
		if !slices.ContainsFunc(list, func(l trial) bool { return l.size == older.size && l.sum == older.sum }) {
			list = append(list, *older)
		}
	}
	var chain *trial
	for _, l := range slices.Backward(list) {
		l.older = chain
		chain = &l
	}
	return chain
}

// upto are the trials of states up to one.
func (t *trial) upto(seq uint64) *trial {
	if t == nil {
		return nil
	}
	older := t.older.upto(seq)
	if t.seq > seq {
		return older
	}
	return &trial{seq: t.seq, size: t.size, sum: t.sum, older: older}
}

func (e *entry) has(f flags) bool { return e.flags&f != 0 }

func (e *entry) version() ossclient.Version {
	if e.base == nil || e.base.Key != e.key {
		return ossclient.Version{Key: e.key}
	}
	return *e.base
}

// inBucket says whether the bucket has, or may have, an object at the key.
func (e *entry) inBucket() bool { return e.known() || e.has(flagUnknown) }

func (e *entry) isDir() bool { return strings.HasSuffix(string(e.key), "/") }

// settledBy are the flags that an entry loses when it is known what the bucket has at its key by our doing. A removal of what was moved away looks
// at what it deletes all the same.
func (e *entry) settledBy() flags {
	if e.kind == Absent {
		return flagUnknown
	}
	return flagUnknown | flagSuspect
}

// known says whether base is an object at the key itself. It may be another's: clean bytes of an edit
// that was saved beside the object it changed.
func (e *entry) known() bool { return e.base != nil && e.base.Key == e.key }

// attributes unpacks; the packing is our own, checked when it came from the journal.
func (e *entry) attributes() attr.Attr {
	a, err := unpackAttr(e.attr)
	if err != nil {
		panic(err)
	}
	return a
}

func (e *entry) state(open bool) State {
	return State{Key: e.key, Kind: e.kind, Attr: e.attributes(), Size: e.size, Target: e.body, Base: e.version(), Seq: e.seq, Open: open || e.has(flagDirty)}
}

func (e *entry) age(now time.Time) time.Duration { return now.Sub(time.Unix(0, e.when)) }

// staged is how many bytes of its staged file count against the stage's budget.
func (e *entry) staged() int64 {
	switch {
	case e.stage == 0:
		return 0
	case e.edit != nil:
		return e.edit.dirty.Len()
	}
	return e.size
}

// committed says whether a loss of power may bring back a state: not what was never closed.
func (e *entry) committed() bool { return !e.has(flagDirty) || e.has(flagKept|flagSum|flagPart) }

// absent is the state before one that is made anew.
func (e *entry) absent() *entry {
	return &entry{key: e.key, attr: e.attr, base: e.base, trial: e.trial, kind: Absent, flags: e.flags&flagUnknown | flagSuspect, seq: e.seq, since: e.since, rec: e.rec, when: e.when}
}

// restates says whether e says nothing else of the staged bytes than an earlier record of the same state.
func (e *entry) restates(before *entry) bool {
	same := before != nil && before.seq == e.seq && before.stage == e.stage && before.size == e.size && before.flags&flagDirty == e.flags&flagDirty
	if !same || before.edit == nil || e.edit == nil {
		return same && before.edit == e.edit
	}
	return before.edit.limit == e.edit.limit && slices.Equal(before.edit.dirty.Ranges(), e.edit.dirty.Ranges())
}

// untouched says whether it is an edit of which nothing was committed.
func (e *entry) untouched() bool {
	return e.edit != nil && e.edit.dirty.Len() == 0 && e.base != nil && e.size == e.base.Size && e.edit.limit == e.size
}

func (e *entry) clone() *entry {
	c := *e
	return &c
}

// under is a state as that of another key. What it begins with was never there: a file that is moved to its place when it is finished must not be
// seen there half done.
func (e *entry) under(key Key) *entry {
	next := e.clone()
	next.key, next.begins = key, nil
	return next
}

// onto is a state that was made of an object which is v now, by our doing.
func (e *entry) onto(v ossclient.Version) *entry {
	next := e.under(v.Key)
	next.base, next.trial = baseOf(v), nil
	next.flags &^= flagUnknown | flagSuspect
	return next
}

// baseOf keeps what the bucket has; nil for nothing.
func baseOf(v ossclient.Version) *ossclient.Version {
	if v.ETag == "" {
		return nil
	}
	return &v
}

// The parts of an entry that are present in its record.
const (
	entryBase = 1 << iota
	entryEdit
	entryStage
	entryBody
	entryTrial
	entryBeginning
)

func (c *encoder) entry(e *entry) {
	var parts byte
	if e.base != nil {
		parts |= entryBase
	}
	if e.edit != nil {
		parts |= entryEdit
	}
	if e.stage != 0 {
		parts |= entryStage
	}
	if e.body != "" {
		parts |= entryBody
	}
	if e.trial != nil {
		parts |= entryTrial
	}
	if e.begins != nil {
		parts |= entryBeginning
	}
	c.string(string(e.key))
	c.byte(byte(e.kind))
	c.byte(byte(e.flags))
	c.byte(parts)
	c.uint(e.seq)
	c.uint(e.since)
	c.int(e.when)
	c.uint(uint64(e.size))
	c.string(e.attr)
	if e.has(flagSum | flagPart) {
		c.uint(e.sum)
	}
	if parts&entryBase != 0 {
		c.string(string(e.base.Key))
		c.string(string(e.base.ETag))
		c.uint(uint64(e.base.Size))
	}
	if parts&entryStage != 0 {
		c.uint(e.stage)
	}
	if parts&entryBody != 0 {
		c.string(e.body)
	}
	if parts&entryTrial != 0 {
		c.trials(e.trial)
	}
	if parts&entryBeginning != 0 {
		c.uint(uint64(e.begins.size))
		c.uint(e.begins.sum)
	}
	if parts&entryEdit != 0 {
		c.uint(uint64(e.edit.limit))
		c.uint(uint64(e.edit.dirty.Count()))
		at := int64(0)
		for _, r := range e.edit.dirty.Ranges() {
			c.uint(uint64(r.Off - at))
			c.uint(uint64(r.Len()))
			at = r.End
		}
	}
}

func (c *encoder) trials(t *trial) {
	n := uint64(0)
	for at := t; at != nil; at = at.older {
		n++
	}
	c.uint(n)
	for ; t != nil; t = t.older {
		c.uint(t.seq)
		c.uint(uint64(t.size))
		c.uint(t.sum)
	}
}

func (d *decoder) trials() *trial {
	var first *trial
	for next, n := &first, d.uint(); n > 0 && !d.bad; n-- {
		*next = &trial{seq: d.uint(), size: int64(d.uint()), sum: d.uint()}
		next = &(*next).older
	}
	return first
}

func (d *decoder) entry() *entry {
	e := &entry{key: Key(d.string()), kind: Kind(d.byte()), flags: flags(d.byte())}
	parts := d.byte()
	e.seq, e.since, e.when, e.size = d.uint(), d.uint(), d.int(), int64(d.uint())
	e.attr = d.string()
	if e.has(flagSum | flagPart) {
		e.sum = d.uint()
	}
	if parts&entryBase != 0 {
		e.base = &ossclient.Version{Key: Key(d.string()), ETag: ossclient.ETag(d.string()), Size: int64(d.uint())}
	}
	if parts&entryStage != 0 {
		e.stage = d.uint()
	}
	if parts&entryBody != 0 {
		e.body = d.string()
	}
	if parts&entryTrial != 0 {
		e.trial = d.trials()
	}
	if parts&entryBeginning != 0 {
		e.begins = &beginning{size: int64(d.uint()), sum: d.uint()}
	}
	if parts&entryEdit != 0 {
		e.edit = &edit{limit: int64(d.uint())}
		at := int64(0)
		for n := d.uint(); n > 0 && !d.bad; n-- {
			off := at + int64(d.uint())
			at = off + int64(d.uint())
			e.edit.dirty.Add(off, at)
		}
	}
	if e.kind < Content || e.kind > Absent || e.key == "" || e.size < 0 {
		d.fail()
	}
	if _, err := unpackAttr(e.attr); err != nil {
		d.fail()
	}
	return e
}

// stagedEnd is how long its staged file is at least.
func (e *entry) stagedEnd() int64 {
	if e.edit == nil {
		return e.size
	}
	ranges := e.edit.dirty.Ranges()
	if len(ranges) == 0 {
		return 0
	}
	return ranges[len(ranges)-1].End
}
