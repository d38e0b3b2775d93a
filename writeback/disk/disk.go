package disk

import "io"

// FS is a directory of the local disk.
type FS interface {
	// MkdirAll makes a directory and those above it; existing ones are no error.
	MkdirAll(dir string) error
	// Create makes a new file, mode 0600; it fails with fs.ErrExist when the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing. A symbolic link is not followed.
	Open(name string) (File, error)
	// Rename gives a file another name, in place of what had it.
	Rename(from, to string) error
	// Remove removes a file; fs.ErrNotExist when there is none.
	Remove(name string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// SyncDir makes the names of a directory durable.
	SyncDir(dir string) error
	// SyncAll makes everything durable that was written or named before.
	SyncAll() error
	// Lock takes the exclusive lock of a file, for as long as the process lives or until Close. When
	// another process holds it, the error is a *lockfile.HeldError.
	Lock(name string) (io.Closer, error)
	// Boot identifies this start of the machine: while it is the same, nothing that was written is lost.
	Boot() string
	// Free is the number of bytes that may still be written.
	Free() (int64, error)
}

// File is one open file. Its methods may be called at the same time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Truncate sets the length; what is added reads as zeros.
	Truncate(size int64) error
	// Reserve sees to it that n bytes from off on can be written though the disk may be full by then; the length
	// does not change. errors.ErrUnsupported: the filesystem cannot.
	Reserve(off, n int64) error
	// Punch gives the space of a range back; it reads as zeros. errors.ErrUnsupported: the filesystem cannot, and nothing changes.
	Punch(off, n int64) error
	// Sync makes bytes and length durable (not the name).
	Sync() error
}
