package fs

import (
	"slices"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// order is the list from the oldest on, checked both ways.
func (l *ages) order(t *testing.T) []ossclient.Key {
	t.Helper()
	var list, back []ossclient.Key
	for n := l.oldest; n != nil; n = n.age.younger {
		list = append(list, n.key)
	}
	for n := l.youngest; n != nil; n = n.age.older {
		back = append(back, n.key)
	}
	slices.Reverse(back)
	if !slices.Equal(list, back) {
		t.Fatalf("from the oldest on: %q, from the youngest: %q", list, back)
	}
	return list
}

func TestAges(t *testing.T) {
	var l ages
	a, b, c := &node{key: "a"}, &node{key: "b"}, &node{key: "c"}
	for _, step := range []struct {
		do   func(*node)
		n    *node
		want []ossclient.Key
	}{
		{l.drop, a, nil},
		{l.push, a, []ossclient.Key{"a"}},
		{l.push, b, []ossclient.Key{"a", "b"}},
		{l.push, a, []ossclient.Key{"a", "b"}},
		{l.push, c, []ossclient.Key{"a", "b", "c"}},
		{l.drop, b, []ossclient.Key{"a", "c"}},
		{l.drop, b, []ossclient.Key{"a", "c"}},
		{l.push, b, []ossclient.Key{"a", "c", "b"}},
		{l.drop, a, []ossclient.Key{"c", "b"}},
		{l.drop, b, []ossclient.Key{"c"}},
		{l.drop, c, nil},
		{l.push, b, []ossclient.Key{"b"}},
	} {
		step.do(step.n)
		if got := l.order(t); !slices.Equal(got, step.want) {
			t.Fatalf("after a step with %s: %q, want %q", step.n.key, got, step.want)
		}
	}
}

// The nodes that were not used come in the order in which they were met; those that were get a second chance.
func TestOldest(t *testing.T) {
	tab := newTable()
	met := 0
	tab.met = func(count int) { met = count }
	root := &node{ino: rootIno}
	tab.keep(root, "")
	nodes := make(map[ossclient.Key]*node)
	for _, key := range []ossclient.Key{"a", "b", "c", "d"} {
		n := &node{key: key}
		if tab.claim(n, key, func() {}) != n {
			t.Fatalf("%q was there", key)
		}
		nodes[key] = n
	}
	if met != 5 {
		t.Errorf("%d nodes were told of, want 5", met)
	}
	keys := func(list []*node) (keys []ossclient.Key) {
		for _, n := range list {
			keys = append(keys, n.key)
		}
		return keys
	}
	nodes["a"].used.Store(true)
	tab.forget(nodes["c"], "c")
	if got := keys(tab.oldest(1)); !slices.Equal(got, []ossclient.Key{"b"}) {
		t.Errorf("the oldest is %q, want b: a was used", got)
	}
	if got := keys(tab.oldest(10)); !slices.Equal(got, []ossclient.Key{"d", "a", "b"}) {
		t.Errorf("then come %q, want d, a, b: each once, and not the root", got)
	}
	if got := tab.ages.order(t); !slices.Equal(got, []ossclient.Key{"d", "a", "b"}) {
		t.Errorf("the order is %q", got)
	}
}
