package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What is demanded of a file after a cut: the version found must be one that was made, and not older than what was promised.
func TestVerdict(t *testing.T) {
	cut := time.Now()
	long, late := cut.Add(-time.Minute), cut.Add(-time.Second)
	type change struct {
		kind   byte
		blocks int
		closed time.Time
		synced bool
	}
	open := time.Time{}
	for name, tt := range map[string]struct {
		changes []change
		good    []int // versions that may be found; 0: no file
		aside   []int // ... when it was being overwritten
	}{
		"closed long ago":              {[]change{{asNew, 9, long, false}}, []int{1}, nil},
		"closed just now":              {[]change{{asNew, 9, late, false}}, []int{0, 1}, nil},
		"synced":                       {[]change{{asNew, 99, late, true}, {inPlace, 99, open, false}}, []int{1, 2}, nil},
		"replaced":                     {[]change{{asNew, 99, long, false}, {asNew, 99, open, false}}, []int{1, 2}, nil},
		"appended":                     {[]change{{asNew, 99, long, false}, {appended, 120, open, false}}, []int{1, 2}, nil},
		"overwritten":                  {[]change{{asNew, 99, long, false}, {inPlace, 99, open, false}}, []int{1, 2}, []int{0}},
		"edited":                       {[]change{{asNew, 99, long, false}, {edited, 99, open, false}}, []int{1, 2}, []int{0}},
		"small, overwritten":           {[]change{{asNew, 9, long, false}, {inPlace, 9, open, false}}, []int{1, 2}, nil},
		"once large, overwritten":      {[]change{{asNew, 99, late, false}, {truncated, 9, long, false}, {inPlace, 9, open, false}}, []int{2, 3}, []int{0, 1}},
		"synced, closed, overwritten":  {[]change{{asNew, 99, late, true}, {appended, 120, long, false}, {truncated, 50, open, false}}, []int{2, 3}, []int{1}},
		"small, grown and not closed":  {[]change{{asNew, 9, long, false}, {truncated, 99, open, false}}, []int{1, 2}, nil},
		"small, grown and overwritten": {[]change{{asNew, 9, long, false}, {truncated, 99, late, false}, {inPlace, 99, open, false}}, []int{1, 2, 3}, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := history{name: "a"}
			for _, c := range tt.changes {
				v := h.begin(c.kind, c.blocks, 0, c.blocks)
				v.closed, v.synced = c.closed, c.synced
			}
			want := make(map[int]string)
			for _, n := range tt.good {
				want[n] = "good"
			}
			for _, n := range tt.aside {
				want[n] = "aside"
			}
			for n := range len(tt.changes) + 1 {
				problem, aside := h.verdict(cut, n, n > 0)
				got := ""
				if aside {
					got = "aside"
				} else if problem == "" {
					got = "good"
				}
				if got != want[n] {
					t.Errorf("version %d: got %q (%s), want %q", n, got, problem, want[n])
				}
			}
			if problem, _ := h.verdict(cut, 0, true); problem == "" {
				t.Error("bytes of no version pass")
			}
		})
	}
}

// The bytes tell of which version each block is, and what is appended or edited leaves the others.
func TestFind(t *testing.T) {
	h := history{name: "a"}
	first, second, third := h.begin(asNew, 3, 0, 3), h.begin(appended, 5, 3, 5), h.begin(edited, 5, 1, 2)
	for i, v := range h.versions {
		if got := h.find(h.sum(v)); got != i+1 {
			t.Errorf("version %d is found as %d", i+1, got)
		}
	}
	if n := h.find([32]byte{}); n != 0 {
		t.Errorf("bytes of no version are found as %d", n)
	}
	if bytes.Equal(content("a", 1, 0), content("a", 2, 0)) || !slices.Equal(first.gens, []int{1, 1, 1}) ||
		!slices.Equal(second.gens, []int{1, 1, 1, 2, 2}) || !slices.Equal(third.gens, []int{1, 3, 1, 2, 2}) {
		t.Errorf("the blocks are of versions %v, %v, %v", first.gens, second.gens, third.gens)
	}
}

// A cut leaves what was flushed, and of the rest whole sectors or nothing.
func TestCut(t *testing.T) {
	const size = 4 * sector
	whole, torn, none := 0, 0, 0
	for seed := range uint64(200) {
		d := newDisk(make([]byte, 4*size))
		d.write(0, bytes.Repeat([]byte{1}, size), true)
		d.write(size, bytes.Repeat([]byte{2}, size), false)
		if n := d.cut(rand.New(rand.NewPCG(seed, 1))); n != 1 {
			t.Fatalf("%d writes were not flushed, want 1", n)
		}
		if !bytes.Equal(d.now[:size], bytes.Repeat([]byte{1}, size)) {
			t.Fatal("what was flushed is gone")
		}
		switch n := bytes.Count(d.now[size:], []byte{2}); {
		case n == size:
			whole++
		case n == 0:
			none++
		case n%sector != 0 || d.now[size] != 2:
			t.Fatalf("%d bytes are left", n)
		default:
			torn++
		}
	}
	if whole == 0 || torn == 0 || none == 0 {
		t.Errorf("%d whole, %d torn, %d gone: want some of each", whole, torn, none)
	}
}
