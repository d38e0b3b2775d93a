package fs

import (
	"context"
	"math"
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/ossfs/ossfs/internal/attr"
)

// notice is something that the kernel must forget: the entry name of dir, or, when name is empty, the
// attributes of node, with its pages when pages is set. One with told is none: it says that all before it were told.
type notice struct {
	dir    *fusefs.Inode
	name   string
	node   *fusefs.Inode
	pages  bool
	off    int64  // of the pages
	length int64  // 0: all from there on
	then   func() // called when the pages were forgotten, and what the kernel had to write of them is written; nil: nobody wants to know
	told   chan struct{}
}

// notifier tells the kernel what others changed. It has one goroutine, which holds no lock while it
// tells: the kernel may answer only after a request that it has sent us, so telling from within a
// handler of the same directory or file would deadlock.
type notifier struct {
	wake chan struct{}  // one token: the queue has something, or is closed
	done chan struct{}  // closed when the goroutine has ended
	held sync.WaitGroup // what tellLocked has begun; not added to when it is closed

	mu     sync.Mutex // guards the fields below; a leaf
	queue  []notice
	kernel kernel // nil: nothing is mounted
	closed bool
}

// kernel is who is told.
type kernel interface {
	calm(*fusefs.Inode)                               // waits until it does not wait for us with the inode locked
	written(*fusefs.Inode)                            // waits until what it has sent of the inode to be written is written
	calmPages(inode *fusefs.Inode, off, length int64) // waits until it does not wait for us to read these
}

func newNotifier() *notifier {
	n := &notifier{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go n.run()
	return n
}

// begin says that there is a kernel to be told.
func (n *notifier) begin(k kernel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kernel = k
}

// tell queues notices; it never waits.
func (n *notifier) tell(list ...notice) {
	n.mu.Lock()
	if !n.closed {
		n.queue = append(n.queue, list...)
	}
	n.mu.Unlock()
	n.signal()
}

// lockedMost is how long who answers the kernel waits for it: for a page of which the bytes are long in coming, say.
const lockedMost = time.Second

// tellLocked has the kernel drop pages of a file, and waits for that a while: for who answers it, and for whom it has the inode locked.
func (n *notifier) tellLocked(ctx context.Context, x notice) {
	n.mu.Lock()
	k := n.kernel
	if k == nil || n.closed {
		n.mu.Unlock()
		if x.then != nil {
			x.then()
		}
		return
	}
	own, late := x.node.Operations().(*node), false
	dropped := make(chan struct{})
	n.held.Go(func() {
		_ = own.settlePages(context.Background())
		length := x.length
		if length == 0 {
			length = math.MaxInt64 - x.off
		}
		k.calmPages(x.node, x.off, length)
		_ = x.node.NotifyContent(x.off, x.length)
		own.mu.Lock()
		close(dropped)
		if late {
			own.late.under--
		}
		own.mu.Unlock()
		if x.then != nil {
			k.written(x.node)
			x.then()
		}
	})
	n.mu.Unlock()
	patience := time.NewTimer(lockedMost)
	defer patience.Stop()
	select {
	case <-dropped:
		return
	case <-patience.C:
	case <-ctx.Done():
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	select {
	case <-dropped:
	default: // others may write before it is
		late = true
		own.beginLateLocked()
	}
}

// settle waits until the kernel was told all that is queued. What answers the kernel must not wait for it.
func (n *notifier) settle(ctx context.Context) error {
	told := make(chan struct{})
	n.tell(notice{told: told})
	select {
	case <-told:
		return nil
	case <-n.done: // there is nobody to be told
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// close drops what is queued and waits for what is being told. The connection to the kernel must have
// ended, or have nothing in the way of a notice.
func (n *notifier) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.signal()
	<-n.done
	n.held.Wait()
}

func (n *notifier) run() {
	defer close(n.done)
	for range n.wake {
		n.mu.Lock()
		batch, kernel, closed := n.queue, n.kernel, n.closed
		n.queue = nil
		n.mu.Unlock()
		if closed {
			return
		}
		for _, x := range batch {
			x.send(kernel)
		}
	}
}

// send tells the kernel. It answers ENOENT for what it does not know, which is as good as done, and
// nothing else that could be acted on.
func (x notice) send(k kernel) {
	switch {
	case x.told != nil:
		close(x.told)
	case k == nil: // nobody knows anything
	case x.name != "":
		k.calm(x.dir)
		_ = x.dir.NotifyEntry(x.name)
	case x.pages:
		own := x.node.Operations().(*node)
		_ = own.settlePages(context.Background()) // pages that come after this would stay; it fails only when the context ends
		if x.node.Mode() == attr.TypeLink {       // before Linux 6.15 the kernel cuts the next target at the length that it knows, and keeps it so
			name, dir := x.node.Parent()
			if dir != nil {
				notice{dir: dir, name: name}.send(k)
			}
		}
		k.calm(x.node)
		own.mu.Lock()
		own.beginLateLocked()
		own.mu.Unlock()
		_ = x.node.NotifyContent(x.off, x.length)
		own.endLate()
		if x.then != nil {
			k.written(x.node)
			x.then()
		}
	default:
		_ = x.node.NotifyContent(-1, 0) // a negative offset: attributes alone (fuse_reverse_inval_inode)
	}
}
