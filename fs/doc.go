// Package fs is what the kernel sees of a bucket: a tree of nodes, handles of open files and
// directories, and the rules of POSIX, on go-fuse. It joins the merged view of names (fs/namespace), the
// persistent map of what the bucket does not have yet (writeback) and the read path (cache/stream) into
// a [Mount].
//
// A node is a live inode: what the kernel has looked up and not forgotten. It keeps the key under its
// lock, because a rename moves whole subtrees of live nodes, and what was last known of the object. A
// node is clean while its bytes are the bucket's: then each handle has a stream of its own, and reads of
// it name the version that was opened. From the first write on it has content, the staged file that all of
// its handles share, and loses it when the last handle is gone. A node whose name was removed is gone: it
// lives on through its handles, and nothing of it reaches the bucket.
//
// The kernel's page cache belongs to one ETag, or to what was written here. It is kept across opens
// while that is what an open finds, and dropped otherwise. A change that others made ends the epoch of
// the node: handles of an earlier epoch read ESTALE, so that bytes of two versions never meet, and the next open
// has a node of its own (node_outlived.go). The kernel is
// given pages before it asks, too, but only while nobody may write the file (node_pages.go).
//
// The kernel is asked to let go of inodes that nobody uses when there are many (prune.go).
//
// Directories keep no time of their own in the bucket when an entry comes or goes: a node shows the time
// of the last change made through this mount for as long as it lives.
//
// Locks, in order: node (setting, mu), staged file, stager, journal. The gate, the table of nodes and the notifier's
// queue are leaves. No lock is held across a request, nor while the kernel is told something. Lookups do
// not wait for a rename in progress: they look again when the key of their directory moved meanwhile.
// Changes do wait for it (gate), and changes that come after it for one that waits itself.
//
// Immutable after its making: the Mount's parts, a node's type and inode number, a handle's flags.
//
// Only this package imports go-fuse; it never sends a request itself, nor opens a staged file.
package fs
