// Package journal is an append-only log of records with checksums, and snapshots that let its past be
// forgotten. What a record means is its user's business.
//
// A directory holds segments log.N, in which records stand in the order of Append, and snapshots snap.N:
// the records that say what all segments before log.N came to. A record is on its way to the disk, by one
// write(2), when Append returns: it survives the death of the process. [Log.Sync] writes a marker and
// makes everything before it durable; a loss of power may take what follows the last marker, or leave a
// part of it, and nothing else. Frames and the reading of a damaged log are described in ../DESIGN.md.
package journal
