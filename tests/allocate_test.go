package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/tests/harness"
)

func TestFallocate(t *testing.T) {
	const keepSize, punchHole, collapse, zeroRange = 1, 2, 8, 16
	b := harness.New(t)
	want := bytes.Repeat([]byte("a"), 10_000)
	must(t, os.WriteFile(b.Path("f"), want, 0o644))
	b.Afresh()
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
	must(t, err)
	call := func(mode uint32, off, size int64) error { return syscall.Fallocate(int(f.Fd()), mode, off, size) }
	must(t, call(keepSize, 5000, 20_000))
	must(t, call(punchHole|keepSize, 100, 200))
	clear(want[100:300])
	zero := func(off, size int64) error { return call(zeroRange, off, size) }
	if kernelBefore(t, 5, 14) { // it refuses that itself
		zero = func(off, size int64) error {
			_, err := f.WriteAt(make([]byte, size), off)
			return err
		}
	}
	must(t, zero(9_990, 20))
	want = append(want, make([]byte, 10)...)
	clear(want[9_990:])
	must(t, call(0, 0, 12_000))
	want = append(want, make([]byte, 12_000-len(want))...)
	must(t, call(0, 10, 100)) // it has that already
	wantErrno(t, "collapse", call(collapse, 0, 4096), syscall.EOPNOTSUPP)
	must(t, f.Close())
	wantEverywhere(t, b, "f", want)
}

// Zeros behind the end of a file are not written: it is prepared at once, however long it is to be, and takes no room on the local disk.
func TestZerosBehindTheEnd(t *testing.T) {
	const zeroRange, size = 16, 64 << 20
	if kernelBefore(t, 5, 14) {
		t.Skip("the kernel refuses FALLOC_FL_ZERO_RANGE itself: Linux 5.14 does not")
	}
	b := harness.New(t)
	f, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("begin")
	must(t, err)
	must(t, syscall.Fallocate(int(f.Fd()), zeroRange, 4, size-4))
	blocks := int64(0)
	must(t, filepath.WalkDir(b.Options.StateDir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.Contains(path, "/staged/") {
			blocks += stat(t, path).Blocks
		}
		return err
	}))
	if blocks*512 >= size/2 {
		t.Errorf("%d of %d bytes of zeros are on the disk", blocks*512, size)
	}
	want := make([]byte, size)
	copy(want, "begi")
	must(t, f.Close())
	wantEverywhere(t, b, "f", want)
}
