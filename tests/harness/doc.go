// Package harness gives a test a bucket and a mount of it: an OSS server in memory on loopback, and the real thing
// on top, through the kernel. A test that cannot mount fails, unless OSSFS_TEST_NO_FUSE=1 says that it is meant to be
// skipped; one that leaves a mount behind fails.
//
// A mount within the test's own process must not be mapped into memory by that process: a page fault
// occupies a thread in a way that Go does not know of, and the garbage collector then waits for it while it keeps the
// mount from answering. Helper runs such work in a process of its own.
package harness
