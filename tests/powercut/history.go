package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The kinds of change. Each makes a version of a file, in blocks of which each tells by its bytes which version it is of.
const (
	asNew     = 'n' // another file, renamed to the name
	truncated = 't' // made empty, and written from the beginning
	edited    = 'e' // some blocks overwritten, or all; the others stay
	appended  = 'a' // the blocks of the version before stay
	cutOff    = 'c' // so do the first of them
	removed   = 'r' // no file

	block      = 1 << 10
	smallBytes = 32 << 10 // up to here new content is in the journal
)

// version is a state of a file that a program made.
type version struct {
	kind     byte
	blocks   int
	from, to int   // those that were written
	gens     []int // of each block, the version it was written by
	closed   time.Time
	synced   bool
	sha      [sha256.Size]byte // once it was asked for
}

// history is what is known of one name: its versions in order, from 1.
type history struct {
	name     string
	most     int    // blocks of a new one
	kinds    string // of its changes; what is there twice is done twice as often
	versions []*version
	soon     bool // what is closed may be sent at once
	pressed  bool // the stage is small: what is half written may be sent, too
}

// begin adds a version of which the blocks from..to-1 are written; the others stay.
func (h *history) begin(kind byte, blocks, from, to int) *version {
	v := &version{kind: kind, blocks: blocks, from: from, to: to, gens: make([]int, blocks)}
	n := len(h.versions) + 1
	if n > 1 {
		copy(v.gens, h.versions[n-2].gens)
	}
	for i := from; i < to; i++ {
		v.gens[i] = n
	}
	h.versions = append(h.versions, v)
	return v
}

// files are those that programs change. Half of them the bucket has before the machine starts. With an even seed they are so few
// that a group syncs them one by one, with an odd seed it syncs the whole filesystem.
func files(seed uint64) []*history {
	rng := rand.New(rand.NewPCG(seed, 0))
	list := make([]*history, []int{6, 16}[seed%2])
	for i := range list {
		list[i] = &history{name: fmt.Sprintf("f%d", i), most: []int{30, 300, 1000, 5000}[rng.IntN(4)], kinds: []string{"nrctteeeaaaa", "eaaaaa"}[rng.IntN(2)]}
		if i%2 == 0 {
			blocks := 1 + rng.IntN(list[i].most)
			list[i].begin(asNew, blocks, 0, blocks).synced = true
		}
	}
	return list
}

// last is the version that programs see; nil: there is no file.
func (h *history) last() *version {
	if n := len(h.versions); n > 0 && h.versions[n-1].kind != removed {
		return h.versions[n-1]
	}
	return nil
}

// pieces are the blocks before which the writes of a change end.
func pieces(from, to int) (ends []int) {
	const piece = 16
	for at := from; at < to; {
		at = min(at+piece, to)
		if len(ends) == 0 {
			at = from + 1 // so that a program can rest after it
		}
		ends = append(ends, at)
	}
	return ends
}

// parts are the blocks before which what the kernel writes of them ends: of a page that it does not have, and that is not written from its
// beginning, it makes a request of its own.
func parts(from, to int) (ends []int) {
	const page = 4096 / block
	at := from
	for _, end := range pieces(from, to) {
		if border := (at/page + 1) * page; at%page != 0 && border < end {
			ends = append(ends, border)
		}
		ends = append(ends, end)
		at = end
	}
	return ends
}

// content is what a version's block has.
func content(name string, gen, index int) []byte {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s %d %d", name, gen, index)
	rng := rand.New(rand.NewPCG(sum.Sum64(), 1))
	p := make([]byte, 0, block)
	for len(p) < block {
		x := rng.Uint64()
		p = append(p, byte(x), byte(x>>8), byte(x>>16), byte(x>>24), byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56))
	}
	return p
}

func (h *history) body(v *version) []byte {
	p := make([]byte, 0, v.blocks*block)
	for i, gen := range v.gens {
		p = append(p, content(h.name, gen, i)...)
	}
	return p
}

func (h *history) sum(v *version) [sha256.Size]byte {
	if v.sha == ([sha256.Size]byte{}) {
		v.sha = sha256.Sum256(h.body(v))
	}
	return v.sha
}

// find is the number of the version that has a checksum, of the last one; where the stage is small also that before one that had
// it when it was half written.
func (h *history) find(sum [sha256.Size]byte) (number int, known bool) {
	for n := len(h.versions); n > 0; n-- {
		if v := h.versions[n-1]; v.kind != removed && h.sum(v) == sum {
			return n, true
		}
	}
	for n := len(h.versions); h.pressed && n > 0; n-- {
		if h.passed(n, sum) {
			return n - 1, true
		}
	}
	return 0, false
}

// passed says whether a version had a checksum when it was half written.
func (h *history) passed(n int, sum [sha256.Size]byte) bool {
	v, before := h.versions[n-1], new(version)
	if n > 1 && v.kind != asNew && v.kind != truncated {
		before = h.versions[n-2]
	}
	for _, end := range append(parts(v.from, v.to), v.from) {
		half := version{gens: slices.Concat(before.gens[:min(v.from, before.blocks)], v.gens[v.from:end], before.gens[min(end, before.blocks):])}
		if h.sum(&half) == sum {
			return true
		}
	}
	return false
}

// describe says of which versions the blocks of a body are: "139 of 5, 2 of 6, ...".
func (h *history) describe(body []byte) string {
	var b strings.Builder
	last, count := "", 0
	tell := func() {
		if count > 0 {
			fmt.Fprintf(&b, "%d of %s, ", count, last)
		}
	}
	for i := 0; i*block < len(body); i++ {
		p := body[i*block : min(i*block+block, len(body))]
		what := "none"
		if len(bytes.TrimLeft(p, "\x00")) == 0 {
			what = "zeros"
		}
		for gen := len(h.versions); gen > 0; gen-- {
			if bytes.Equal(p, content(h.name, gen, i)) {
				what = fmt.Sprint(gen)
			}
		}
		if what != last {
			tell()
			last, count = what, 0
		}
		count++
	}
	tell()
	return b.String() + fmt.Sprintf("%d bytes", len(body))
}

// gone is the number of the last version that is no file; 0: as it was at first.
func (h *history) gone() int {
	for n := len(h.versions); n > 0; n-- {
		if h.versions[n-1].kind == removed {
			return n
		}
	}
	return 0
}

// promised is the oldest version that may be found after a loss of power; 0: there may be nothing. mayBeGone says that
// the file may be gone altogether, or be as the bucket had it, which is of synced or newer: it had a staged file, and what was
// closed in it was being overwritten (docs/SEMANTICS.md, 1.2).
func (h *history) promised(cut time.Time) (oldest, synced int, mayBeGone bool) {
	for i, v := range h.versions {
		if v.synced {
			oldest, synced = i+1, i+1
		}
		if !v.closed.IsZero() && cut.Sub(v.closed) > margin {
			oldest = i + 1
		}
	}
	staged, sent := false, h.soon
	for i, v := range h.versions {
		staged = v.blocks*block > smallBytes || v.kind != asNew && (staged || sent) // what the bucket has is changed in one
		sent = sent || v.synced
		overwritten := slices.ContainsFunc(h.versions[i+1:], func(w *version) bool { return strings.ContainsRune("tec", rune(w.kind)) })
		if i+1 >= oldest && i+1 > synced && !v.closed.IsZero() && staged && overwritten {
			mayBeGone = true
		}
	}
	return oldest, synced, mayBeGone
}

// margin is how long after a close a file is not promised yet: a second, and what a slow machine and its console take.
const margin = 4 * time.Second

// verdict compares the version that was found of a name with what was promised; known is false of bytes of no version.
func (h *history) verdict(cut time.Time, found int, known bool) (problem string, setAside bool) {
	oldest, synced, mayBeGone := h.promised(cut)
	switch {
	case !known:
		return "its bytes are of no version", false
	case found >= oldest:
		return "", false
	case mayBeGone && found >= synced:
		return "", true
	}
	return fmt.Sprintf("version %d is there, and %d was promised, closed %v before", found, oldest, cut.Sub(h.versions[oldest-1].closed).Round(time.Millisecond)), false
}

func (h *history) String() string {
	var b strings.Builder
	for i, v := range h.versions {
		fmt.Fprintf(&b, " %d%c%d", i+1, v.kind, v.blocks)
		if !v.closed.IsZero() {
			b.WriteString("c")
		}
		if v.synced {
			b.WriteString("f")
		}
	}
	return h.name + b.String()
}
