package fs

import (
	"time"

	"github.com/ossfs/ossfs/fs/namespace"
)

// The kernel's pages are those of an inode, and so is the size up to which it reads. While handles of a version are open that others have replaced, one
// who looks at the file now, and has the kernel learn of the new version or read it into pages, would show it to the old handles: to a program that copies
// the file, an end where there is none; or, what is worse, to one that runs from it, other code. So the node of the old version is left to its handles, as
// that of a removed file is, and the new one gets a node of its own: who asked hears ESTALE, upon which the kernel looks the name up again and
// goes on with what it finds.

// outlive leaves the name to another node.
func (n *node) outlive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outliveLocked()
}

func (n *node) outliveLocked() {
	n.outlived = true
	n.leaveLocked()
}

// expireName has the kernel look the name up again: it may know the node by it.
func (n *node) expireName() {
	if name, dir := n.Parent(); dir != nil {
		n.m.notify.tell(notice{dir: dir, name: name})
	}
}

// supplantedLocked says whether others have replaced what was written here and sent: what is open goes on with it, as it
// does with a removed file. What somebody may write yet stays where it is, and would be in conflict with theirs. It needs n.mu, and an
// entry that no change of ours has overtaken.
func (n *node) supplantedLocked(e *namespace.Entry) bool {
	may := n.content != nil && n.writers == 0 && !n.moved && !e.Staged && e.Version.ETag != ""
	return may && n.content.Supplanted(e.Version)
}

// left says whether the name was left to another node.
func (n *node) left() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.outlived
}

// nameless says whether the node is outlived still. It gets its name again when its old handles are closed and no other node
// has it: who has it bound to another place (mount --bind) opens it without looking its name up.
func (n *node) nameless() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.outlived || n.opens > 0 {
		return n.outlived
	}
	if !n.m.nodes.keep(n, n.key) {
		return true
	}
	n.gone, n.outlived = false, false
	n.entry.Until = time.Now()
	return false
}
