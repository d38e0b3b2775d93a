// Package store keeps buckets, objects and unfinished multipart uploads, in memory or in a directory.
//
// # Words
//
// An [Object] is immutable: to change one is to put another in its place. Its bytes are a [Content], a
// list of segments of blobs, and a blob is written once and never changed. So a copy of an object, a
// completed multipart upload and an appended object share blobs instead of copying bytes. Contents are
// counted; the last [Content.Release] gives the space back.
//
// A blob lies in memory, in a file of its own, in a pack (a file that many small blobs share), or
// nowhere: a synthetic blob's bytes are a function of a seed and the offset.
//
// # Transactions
//
// Everything visible changes in [Store.Update]: the function given sees the committed state, and what it
// asks for is done wholly or not at all. [Store.View] sees one state. The store's lock is held meanwhile,
// so neither may wait for anything; bytes are staged before with [Store.Stage].
//
// # The directory
//
//	lock        flock'ed by the one process that uses the directory
//	index       the log: one checksummed frame for each transaction
//	blobs/N/    blobs of more than 128 KiB, a file each, named by number
//	packs/      the others, appended one after another
//
// A key is never part of a file name, so any key will do. The log, and not the million files, is what is
// read at start: the sorted tree of keys is rebuilt from it, and it is written anew (index.tmp, sync,
// rename) when more than half of it is history. Packs more than half dead are copied together then too.
//
// # Crashes
//
// A blob is complete in its file before the frame that mentions it is appended, and the frame is one
// write(2) of one checksummed unit with attributes and data's place together. So after kill -9 at any
// point an object is the old one or the new one, whole; what was acknowledged is there, because write(2)
// has handed it to the kernel. Nothing is synced for each object: a power cut may lose the last seconds
// before it, and with them bytes that a surviving frame speaks of; [Object.CRC64] tells. A torn frame at
// the end of the log is cut off at the next start, and files that no frame mentions are removed.
package store
