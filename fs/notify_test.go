package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
)

// listener is a kernel that writes down what it is told, and what is waited for before.
type listener struct {
	fusefs.ServerCallbacks
	heard []string
	hold  chan struct{} // not nil: until it is closed somebody has an inode locked
}

func (l *listener) hear(format string, args ...any) {
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func (l *listener) EntryNotify(parent uint64, name string) fuse.Status {
	l.hear("entry %d %s", parent, name)
	return fuse.ENOENT
}

func (l *listener) InodeNotify(node uint64, off, length int64) fuse.Status {
	l.hear("inode %d %d+%d", node, off, length)
	return fuse.ENOENT
}

func (l *listener) calm(i *fusefs.Inode) {
	if l.hold != nil {
		<-l.hold
	}
	l.hear("calm %s", name(i))
}

func (l *listener) calmPages(i *fusefs.Inode, off, length int64) {
	l.hear("calm %s %d+%d", name(i), off, length)
}

func (l *listener) written(i *fusefs.Inode) { l.hear("written %s", name(i)) }

func name(i *fusefs.Inode) string { return string(i.Operations().(*node).key) }

// told is a notifier with a listener, and three nodes: the root, which the kernel knows as 1, a file (2) and a link (3).
type told struct {
	*notifier
	*listener
	root, file, link *node
}

func newTold(t *testing.T) *told {
	x := &told{notifier: newNotifier(), listener: &listener{}, root: &node{key: "root"}, file: &node{key: "file"}, link: &node{key: "link"}}
	fusefs.NewNodeFS(x.root, &fusefs.Options{ServerCallbacks: x.listener})
	for n, typ := range map[*node]uint32{x.file: attr.TypeFile, x.link: attr.TypeLink} {
		x.root.AddChild(string(n.key), x.root.NewInode(t.Context(), n, fusefs.StableAttr{Mode: typ}), false)
	}
	return x
}

func (x *told) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(x.heard, want) {
		t.Errorf("the kernel heard %q, want %q", x.heard, want)
	}
	x.heard = nil
}

// Each notice is what the kernel needs for it, after whoever may wait for us is served, and in the order in which they were queued.
func TestNotices(t *testing.T) {
	x := newTold(t)
	x.begin(x.listener)
	file, link := x.file.EmbeddedInode(), x.link.EmbeddedInode()
	number := map[*node]string{}
	for _, n := range []*node{x.file, x.link} {
		_ = n.NotifyContent(0, 0)
		var id int
		if _, err := fmt.Sscanf(x.heard[len(x.heard)-1], "inode %d", &id); err != nil {
			t.Fatal(err)
		}
		number[n] = fmt.Sprint(id)
	}
	x.heard = nil
	for _, tt := range []struct {
		notice notice
		want   []string
	}{
		{notice{dir: x.root.EmbeddedInode(), name: "a"}, []string{"calm root", "entry 1 a"}},
		{notice{node: file}, []string{"inode " + number[x.file] + " -1+0"}},
		{notice{node: file, pages: true}, []string{"calm file", "inode " + number[x.file] + " 0+0"}},
		{notice{node: file, pages: true, then: func() { x.hear("then") }},
			[]string{"calm file", "inode " + number[x.file] + " 0+0", "written file", "then"}},
		{notice{node: link, pages: true}, []string{"calm root", "entry 1 link", "calm link", "inode " + number[x.link] + " 0+0"}},
	} {
		x.tell(tt.notice)
		if err := x.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.want(t, tt.want...)
	}
	x.root.RmChild("link")
	x.tell(notice{node: link, pages: true}, notice{node: file})
	if err := x.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.want(t, "calm link", "inode "+number[x.link]+" 0+0", "inode "+number[x.file]+" -1+0")
	x.notifier.close()
}

// Pages that are being given to the kernel are there before it is told to drop them.
func TestNoticeWaitsForPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTold(t)
		x.begin(x.listener)
		x.file.beginGivingLocked()
		x.tell(notice{node: x.file.EmbeddedInode(), pages: true})
		synctest.Wait()
		x.want(t)
		x.file.endGiving()
		if synctest.Wait(); len(x.heard) != 2 {
			t.Errorf("the kernel heard %q", x.heard)
		}
		x.notifier.close()
	})
}

// Who waits until the kernel has heard everything waits for what was queued before, as long as he likes, and for nobody when there is no kernel.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTold(t)
		a := notice{dir: x.root.EmbeddedInode(), name: "a"}
		x.tell(a)
		if err := x.settle(t.Context()); err != nil {
			t.Error(err)
		}
		x.want(t)

		x.begin(x.listener)
		x.hold = make(chan struct{})
		x.tell(a)
		settled := make(chan error, 1)
		go func() { settled <- x.settle(t.Context()) }()
		ended, end := context.WithCancel(t.Context())
		cut := make(chan error, 1)
		go func() { cut <- x.settle(ended) }()
		synctest.Wait()
		end()
		if err := <-cut; !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait any more: %v", err)
		}
		if len(settled) != 0 {
			t.Error("the kernel has not heard it, and nobody waits")
		}
		close(x.hold)
		if err := <-settled; err != nil {
			t.Error(err)
		}
		x.want(t, "calm root", "entry 1 a")

		x.hold = make(chan struct{})
		x.tell(a)
		synctest.Wait()
		x.tell(a) // it is never told
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			x.notifier.close()
		}()
		synctest.Wait()
		go func() { settled <- x.settle(t.Context()) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("the notifier ends in the middle of a notice")
		default:
		}
		close(x.hold)
		<-closed
		if err := <-settled; err != nil {
			t.Error(err)
		}
		x.tell(a)
		synctest.Wait()
		x.want(t, "calm root", "entry 1 a")
	})
}

// When the time of a file is set that a program may have mapped, the kernel has dropped its pages before the answer, while it keeps writers away; but
// nobody waits for ever for a page that is long in coming.
// SEMANTICS 2.3
func TestPagesAreDroppedBeforeTheTimeIsSet(t *testing.T) {
	for _, slow := range []bool{false, true} {
		m, _ := withoutKernel(t, "file")
		var dropped atomic.Bool
		fusefs.NewNodeFS(m.root, &fusefs.Options{ServerCallbacks: &dropping{told: func(int64, int64) { dropped.Store(true) }}})
		locked := make(chan struct{}) // the kernel has the inode locked until it has the answer
		m.notify.begin(&listener{hold: locked})
		n := find(t, m.root, "file")
		f, _, e := n.Open(t.Context(), syscall.O_RDWR)
		if e != 0 {
			t.Fatal(e)
		}
		t.Cleanup(func() { f.(*handle).Release(context.WithoutCancel(t.Context())) })
		if slow {
			n.mu.Lock()
			n.beginGivingLocked()
			n.mu.Unlock()
		}
		in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME, Mtime: 1}}
		if e := n.Setattr(t.Context(), nil, in, &fuse.AttrOut{}); e != 0 {
			t.Fatal(e)
		}
		if dropped.Load() == slow {
			t.Errorf("slow: %v; and the pages are dropped: %v", slow, dropped.Load())
		}
		if close(locked); slow {
			n.endGiving()
		}
	}
}

// Who ends the mount waits for what the kernel is being told, though he who asked for it has not; afterwards nothing more is begun.
func TestCloseWaitsForWhatIsBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTold(t)
		x.begin(x.listener)
		x.file.beginGivingLocked()
		then := 0
		pages := notice{node: x.file.EmbeddedInode(), pages: true, then: func() { then++ }}
		x.tellLocked(t.Context(), pages) // it has no patience for pages that do not come
		closed := make(chan struct{})
		go func() { x.notifier.close(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("it did not wait")
		default:
		}
		x.file.endGiving()
		<-closed
		heard := len(x.heard)
		x.tellLocked(t.Context(), pages)
		if then != 2 || len(x.heard) != heard {
			t.Errorf("%d of 2 notices had an end, and the kernel heard %q", then, x.heard[heard:])
		}
	})
}
