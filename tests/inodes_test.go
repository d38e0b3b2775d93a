package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/tests/harness"
)

// The kernel is asked to let go of inodes when there are many; what is open stays, and the others are found again, with
// the numbers they had.
func TestInodesAreBounded(t *testing.T) {
	if kernelBefore(t, 6, 18) {
		t.Skip("the kernel cannot be asked to let go of inodes: Linux 6.18 can")
	}
	const dirs, files, most = 7, 1000, 4096 // the last is the least bound that there is
	b := harness.New(t, func(o *fs.Options) { o.Memory = 16 << 20 })
	for d := range dirs {
		for f := range files {
			must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("d%d/f%03d", d, f), []byte(fmt.Sprint(d, f)), nil))
		}
	}
	numbers := func() map[string]uint64 {
		found := make(map[string]uint64, dirs*files)
		must(t, filepath.WalkDir(b.Path(), func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				found[path] = stat(t, path).Ino
			}
			return err
		}))
		return found
	}
	first := b.Path("d0", "f000")
	fd, err := syscall.Open(first, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(fd)
	dir, err := syscall.Open(b.Path("d0"), syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(dir)

	before := numbers()
	if len(before) != dirs*files {
		t.Fatalf("%d files, want %d", len(before), dirs*files)
	}
	harness.Eventually(t, "the kernel has let go of inodes", func() bool { return b.Mount.Status().Inodes <= most })
	for _, open := range []int{fd, dir} {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", open)); err != nil || strings.Contains(name, "deleted") {
			t.Errorf("what is open is now %q (%v)", name, err)
		}
	}
	got := make([]byte, 10)
	if n, err := syscall.Pread(fd, got, 0); err != nil || string(got[:n]) != "0 0" {
		t.Errorf("the open file has %q (%v)", got[:n], err)
	}
	if err := unix.Faccessat(dir, "f999", unix.R_OK, 0); err != nil {
		t.Errorf("a file of the open directory: %v", err)
	}
	for path, ino := range numbers() {
		if before[path] != ino {
			t.Errorf("%s has the number %d, and had %d", path, ino, before[path])
		}
	}
	harness.Eventually(t, "the kernel has let go of inodes again", func() bool { return b.Mount.Status().Inodes <= most })
}
