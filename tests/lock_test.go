package tests

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// SEMANTICS 5.3: locks are between processes, in both of their kinds, on files that are staged and on such as the bucket has.
func TestLocks(t *testing.T) {
	eachState(t, func(t *testing.T, b *harness.Bed, name string) {
		path := b.Path(name)
		if stat(t, path).Mode&unix.S_IFMT != unix.S_IFREG {
			return
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		fd := int(f.Fd())
		other := func(kind, want string) {
			t.Helper()
			harness.Helper(t, "lock", path, kind, want)
		}

		other("flock", "free")
		must(t, unix.Flock(fd, unix.LOCK_EX))
		other("flock", "busy")
		other("flock-shared", "busy")
		must(t, unix.Flock(fd, unix.LOCK_SH))
		other("flock-shared", "free")
		other("flock", "busy")
		must(t, unix.Flock(fd, unix.LOCK_UN))
		other("flock", "free")

		record := func(kind int16, start, n int64) {
			t.Helper()
			must(t, unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: n}))
		}
		other("fcntl", "free")
		record(unix.F_WRLCK, 0, 1)
		other("fcntl", "busy")
		other("fcntl-shared", "busy")
		record(unix.F_UNLCK, 0, 1)
		record(unix.F_WRLCK, 1, 1) // beside the byte that the others want
		other("fcntl", "free")
		record(unix.F_RDLCK, 0, 1)
		other("fcntl-shared", "free")
		other("fcntl", "busy")
		must(t, f.Close()) // ends them all
		other("fcntl", "free")
	})
}
