package fs

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/ossclient"
)

// An answer that was asked for before a change of ours was confirmed is no news: it does not put the version before over
// the new one, and the tree is asked again.
// SEMANTICS 2.3
func TestLateAnswerIsNoNews(t *testing.T) {
	m := &Mount{gate: newGate()}
	n := &node{m: m, key: "a", pages: "new"}
	entry := func(etag ossclient.ETag) namespace.Entry {
		return namespace.Entry{Key: "a", Version: ossclient.Version{Key: "a", ETag: etag}, Until: time.Now().Add(time.Hour)}
	}
	before := m.changes.Load()
	n.confirmed(&ossclient.Object{Version: ossclient.Version{Key: "a", ETag: "new"}})
	if !n.learn(entry("new"), m.changes.Load()) {
		t.Fatal("what was asked for after the change is no news")
	}
	if n.learn(entry("old"), before) {
		t.Error("what was asked for before the change is news")
	}
	if n.entry.Version.ETag != "new" || n.epoch != 0 || n.pages != "new" {
		t.Errorf("got version %q, epoch %d, pages of %q", n.entry.Version.ETag, n.epoch, n.pages)
	}
	if time.Now().Before(n.entry.Until) {
		t.Error("the tree is not asked again")
	}
}

// A listing shows a renamed file with the number that it has kept.
func TestListedNumberOfARenamedFile(t *testing.T) {
	m, _ := withoutKernel(t, "a")
	n := find(t, m.root, "a")
	if e := move(t, m.root, "a", "b"); e != 0 {
		t.Fatal(e)
	}
	if got := m.nodes.number("b"); got != n.ino {
		t.Errorf("got %d, want %d", got, n.ino)
	}
	if got := m.nodes.number("a"); got == n.ino {
		t.Error("what is made at its old name would have its number")
	}
}

// What a listing found to be another client's is asked for again, however long it was to be believed.
func TestChangedByOthersIsNotBelieved(t *testing.T) {
	m, _ := withoutKernel(t, "a", "b")
	changed, same := find(t, m.root, "a"), find(t, m.root, "b")
	m.changed(namespace.Change{Name: "a", Key: "a", Kind: namespace.Modified})
	if changed.entry.Until.After(time.Now()) {
		t.Error("it is believed")
	}
	if !same.entry.Until.After(time.Now()) {
		t.Error("another is not believed")
	}
}
