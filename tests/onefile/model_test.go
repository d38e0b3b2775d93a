package onefile

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWhatAKillMayLeave(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	write := func(off int64, s string) change { return change{off: off, bytes: []byte(s)} }
	cut := func(size int64) change { return change{off: size, cut: true} }
	tests := []struct {
		name  string
		base  string
		since []change
		got   string
		may   bool
	}{
		{"nothing was changed", a(4), nil, a(4), true},
		{"nothing was changed, and a byte is another", a(4), nil, "aaab", false},
		{"nothing was changed, and it is shorter", a(4), nil, a(3), false},
		{"nothing was changed, and it is longer", a(4), nil, a(5), false},
		{"all is there", a(4), []change{write(1, "bb"), write(3, "cc")}, "abbcc", true},
		{"none is there", a(4), []change{write(1, "bb"), write(3, "cc")}, a(4), true},
		{"the later alone", a(4), []change{write(1, "bb"), write(3, "cc")}, "aaacc", true},
		{"half of each", a(4), []change{write(1, "bb"), write(3, "cc")}, "abac", true},
		{"a byte of neither", a(4), []change{write(1, "bb"), write(3, "cc")}, "accc", false},
		{"a hole before what was added", a(2), []change{write(4, "b")}, "aa\x00\x00b", true},
		{"a hole that is not empty", a(2), []change{write(4, "b")}, "aaa\x00b", false},
		{"longer, and the bytes are not there", a(2), []change{write(4, "b")}, "aa\x00\x00\x00", true},
		{"cut", a(4), []change{cut(2)}, a(2), true},
		{"not cut", a(4), []change{cut(2)}, a(4), true},
		{"half cut", a(4), []change{cut(2)}, a(3), false},
		{"cut and written", a(4), []change{cut(1), write(2, "b")}, "a\x00b", true},
		{"cut and half written", a(4), []change{cut(1), write(2, "b")}, "a\x00", true},
		{"bytes from before the cut", a(4), []change{cut(1), write(2, "b")}, "aab", false},
		{"extended", a(2), []change{cut(4)}, "aa\x00\x00", true},
		{"extended and written", a(2), []change{cut(4), write(3, "b")}, "aa\x00b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := &inode{content: []byte(tt.base), base: []byte(tt.base), since: tt.since}
			if wrong := i.mayBe([]byte(tt.got)); (wrong == "") != tt.may {
				t.Errorf("%q: got %q, want it allowed: %v", tt.got, wrong, tt.may)
			}
		})
	}
}

func TestWhatIsConfirmedStays(t *testing.T) {
	i := &inode{}
	c := change{bytes: []byte("abc")}
	i.begin(c)
	i.apply(c)
	i.confirm()
	if i.mayBe(nil) == "" || i.mayBe([]byte("abc")) != "" {
		t.Error("what was confirmed may be gone, or may not be there")
	}
	cut := change{off: 1, cut: true}
	i.apply(cut)
	i.apply(change{off: 2, bytes: []byte("x")})
	if want := []byte("a\x00x"); !bytes.Equal(i.content, want) {
		t.Errorf("got %q, want %q", i.content, want)
	}
	if i.mayBe([]byte("abc")) != "" {
		t.Error("later changes are taken for what was confirmed")
	}
}

func TestTimes(t *testing.T) {
	at := time.Unix(1000, 0)
	i := &inode{}
	i.touch(at, at)
	if !i.timely(at) || i.timely(at.Add(1)) || i.timely(at.Add(-1)) {
		t.Error("an exact time is not exact")
	}
	i.dirty = true
	i.touch(at, at.Add(1))
	if !i.timely(at.Add(time.Hour)) || i.timely(at.Add(-1)) {
		t.Error("what the kernel writes of a mapping may come later, and not earlier")
	}
}
