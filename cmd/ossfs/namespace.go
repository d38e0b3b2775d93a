package main

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enterNamespace runs the umount helper again in the mount namespace that a file stands for, where umount -N means it to
// work: everything it looks at, from the table of mounts to the sockets, is then that namespace's. It returns only an error.
func enterNamespace(file string, args []string) error {
	runtime.LockOSThread() // for good: a namespace is a thread's, until it executes a program
	f, err := os.Open(file)
	if err != nil {
		return umountf(helperFailed, "namespace %s: %w", file, reason(err))
	}
	defer f.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // threads that share a current directory cannot have different mounts
		return umountf(helperFailed, "namespace %s: %w", file, err)
	}
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNS); err != nil {
		return umountf(helperFailed, "namespace %s: %w", file, err)
	}
	err = unix.Exec("/proc/self/exe", append([]string{umountHelperName}, args...), os.Environ())
	return umountf(helperFailed, "namespace %s: %w", file, err)
}
