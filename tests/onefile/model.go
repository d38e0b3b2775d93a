package onefile

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// inode is what a file should be.
type inode struct {
	id      int
	content []byte
	base    []byte   // what is confirmed
	since   []change // what was begun after that
	mode    uint32
	reset   bool // a change of the attributes was interrupted

	// The time of the last change lies between these; exact where they are the same, without end where late is zero.
	early, late time.Time
	dirty       bool // something was stored through a mapping, which the kernel may not have written yet

	undated bool // another client's object, that says no times: a rename, which is a copy, changes them
	foreign bool // it was that once: what was done to it since may be lost with a process

	was   string // the name that it had when that was taken away
	stale bool   // the object of that name may be another's: what was in the bucket alone is ESTALE (SEMANTICS 6.4)
}

// change is one that may be half done: bytes at an offset, or a cut to a size.
type change struct {
	off   int64
	bytes []byte
	cut   bool
}

func (i *inode) size() int64 { return int64(len(i.content)) }

// begin notes a change that is about to be made.
func (i *inode) begin(c change) { i.since = append(i.since, c) }

// apply makes a change that has been made.
func (i *inode) apply(c change) { i.content = c.on(i.content) }

// confirm notes that what the file has now survives a kill.
func (i *inode) confirm() {
	if len(i.since) > 0 {
		i.base, i.since = slices.Clone(i.content), nil
	}
}

// on is a content with the change. It may use the memory of the one before.
func (c change) on(p []byte) []byte {
	if c.cut {
		if c.off <= int64(len(p)) {
			return p[:c.off]
		}
		return longer(p, c.off)
	}
	p = longer(p, c.off+int64(len(c.bytes)))
	copy(p[c.off:], c.bytes)
	return p
}

// longer is bytes that are followed by zeros up to a size.
func longer(p []byte, size int64) []byte {
	if size <= int64(len(p)) {
		return p
	}
	if had := len(p); size <= int64(cap(p)) {
		p = p[:size]
		clear(p[had:])
		return p
	}
	q := make([]byte, size, size+size/4)
	copy(q, p)
	return q
}

// mayBe says in what a content is not one that a kill may leave; "" when it is one.
func (i *inode) mayBe(got []byte) string {
	s := newStretch(i.base, got)
	wrong := s.wrong(got)
	for _, c := range i.since {
		if wrong == "" {
			return ""
		}
		if c.cut && c.off < int64(len(s.now)) {
			s = newStretch(c.on(s.now), got)
		} else {
			s.add(c, got)
		}
		wrong = s.wrong(got)
	}
	if wrong != "" {
		wrong = fmt.Sprintf("%s; %d bytes were confirmed, and %d changes made since; %s", wrong, len(i.base), len(i.since), difference(got, i.base))
	}
	return wrong
}

// stretch is the contents from one cut to the next: which bytes of what was found one of them has in that place.
type stretch struct {
	least int    // the first's size
	now   []byte // the last
	known []bool
}

func newStretch(first, got []byte) *stretch {
	s := &stretch{least: len(first), now: slices.Clone(first), known: make([]bool, len(got))}
	for i := range min(len(first), len(got)) {
		s.known[i] = got[i] == first[i]
	}
	return s
}

// add has the next content follow.
func (s *stretch) add(c change, got []byte) {
	had := int64(len(s.now))
	s.now = c.on(s.now)
	for i := had; i < int64(min(len(s.now), len(got))); i++ { // what is not written is zeros
		s.known[i] = got[i] == 0 || got[i] == s.now[i]
	}
	for i, b := range c.bytes {
		if at := c.off + int64(i); at < int64(len(got)) && got[at] == b {
			s.known[at] = true
		}
	}
}

func (s *stretch) wrong(got []byte) string {
	if len(got) < s.least {
		return fmt.Sprintf("%d bytes, want %d at least", len(got), s.least)
	}
	if at := slices.Index(s.known, false); at >= 0 {
		return fmt.Sprintf("%d bytes, and that at %d was never there", len(got), at)
	}
	return ""
}

// difference says where bytes are not what they should be; "" when they are.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	first, last, zeros, count := -1, 0, 0, 0
	for i := range min(len(got), len(want)) {
		if got[i] == want[i] {
			continue
		}
		if first < 0 {
			first = i
		}
		if last, count = i, count+1; got[i] == 0 {
			zeros++
		}
	}
	if count == 0 {
		return fmt.Sprintf("got %d bytes, want %d", len(got), len(want))
	}
	return fmt.Sprintf("got %d bytes, want %d; %d from %d to %d differ, %d of them are zero", len(got), len(want), count, first, last, zeros)
}

// touch notes that the time of the last change was set between two moments.
func (i *inode) touch(from, to time.Time) {
	i.early, i.late, i.undated = from, to, false
	if i.dirty { // the kernel writes what is mapped whenever it likes
		i.late = time.Time{}
	}
}

// moved notes that the file has another name (SEMANTICS 4.2).
func (i *inode) moved() {
	if i.undated {
		i.late = time.Time{}
	}
}

// timely says whether a time can be the one of the last change.
func (i *inode) timely(t time.Time) bool {
	return !t.Before(i.early) && (i.late.IsZero() || !t.After(i.late))
}
