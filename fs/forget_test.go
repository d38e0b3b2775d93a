package fs

import (
	"context"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// A node that the kernel asks about is in the table, though a FORGET that raced with its lookup took it out: else a rename
// of what is above would not give it its new key. The one that was removed stays out.
func TestForgottenTooEarly(t *testing.T) {
	m, _ := withoutKernel(t, "d/f", "file")
	find := func(name string) *node { return find(t, m.root, name) }
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

// withoutKernel is a mount that no kernel knows, of a bucket with empty objects.
func withoutKernel(t *testing.T, keys ...string) (*Mount, *ossservertest.Server) {
	t.Helper()
	server := ossservertest.NewTest(t, ossserver.Options{})
	for _, key := range keys {
		if err := server.Put(ossservertest.Bucket, key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	m, err := open(t.Context(), Options{Bucket: server.Client(t), StateDir: t.TempDir(), Mountpoint: "/nowhere", TTL: time.Minute, WriteBack: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	fusefs.NewNodeFS(m.root, &fusefs.Options{})
	return m, server
}

// find looks a name up as the kernel does.
func find(t *testing.T, dir *node, name string) *node {
	t.Helper()
	inode, e := dir.Lookup(t.Context(), name, &fuse.EntryOut{})
	if e != 0 {
		t.Fatal(name, e)
	}
	dir.AddChild(name, inode, true)
	return inode.Operations().(*node)
}

// move renames as the kernel does.
func move(t *testing.T, dir *node, from, to string) syscall.Errno {
	e := dir.Rename(t.Context(), from, dir, to, 0)
	if e == 0 {
		dir.MvChild(from, dir.EmbeddedInode(), to, true)
	}
	return e
}

// What was dropped from the table too early, and renamed before the kernel asks about it, by its own name or by that of a directory above it,
// has its new key.
func TestForgottenBeforeARename(t *testing.T) {
	m, _ := withoutKernel(t, "d/s/f", "file")
	d := find(t, m.root, "d")
	s := find(t, d, "s")
	f, file := find(t, s, "f"), find(t, m.root, "file")
	for _, n := range []*node{f, s, file} {
		n.OnForget()
	}
	for from, to := range map[string]string{"d": "e", "file": "other"} {
		if e := move(t, m.root, from, to); e != 0 {
			t.Fatal(from, e)
		}
	}
	for _, x := range []struct {
		n   *node
		key ossclient.Key
	}{{f, "e/s/f"}, {s, "e/s/"}, {file, "other"}} {
		if e := x.n.Getattr(t.Context(), nil, &fuse.AttrOut{}); e != 0 {
			t.Errorf("%s: %v", x.key, e)
		}
		if got := x.n.Key(); got != x.key {
			t.Errorf("got %q, want %q", got, x.key)
		}
		if m.nodes.get(x.key) != x.n {
			t.Errorf("%s is not in the table", x.key)
		}
	}
}

// What is open is known to the kernel, whatever was forgotten meanwhile.
func TestOpenIsNotForgotten(t *testing.T) {
	m, _ := withoutKernel(t, "file")
	n := find(t, m.root, "file")
	f, _, e := n.Open(t.Context(), 0)
	if e != 0 {
		t.Fatal(e)
	}
	n.OnForget()
	if m.nodes.get("file") != n {
		t.Error("what is open is not in the table")
	}
	f.(*handle).Release(t.Context())
	if n.OnForget(); m.nodes.get("file") != nil {
		t.Error("what is closed, and forgotten, is in the table")
	}
}

// A file over which a rename failed has its name again, though another node was made for that while the rename was under way: it is
// renamed, and synced, as if nothing had been.
func TestVictimComesBack(t *testing.T) {
	m, server := withoutKernel(t, "from", "to")
	victim := find(t, m.root, "to")
	f, _, e := victim.Open(t.Context(), syscall.O_RDWR)
	if e != 0 {
		t.Fatal(e)
	}
	h := f.(*handle)
	defer h.Release(t.Context())
	if _, e := h.Write(t.Context(), []byte("before"), 0); e != 0 {
		t.Fatal(e)
	}
	server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error503})
	renamed := make(chan syscall.Errno)
	go func() { renamed <- move(t, m.root, "from", "to") }()
	for server.Counts()["CopyObject"] == 0 {
		time.Sleep(time.Millisecond)
	}
	if other := find(t, m.root, "to"); other == victim {
		t.Error("the victim has its name still, and this test tests nothing")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if e := h.Fsync(ended, 0); e == 0 {
		t.Error("fsync does not wait for what becomes of the file")
	}
	server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if e := <-renamed; e != syscall.EACCES {
		t.Fatal(e)
	}
	server.SetFaults()
	if find(t, m.root, "to") != victim {
		t.Error("the name has another node")
	}
	if _, e := h.Write(t.Context(), []byte("written"), 0); e != 0 {
		t.Fatal(e)
	}
	if e := move(t, m.root, "to", "new"); e != 0 {
		t.Fatal(e)
	}
	if e := h.Fsync(t.Context(), 0); e != 0 {
		t.Fatal(e)
	}
	o, ok := server.Object(ossservertest.Bucket, "new")
	if !ok {
		t.Fatal("fsync returned, and the bucket does not have it")
	}
	if body, err := o.Body(); err != nil || string(body) != "written" {
		t.Errorf("the bucket has %q (%v)", body, err)
	}
}
