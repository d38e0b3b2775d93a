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
		"synced":                       {[]change{{asNew, 99, late, true}, {edited, 99, open, false}}, []int{1, 2}, nil},
		"replaced":                     {[]change{{asNew, 99, long, false}, {asNew, 99, open, false}}, []int{1, 2}, nil},
		"appended":                     {[]change{{asNew, 99, long, false}, {appended, 120, open, false}}, []int{1, 2}, nil},
		"overwritten":                  {[]change{{asNew, 99, long, false}, {edited, 99, open, false}}, []int{1, 2}, []int{0}},
		"edited":                       {[]change{{asNew, 99, long, false}, {edited, 99, open, false}}, []int{1, 2}, []int{0}},
		"small, overwritten":           {[]change{{asNew, 9, long, false}, {edited, 9, open, false}}, []int{1, 2}, nil},
		"once large, overwritten":      {[]change{{asNew, 99, late, false}, {truncated, 9, long, false}, {edited, 9, open, false}}, []int{2, 3}, []int{0, 1}},
		"synced, closed, overwritten":  {[]change{{asNew, 99, late, true}, {appended, 120, long, false}, {truncated, 50, open, false}}, []int{2, 3}, []int{1}},
		"small, grown and not closed":  {[]change{{asNew, 9, long, false}, {truncated, 99, open, false}}, []int{1, 2}, nil},
		"small, grown and overwritten": {[]change{{asNew, 9, long, false}, {truncated, 99, late, false}, {edited, 99, open, false}}, []int{1, 2, 3}, []int{0}},
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
				problem, aside := h.verdict(cut, n, true)
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
			if problem, _ := h.verdict(cut, 0, false); problem == "" {
				t.Error("bytes of no version pass")
			}
		})
	}
}

// The bytes tell of which version each block is, and what is appended, edited or cut off leaves the others.
func TestFind(t *testing.T) {
	h := history{name: "a"}
	h.begin(asNew, 3, 0, 3)
	h.begin(appended, 50, 3, 50)
	h.begin(edited, 50, 1, 40)
	h.begin(cutOff, 2, 2, 2)
	h.begin(removed, 0, 0, 0)
	h.begin(asNew, 2, 0, 2)
	for i, v := range h.versions {
		if got, known := h.find(h.sum(v)); v.kind != removed && (got != i+1 || !known) {
			t.Errorf("version %d is found as %d", i+1, got)
		}
	}
	if n := h.gone(); n != 5 {
		t.Errorf("no file is version %d", n)
	}
	if _, known := h.find([32]byte{}); known {
		t.Error("bytes of no version are found")
	}
	half := version{gens: slices.Concat([]int{1, 3, 3, 3}, slices.Repeat([]int{3}, 14), slices.Repeat([]int{2}, 32))}
	if _, known := h.find(h.sum(&half)); known {
		t.Error("what is half written is found")
	}
	h.pressed = true
	if n, known := h.find(h.sum(&half)); n != 2 || !known {
		t.Errorf("what is half written is found as %d", n)
	}
	half = version{gens: slices.Concat([]int{1, 3, 3, 3}, slices.Repeat([]int{2}, 46))} // to the end of a page, within one write
	if n, known := h.find(h.sum(&half)); n != 2 || !known {
		t.Errorf("of what is half written, half of a write is found as %d", n)
	}
	if got, want := h.describe(append(h.body(&half), make([]byte, 100)...)), "1 of 1, 3 of 3, 46 of 2, 1 of zeros, 51300 bytes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if bytes.Equal(content("a", 1, 0), content("a", 2, 0)) {
		t.Error("two versions have the same bytes")
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

// A trap lets the disk do what comes before, and nothing after it.
func TestTrap(t *testing.T) {
	for _, tt := range []struct {
		trap    trap
		durable string
	}{
		{trap{writes: 2}, "\x00\x00\x00"},
		{trap{flushes: 2}, "\x01\x00\x00"},
		{trap{flushes: 2, after: true}, "\x01\x02\x00"},
	} {
		d := newDisk(make([]byte, 3*sector))
		tt.trap.sprung = make(chan struct{})
		d.set(&tt.trap)
		for i := range 3 {
			d.write(int64(i*sector), bytes.Repeat([]byte{byte(i + 1)}, sector), false)
			if tt.trap.writes == 0 {
				d.flush()
			}
		}
		select {
		case <-tt.trap.sprung:
		default:
			t.Errorf("%v: not sprung", &tt.trap)
		}
		if got := string([]byte{d.durable[0], d.durable[sector], d.durable[2*sector]}); got != tt.durable {
			t.Errorf("%v: got %q, want %q", &tt.trap, got, tt.durable)
		}
		if d.flush() {
			t.Errorf("%v: it still flushes", &tt.trap)
		}
	}
}
