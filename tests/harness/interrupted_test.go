package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// join puts pieces together.
func join(pieces ...[]byte) []byte { return slices.Concat(pieces...) }

// What an interrupted op may leave, and what it may not.
func TestMayLeave(t *testing.T) {
	chunk := func(off int64, n int, seed uint64) Chunk { return Chunk{off, n, seed} }
	old := chunk(0, 100, 1).Bytes()
	a, b, c := chunk(20, 40, 2), chunk(40, 40, 3), chunk(150, 20, 4)
	one, two, three := a.Bytes(), b.Bytes(), c.Bytes()
	after := join(old[:20], one, old[60:])
	zeros := make([]byte, 200)
	edit := &Op{Kind: Edit, Path: "f", Writes: []Chunk{a, b, c}}
	write := &Op{Kind: Write, Path: "f", Writes: []Chunk{chunk(0, 40, 2), chunk(40, 40, 3)}}
	shorter, longer := &Op{Kind: Truncate, Path: "f", Size: 30}, &Op{Kind: Truncate, Path: "f", Size: 130}
	flipped := func(p []byte, at int) []byte {
		q := bytes.Clone(p)
		q[at] ^= 1
		return q
	}
	for _, tt := range []struct {
		name string
		op   *Op
		got  []byte
		want bool
	}{
		{"an edit that has not begun", edit, old, true},
		{"the first of two overlapping edits", edit, after, true},
		{"the first and a part of the second", edit, join(old[:20], one[:20], two[:7], one[27:], old[60:]), true},
		{"the second alone", edit, join(old[:40], two, old[80:]), true},
		{"all but the end", edit, join(old[:20], one[:20], two, old[80:], zeros[:50], three[:9]), true},
		{"an edit with a wrong byte where nothing was written", edit, flipped(after, 10), false},
		{"an edit with a wrong byte where two wrote", edit, flipped(after, 50), false},
		{"zeros in place of an edit", edit, join(old[:20], zeros[:40], old[60:]), false},
		{"zeros that nobody wrote", edit, join(old[:90], zeros[:10]), false},
		{"an edit that has cut the file", edit, old[:99], false},
		{"an edit that goes too far", edit, join(after, zeros[:50], three, zeros[:1]), false},
		{"garbage in a hole", edit, flipped(join(after, zeros[:50], three), 120), false},
		{"a write that has not begun", write, old, true},
		{"a write that has emptied the file", write, nil, true},
		{"a write that has not come far", write, join(one, two[:3]), true},
		{"a write over what was cut off", write, join(one, old[40:]), false},
		{"a write with a hole", write, join(one, zeros[:20], two[20:]), false},
		{"half of a file that is to be emptied", write, old[:50], false},
		{"a file that is cut", shorter, old[:30], true},
		{"a file that is not cut yet", shorter, old, true},
		{"a file that is half cut", shorter, old[:40], false},
		{"a file that is made longer", longer, join(old, zeros[:30]), true},
		{"a file that is made longer by half", longer, join(old, zeros[:10]), false},
		{"a file that is made longer by garbage", longer, flipped(join(old, zeros[:30]), 120), false},
	} {
		if got := tt.op.MayLeave(old, tt.got); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What an op is thought to do is what it does to a file.
func TestStretchesEndAsTheOpDoes(t *testing.T) {
	old := Chunk{0, 100, 1}.Bytes()
	for _, o := range []*Op{
		{Kind: Edit, Writes: []Chunk{{20, 40, 2}, {40, 40, 3}, {150, 20, 4}}},
		{Kind: Write, Writes: []Chunk{{0, 40, 2}, {40, 0, 3}, {40, 30, 4}}},
		{Kind: Truncate, Size: 30},
		{Kind: Truncate, Size: 130},
	} {
		top := t.TempDir()
		o.Path = "f"
		if err := os.WriteFile(filepath.Join(top, "f"), old, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := o.Do(top, nil); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(top, "f"))
		if err != nil {
			t.Fatal(err)
		}
		list := o.stretches(old)
		stretch := list[len(list)-1]
		if got := stretch[len(stretch)-1]; !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, want %d; they differ", o, len(got), len(want))
		}
	}
}
