package fs

import (
	"context"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// A node that the kernel asks about is in the table, though a FORGET that raced with its lookup took it out: else a rename
// of what is above would not give it its new key. The one that was removed stays out.
func TestForgottenTooEarly(t *testing.T) {
	server := ossservertest.NewTest(t, ossserver.Options{})
	for _, key := range []string{"d/f", "file"} {
		if err := server.Put(ossservertest.Bucket, key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	m, err := open(t.Context(), Options{Bucket: server.Client(t), StateDir: t.TempDir(), Mountpoint: "/nowhere", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	fusefs.NewNodeFS(m.root, &fusefs.Options{})
	find := func(name string) *node {
		var out fuse.EntryOut
		inode, e := m.root.Lookup(t.Context(), name, &out)
		if e != 0 {
			t.Fatal(name, e)
		}
		return inode.Operations().(*node)
	}
	uses := map[string]func(n *node){
		"getattr": func(n *node) { n.Getattr(t.Context(), nil, &fuse.AttrOut{}) },
		"lookup":  func(n *node) { _, _ = n.Lookup(t.Context(), "f", &fuse.EntryOut{}) },
		"opendir": func(n *node) { _, _, _ = n.OpendirHandle(t.Context(), 0) },
		"open": func(n *node) {
			if f, _, e := n.Open(t.Context(), 0); e == 0 {
				f.(*handle).Release(t.Context())
			}
		},
	}
	for what, use := range uses {
		name := "d"
		if what == "open" {
			name = "file"
		}
		n := find(name)
		n.OnForget()
		if m.nodes.get(n.Key()) != nil {
			t.Fatalf("%s: it was not forgotten", what)
		}
		use(n)
		if m.nodes.get(n.Key()) != n {
			t.Errorf("%s: it is not in the table", what)
		}
		n.OnForget()
		n.leave()
		use(n)
		if m.nodes.get(n.Key()) != nil {
			t.Errorf("%s: what was removed is in the table", what)
		}
	}
}
