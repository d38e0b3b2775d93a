package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// smallDisk mounts a filesystem of its own for a state directory.
func smallDisk(t *testing.T, kind string, size int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small filesystem")
	}
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o755))
	switch kind {
	case "tmpfs":
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
	case "ext4":
		image := dir + ".image"
		must(t, os.WriteFile(image, nil, 0o600))
		must(t, os.Truncate(image, size))
		for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Skipf("%q: %v: %s", args, err, out)
			}
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting the small filesystem: %v", err)
		}
	})
	return dir
}

// A full disk below the state directory: ENOSPC to the writer, and nothing else is lost; files that are whole are
// sent, also by the mount that follows a kill -9 on the full disk; then there is room, and all goes on.
// SEMANTICS 1.9
func TestFullDisk(t *testing.T) {
	program := harness.Build(t)
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			disk := smallDisk(t, kind, 48<<20)
			s := ossservertest.NewTest(t, ossserver.Options{})
			p := harness.NewProcess(t, s, program)
			p.State = filepath.Join(disk, "state")
			p.Flags = []string{"--write-back", "1h", "--stage-size", "1GiB", "--memory", "64MiB"}
			s.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Error503}) // nothing leaves the disk
			p.Start()
			whole := fillUp(t, p.Dir)
			p.Kill()
			p.Clear()
			p.Start()
			for _, name := range whole {
				wantFile(t, filepath.Join(p.Dir, name), noise(50, 1<<20))
			}
			must(t, os.Rename(filepath.Join(p.Dir, whole[0]), filepath.Join(p.Dir, "renamed")))
			must(t, os.Remove(filepath.Join(p.Dir, whole[1])))
			whole = append(whole[2:], "renamed")
			s.SetFaults()
			if out, err := p.Command("flush", p.Dir).CombinedOutput(); err != nil {
				t.Errorf("flush: %v: %s", err, out)
			}
			for _, name := range whole {
				if o, ok := s.Object(harness.Bucket, name); !ok || o.CRC64 != harness.Sum(noise(50, 1<<20)) {
					t.Errorf("the bucket does not have %s", name)
				}
			}
			must(t, os.WriteFile(filepath.Join(p.Dir, "after"), noise(51, 10<<20), 0o644))
			p.Stop()
			if o, ok := s.Object(harness.Bucket, "after"); !ok || o.Size != 10<<20 {
				t.Error("the bucket does not have what was written when there was room")
			}
			if n := len(s.Keys(harness.Bucket)); n != len(whole)+1 {
				t.Errorf("the bucket has %d objects, want %d", n, len(whole)+1)
			}
		})
	}
}

// fillUp writes files of 1 MiB until the disk is full, and gives the names of those that are whole.
func fillUp(t *testing.T, dir string) []string {
	t.Helper()
	var whole []string
	for i := range 100 {
		name := fmt.Sprintf("f%02d", i)
		err := os.WriteFile(filepath.Join(dir, name), noise(50, 1<<20), 0o644)
		if errors.Is(err, syscall.ENOSPC) {
			must(t, os.Remove(filepath.Join(dir, name)))
			if len(whole) < 10 {
				t.Fatalf("full after %d files", i)
			}
			return whole
		}
		must(t, err)
		whole = append(whole, name)
	}
	t.Fatalf("never full: %s", strings.Join(whole, " "))
	return nil
}
