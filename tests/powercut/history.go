package main

import (
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
	asNew      = 'n' // another file, renamed to the name
	truncated  = 't' // opened with O_TRUNC
	inPlace    = 'o' // every block overwritten, the size stays
	edited     = 'e' // some blocks overwritten, the others stay
	appended   = 'a' // the blocks of the version before stay
	block      = 1 << 10
	smallBytes = 32 << 10 // up to here content is in the journal
	singlePut  = 16 << 20 // ... and up to here it is one PutObject
)

// version is a state of a file that a program made.
type version struct {
	kind   byte
	blocks int
	gens   []int // of each block, the version it was written by
	closed time.Time
	synced bool
}

// history is what is known of one name: its versions in order, from 1.
type history struct {
	name     string
	versions []*version
}

// begin adds a version of which the blocks from..to-1 are written; the others stay.
func (h *history) begin(kind byte, blocks, from, to int) *version {
	v := &version{kind: kind, blocks: blocks, gens: make([]int, blocks)}
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

// stored are the files that the bucket has before the machine starts: one that is sent by one request, and one by parts.
func stored(seed uint64) []*history {
	rng := rand.New(rand.NewPCG(seed, workers))
	list := []*history{{name: "stored-put"}, {name: "stored-parts"}}
	for i, blocks := range []int{100 + rng.IntN(1000), singlePut/block + 500 + rng.IntN(1000)} {
		list[i].begin(asNew, blocks, 0, blocks).synced = true
	}
	return list
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
	return sha256.Sum256(h.body(v))
}

// find is the number of the version that has a checksum: 0 when there is none.
func (h *history) find(sum [sha256.Size]byte) int {
	for n := len(h.versions); n > 0; n-- {
		if h.sum(h.versions[n-1]) == sum {
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
	staged := false
	for i, v := range h.versions {
		staged = v.blocks*block > smallBytes || staged && v.kind != asNew
		overwritten := slices.ContainsFunc(h.versions[i+1:], func(w *version) bool { return w.kind == truncated || w.kind == inPlace || w.kind == edited })
		if i+1 >= oldest && i+1 > synced && !v.closed.IsZero() && staged && overwritten {
			mayBeGone = true
		}
	}
	return oldest, synced, mayBeGone
}

// margin is how long after a close a file is not promised yet: a second, and what a slow machine and its console take.
const margin = 4 * time.Second

// verdict compares what was found of a name (found: the version, 0 for no version that there was; there: whether there is
// anything) with what was promised.
func (h *history) verdict(cut time.Time, found int, there bool) (problem string, setAside bool) {
	oldest, synced, mayBeGone := h.promised(cut)
	switch {
	case there && found == 0:
		return "its bytes are of no version", false
	case !there && oldest == 0, found >= oldest && there:
		return "", false
	case mayBeGone && found >= synced:
		return "", true
	}
	return fmt.Sprintf("version %d is there (%v), and %d was promised", found, there, oldest), false
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
