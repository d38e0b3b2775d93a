package fs

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// A node that the kernel asks about is in the table, though a FORGET that raced with its lookup took it out: else a rename
// of what is above would not give it its new key. The one that was removed stays out.
func TestForgottenTooEarly(t *testing.T) {
	m, server := withoutKernel(t, "d/f", "file", "aside/x")
	must := func(e syscall.Errno) {
		t.Helper()
		if e != 0 {
			t.Error(e)
		}
	}
	must2 := func(_ *fusefs.Inode, e syscall.Errno) { t.Helper(); must(e) }
	aside := find(t, m.root, "aside")
	header := http.Header{"X-Oss-Meta-Mode": {strconv.Itoa(attr.TypeLink | 0o777)}}
	if err := server.Put(ossservertest.Bucket, "link", []byte("file"), header); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what, name string
		use        func(n *node)
	}{
		{"getattr", "d", func(n *node) { must(n.Getattr(t.Context(), nil, &fuse.AttrOut{})) }},
		{"lookup", "d", func(n *node) { must2(n.Lookup(t.Context(), "f", &fuse.EntryOut{})) }},
		{"opendir", "d", func(n *node) { _, _, e := n.OpendirHandle(t.Context(), 0); must(e) }},
		{"mkdir", "d", func(n *node) { must2(n.Mkdir(t.Context(), "new", 0o755, &fuse.EntryOut{})) }},
		{"rmdir", "d", func(n *node) { must(n.Rmdir(t.Context(), "new")) }},
		{"rename", "d", func(n *node) { must(n.Rename(t.Context(), "f", aside, "g", 0)) }},
		{"rename into it", "d", func(n *node) { must(aside.Rename(t.Context(), "g", n, "f", 0)) }},
		{"chmod", "d", func(n *node) {
			in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: 0o700}}
			must(n.Setattr(t.Context(), nil, in, &fuse.AttrOut{}))
		}},
		{"setxattr", "d", func(n *node) { must(n.Setxattr(t.Context(), "user.x", []byte("x"), 0)) }},
		{"listxattr", "d", func(n *node) { _, e := n.Listxattr(t.Context(), make([]byte, 100)); must(e) }},
		{"getxattr", "d", func(n *node) { _, e := n.Getxattr(t.Context(), "user.x", make([]byte, 100)); must(e) }},
		{"refresh", "d", func(n *node) { must(n.Setxattr(t.Context(), "user.oss.refresh", []byte("1"), 0)) }},
		{"readlink", "link", func(n *node) { _, e := n.Readlink(t.Context()); must(e) }},
		{"truncate", "file", func(n *node) {
			in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_SIZE}}
			must(n.Setattr(t.Context(), nil, in, &fuse.AttrOut{}))
		}},
		{"open", "file", func(n *node) {
			f, _, e := n.Open(t.Context(), 0)
			must(e)
			f.(*handle).Release(t.Context())
		}},
	} {
		n := find(t, m.root, x.name)
		n.OnForget()
		if m.nodes.get(n.Key()) != nil {
			t.Fatalf("%s: it was not forgotten", x.what)
		}
		x.use(n)
		if m.nodes.get(n.Key()) != n {
			t.Errorf("%s: it is not in the table", x.what)
		}
	}
	for _, name := range []string{"d", "file"} {
		n := find(t, m.root, name)
		n.OnForget()
		n.leave()
		n.Getattr(t.Context(), nil, &fuse.AttrOut{})
		if m.nodes.get(n.Key()) != nil {
			t.Errorf("%s: what was removed is in the table", name)
		}
	}
}

// withoutKernel is a mount that no kernel knows, of a bucket with empty objects.
func withoutKernel(t *testing.T, keys ...string) (*Mount, *ossservertest.Server) {
	t.Helper()
	return withOptions(t, func(*Options) {}, keys...)
}

func withOptions(t *testing.T, change func(*Options), keys ...string) (*Mount, *ossservertest.Server) {
	t.Helper()
	server := ossservertest.NewTest(t, ossserver.Options{})
	for _, key := range keys {
		if err := server.Put(ossservertest.Bucket, key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Bucket: server.Client(t), StateDir: t.TempDir(), Mountpoint: "/nowhere", TTL: time.Minute, WriteBack: time.Hour}
	change(&o)
	m, err := open(t.Context(), o)
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
	wantFoundAgain(t, m, []placed{{f, "e/s/f"}, {s, "e/s/"}, {file, "other"}})
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

// What is dropped too early in the moment between the end of its rename and the time when go-fuse's tree of names follows, has the new
// key: the name that go-fuse knows of it is still the old one.
func TestForgottenWhileItIsRenamed(t *testing.T) {
	m, _ := withoutKernel(t, "from/file", "from/d/f", "to/x")
	from, to := find(t, m.root, "from"), find(t, m.root, "to")
	d, file := find(t, from, "d"), find(t, from, "file")
	f := find(t, d, "f")
	for _, name := range []string{"d", "file"} {
		if e := from.Rename(t.Context(), name, to, name, 0); e != 0 {
			t.Fatal(name, e)
		}
	}
	for _, n := range []*node{f, d, file} {
		n.OnForget()
	}
	wantFoundAgain(t, m, []placed{{f, "to/d/f"}, {d, "to/d/"}, {file, "to/file"}})
}

// What was dropped too early, and whose name another node has by then, is renamed with what is above it all the same.
func TestForgottenAndItsNameTaken(t *testing.T) {
	m, _ := withoutKernel(t, "d/s/f")
	d := find(t, m.root, "d")
	s := find(t, d, "s")
	s.OnForget()
	other := find(t, d, "s")
	if other == s {
		t.Fatal("it was not forgotten")
	}
	s.use()
	if m.nodes.get("d/s/") != other {
		t.Error("it has taken the name from the node that has it")
	}
	if e := move(t, m.root, "d", "e"); e != 0 {
		t.Fatal(e)
	}
	if s.use(); s.Key() != "e/s/" {
		t.Errorf("it has the key %q", s.Key())
	}
	other.OnForget()
	if s.use(); m.nodes.get("e/s/") != s {
		t.Error("it does not have its name again")
	}
}

// Whoever of several that ask about a node is first to find that it was dropped too early: it is in the table for all of them.
func TestForgottenAndUsedAtOnce(t *testing.T) {
	m, _ := withoutKernel(t, "file")
	n := find(t, m.root, "file")
	for range 100 {
		n.OnForget()
		m.keys.Lock() // a rename is under way
		var users sync.WaitGroup
		for range 3 {
			users.Go(func() {
				if n.use(); m.nodes.get("file") != n {
					t.Error("it is not in the table")
				}
			})
		}
		runtime.Gosched()
		m.keys.Unlock()
		users.Wait()
	}
}

// What is forgotten in the middle of a rename is not in the table for ever.
func TestForgottenInTheMiddleOfARename(t *testing.T) {
	m, _ := withoutKernel(t, "from")
	n := find(t, m.root, "from")
	m.nodes.unlink(n, "from") // as rekey does
	n.OnForget()
	if n.rename("to"); m.nodes.get("to") != nil || m.nodes.count() != 1 {
		t.Errorf("it is in the table, of %d nodes", m.nodes.count())
	}
	if n.use(); n.Key() != "to" || m.nodes.get("to") != n {
		t.Errorf("when the kernel knows it after all it has the key %q", n.Key())
	}
}

// Of a removal that failed the one gets the name back that the kernel knows.
func TestRemovalFails(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		m, _ := withoutKernel(t, "file")
		n := find(t, m.root, "file")
		n.leave()
		other := find(t, m.root, "file")
		if forgotten {
			n.OnForget()
		}
		n.comeBack("file")
		has, lost := n, other
		if forgotten {
			has, lost = other, n
		}
		if m.nodes.get("file") != has || has.gone {
			t.Errorf("forgotten: %v: the wrong node has the name", forgotten)
		}
		if lost.gone == forgotten {
			t.Errorf("forgotten: %v: the other one's name is removed: %v", forgotten, lost.gone)
		}
	}
}

// placed is a node, and the key that it is to have.
type placed struct {
	n   *node
	key ossclient.Key
}

// wantFoundAgain asks about nodes, one after the other, and sees that each has its key then.
func wantFoundAgain(t *testing.T, m *Mount, list []placed) {
	t.Helper()
	for _, x := range list {
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

// What is found below a directory that got a new node is renamed with that one, also when it is dropped too early then.
func TestForgottenBelowANewNode(t *testing.T) {
	m, _ := withoutKernel(t, "d/f")
	old := find(t, m.root, "d")
	f := find(t, old, "f")
	old.OnForget()
	d := find(t, m.root, "d")
	if d == old || find(t, d, "f") != f {
		t.Fatal("the directory has no new node, or the file has one")
	}
	f.OnForget()
	if e := move(t, m.root, "d", "e"); e != 0 {
		t.Fatal(e)
	}
	wantFoundAgain(t, m, []placed{{f, "e/f"}})
}
