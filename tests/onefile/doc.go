// Package onefile drives a few files of a mount with random system calls, in the manner of fsx, and compares each with a
// model in memory: the same file through several descriptors, with and without the kernel's pages, mapped, cut, punched,
// renamed, replaced and removed while it is open, by another client, too, and read by another process.
//
// A driver is a process of its own, since it maps files of the mount: a page fault stops a whole Go program that has to
// collect garbage, and the program that started the driver runs the server that the mount needs to answer. It says what it is
// about to do, so that the other side can tell when a call hangs and can kill the mount in the middle of one. What only the other side
// can do it is asked for.
//
// After a kill the model knows what may be there. A descriptor that was open for writing and was closed, an fsync, a truncation by name confirm
// all that the file has at that moment. Each change since then may be there or not, byte by byte, up to the next cut,
// which is there as a whole or not at all.
package onefile
