package fs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Refresh has the bucket asked again for all that is in the directory at path, at any depth. When it returns the kernel
// believes nothing of it any more; what is open is read on as it was opened.
func (m *Mount) Refresh(ctx context.Context, path string) error {
	key, err := m.resolve(ctx, path)
	if err != nil {
		return err
	}
	if key != m.options.Prefix && !strings.HasSuffix(string(key), "/") {
		return fmt.Errorf("refresh %s: %w", path, syscall.ENOTDIR)
	}
	m.refresh(key)
	return m.notify.settle(ctx)
}

// refresh ends the belief in what is known of a directory: first the tree's, then the nodes', then the kernel's. Who is
// being answered meanwhile from what the tree said before finds that out when his node is in the table, or his name among the
// absences (asked < refreshed): either he does, or the node or the name is found here.
func (m *Mount) refresh(dir ossclient.Key) {
	m.tree.Refresh(dir)
	now := m.changes.Add(1)
	for {
		if last := m.refreshed.Load(); last >= now || m.refreshed.CompareAndSwap(last, now) {
			break
		}
	}
	m.keys.RLock()
	nodes := m.nodes.below(dir)
	m.keys.RUnlock()
	below := make(map[*node]bool, len(nodes))
	var list []notice
	for _, n := range nodes {
		below[n] = true
		n.doubt(now)
		list = n.expireInKernel(list)
	}
	for _, x := range m.absent.take(func(n *node) bool { return below[n] }) {
		list = append(list, x.notice())
	}
	m.notify.tell(list...)
}

// doubt has the tree asked before what is known of the node is believed again, and answers to older questions passed over.
func (n *node) doubt(now uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed = max(n.changed, now)
	n.entry.Until = time.Now()
}

// expireInKernel adds the notices that have the kernel ask for the node's attributes, and for the entries of a directory.
func (n *node) expireInKernel(list []notice) []notice {
	list = append(list, notice{node: n.EmbeddedInode(), pages: n.typ == attr.TypeLink}) // its target is in a page
	for name, child := range n.Children() {
		if child.Mode() == attr.TypeDir && !n.m.calls.conn.Expires() {
			continue // it would be taken away from who works in it; its attributes tell when it is gone
		}
		list = append(list, notice{dir: n.EmbeddedInode(), name: name})
	}
	return list
}

// absence is a name that the kernel was told does not exist.
type absence struct {
	dir   *node
	name  string
	until time.Time // the kernel believes it no longer
}

func (x absence) notice() notice { return notice{dir: x.dir.EmbeddedInode(), name: x.name} }

// absences are those that the kernel may believe. It knows no other way to forget one than by its name.
type absences struct {
	mu   sync.Mutex // guards the field below; a leaf
	list []absence  // oldest first
}

// absencesKept bounds the names remembered. What is dropped the kernel is told of.
const absencesKept = 1 << 15

// add notes an absence. It returns one that is to be forgotten for it, when there are too many.
func (a *absences) add(x absence, now time.Time) (oldest absence, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	drop := 0
	for drop < len(a.list) && a.list[drop].until.Before(now) {
		drop++
	}
	if full = len(a.list)-drop >= absencesKept; full {
		oldest = a.list[drop]
		drop++
	}
	clear(a.list[:drop])
	a.list = append(a.list[drop:], x)
	return oldest, full
}

// take removes the absences in some directories.
func (a *absences) take(in func(dir *node) bool) []absence {
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken []absence
	kept := a.list[:0]
	for _, x := range a.list {
		if in(x.dir) {
			taken = append(taken, x)
		} else {
			kept = append(kept, x)
		}
	}
	clear(a.list[len(kept):])
	a.list = kept
	return taken
}

// missed notes that the kernel is about to hear that a name does not exist in a directory. asked is Mount.changes before
// that was asked for.
func (m *Mount) missed(dir *node, name string, asked uint64) {
	if m.options.TTL <= 0 {
		return
	}
	now := time.Now()
	x := absence{dir, strings.Clone(name), now.Add(m.options.TTL)}
	if oldest, full := m.absent.add(x, now); full {
		m.notify.tell(oldest.notice())
	}
	if asked < m.refreshed.Load() { // the notice waits in the kernel until the lookup has ended
		m.notify.tell(x.notice())
	}
}
