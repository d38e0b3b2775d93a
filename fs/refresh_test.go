package fs

import (
	"slices"
	"testing"
	"time"
)

// The names that were told to be absent are remembered until the kernel believes it no longer, or as long as there are not too many:
// then the kernel is told of the oldest.
func TestAbsences(t *testing.T) {
	var a absences
	d, e := &node{key: "d/"}, &node{key: "e/"}
	now := time.Now()
	add := func(dir *node, name string, until time.Duration) {
		t.Helper()
		if old, full := a.add(absence{dir, name, now.Add(until)}, now); full {
			t.Errorf("%s: %s is dropped for it", name, old.name)
		}
	}
	want := func(names ...string) {
		t.Helper()
		var got []string
		for _, x := range a.list {
			got = append(got, x.name)
		}
		if !slices.Equal(got, names) {
			t.Errorf("got %q, want %q", got, names)
		}
	}
	add(d, "over", time.Second)
	add(e, "ends", 2*time.Second)
	add(d, "later", 3*time.Second)
	want("over", "ends", "later")
	now = now.Add(2 * time.Second)
	add(d, "new", time.Second)
	want("ends", "later", "new")

	var taken []string
	for _, x := range a.take(func(dir *node) bool { return dir == d }) {
		taken = append(taken, x.name)
	}
	if !slices.Equal(taken, []string{"later", "new"}) {
		t.Errorf("taken are %q", taken)
	}
	want("ends")

	for len(a.list) < absencesKept {
		add(d, "more", time.Hour)
	}
	if old, full := a.add(absence{d, "one", now.Add(time.Hour)}, now); !full || old.name != "ends" || len(a.list) != absencesKept {
		t.Errorf("there are %d, and %q is dropped: %v", len(a.list), old.name, full)
	}
	if last := a.list[absencesKept-1]; last.name != "one" {
		t.Errorf("the last one is %q", last.name)
	}
}

// The kernel is told of an absence that was asked for before a refresh, and of the oldest one when there are too many. Without a TTL it
// believes none.
func TestMissed(t *testing.T) {
	x := newTold(t)
	x.begin(x.listener)
	m := &Mount{notify: x.notifier}
	m.refreshed.Store(5)
	missed := func(name string, asked uint64, want ...string) {
		t.Helper()
		m.missed(x.root, name, asked)
		if err := x.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.want(t, want...)
	}
	missed("without a TTL", 4)
	m.options.TTL = time.Hour
	begun := time.Now()
	missed("before", 4, "calm root", "entry 1 before")
	missed("after", 5)
	if len(m.absent.list) != 2 || m.absent.list[0].until.Before(begun.Add(time.Hour)) {
		t.Errorf("remembered are %v", m.absent.list)
	}
	for len(m.absent.list) < absencesKept {
		m.absent.list = append(m.absent.list, absence{x.root, "more", begun.Add(2 * time.Hour)})
	}
	missed("one more", 5, "calm root", "entry 1 before")
	x.notifier.close()
}
