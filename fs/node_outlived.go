package fs

import (
	"time"

	"github.com/ossfs/ossfs/fs/namespace"
)

// The kernel's pages are those of an inode. While handles of a version are open that others have replaced, one who opens the
// file now, and has the kernel read the new version into pages, would show it to the old handles, or, what is worse, to a
// program that runs from them. So the node of the old version is left to its handles, as that of a removed file is, and the
// new one gets a node of its own: the open says ESTALE, upon which the kernel looks the name up again and opens what it finds.

// outlive leaves the name to another node.
func (n *node) outlive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outlived = true
	n.leaveLocked()
}

// supplantedLocked leaves the name to another node when others have replaced what was written here and sent: what is open goes on with it, as it
// does with a removed file. What somebody may write yet stays where it is, and would be in conflict with theirs. It needs n.mu, and an
// entry that no change of ours has overtaken.
func (n *node) supplantedLocked(e namespace.Entry) bool {
	switch {
	case n.content == nil || n.writers > 0 || n.moved || e.Staged || e.Version.ETag == "":
		return false
	case !n.content.Supplanted(e.Version):
		return false
	}
	n.outlived = true
	n.leaveLocked()
	return true
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
