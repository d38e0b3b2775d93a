// Package stream reads object versions: it turns the reads of programs into few, large, parallel ranged GETs.
//
// # Words
//
// A [File] is one open handle of a version, a [Pool] what all files of a mount share. The handles of one
// version share an object: its blocks that are being fetched or held. A slot is the place of one such block; a
// fetch is one GET, which fills consecutive slots. A window is one stream of reads found in a file, together
// with its holds on slots. A trail is one program's way through the files of a directory.
//
// # The way of a read
//
//  1. The file finds the window that the read belongs to, or begins one: reads near each other are one stream,
//     in whatever order a kernel brings them. Streams go up, down or in strides, several at a time.
//  2. The blocks of the read are pinned: in a slot, in the store of ranges (cache.Ranges), or by starting a
//     GET. A read that follows no pattern fetches its blocks alone, and more when the object is read densely
//     (see random); a small object is fetched whole.
//  3. The window asks for what comes next, in several GETs at once. It reaches ahead twice as far as was read,
//     as far as the governor lets it: connections, memory, and what the network gives.
//  4. The read waits for its own bytes only: a fetch wakes it as soon as they are there.
//  5. What the window holds and was read in full, or left behind, is let go: first the store of ranges is
//     offered it, then it stays for a moment in limbo, because that store takes what it is given later, or
//     not at all. Nothing here depends on its keeping anything. What the kernel's page cache has in full
//     is not offered: a second copy of it would only cost memory.
//  6. What is fetched for random reads is handed to the kernel whole (Hint.Give), and in the end the whole object
//     is, so that the kernel serves them. A small file that is there when it is opened is, too (File.Ready).
//
// A fetch belongs to nobody's read: it ends when it is done, fails, or nobody wants what is still to come. Waiting
// is under the waiter's own context. Where no memory is left, a read goes to the bucket by itself.
//
// # What is promised
//
// Every GET has If-Match, and its answer's ETag is compared: bytes of two versions are never mixed, a replaced
// object is [ErrStale]. When a file was read whole, in order but for what is in flight at a time, the CRC-64
// of what was fetched is compared with the object's before the last bytes are served: [ErrCorrupt], from then on for
// every read of that file.
//
// Blocks are immutable below their watermark, and their memory is returned with the last reference. Windows and
// slots are counted in the budget; only blocks that were let go while a read copies them are not.
//
// # Locks
//
// trails, File, Pool, object, and then the leaves: governor, limbo, and those of cache and budget. None is held
// while anything is asked of the bucket or of Hint.Next.
package stream
