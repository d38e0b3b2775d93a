// Package disk is the seam between writeback and the local disk: the few operations the journal and the
// staged files need, so that a test can stop at any one of them, and make what a crash would leave.
//
// Names are slash-separated and relative to the root of the FS. What a File wrote survives the death of
// the process at once and a loss of power after File.Sync, or FS.SyncAll; a name survives it after
// FS.SyncDir of its directory, or FS.SyncAll.
package disk
