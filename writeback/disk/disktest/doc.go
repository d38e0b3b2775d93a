// Package disktest is a disk in memory that can stop at its n-th change, and be cloned as a killed process
// or a loss of power would leave it.
//
// It is as unkind as POSIX allows: bytes are durable after a sync of their file, names after one of their
// directory; what was not synced may be there, not be there, or be zeros from some page on.
package disktest
