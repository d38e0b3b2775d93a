package tests

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// SEMANTICS 4.1
func TestSymlink(t *testing.T) {
	b := harness.New(t)
	long := strings.Repeat("a/", 300) + "end"
	must(t, os.Symlink("target/of it", b.Path("link")))
	must(t, os.Symlink(long, b.Path("long")))
	must(t, os.Symlink("/nowhere", b.Path("dangling")))
	must(t, os.WriteFile(b.Path("file"), []byte("content"), 0o644))
	must(t, os.Symlink("file", b.Path("good")))
	check := func() {
		for name, want := range map[string]string{"link": "target/of it", "long": long, "dangling": "/nowhere"} {
			if got, err := os.Readlink(b.Path(name)); err != nil || got != want {
				t.Errorf("readlink %s: got %q, %v, want %q", name, got, err, want)
			}
			st, err := os.Lstat(b.Path(name))
			must(t, err)
			if st.Mode().Type() != os.ModeSymlink || st.Size() != int64(len(want)) {
				t.Errorf("lstat %s: got %v and %d bytes, want a link of %d", name, st.Mode(), st.Size(), len(want))
			}
		}
		_, err := os.Stat(b.Path("dangling"))
		wantErrno(t, "stat of a dangling link", err, syscall.ENOENT)
		wantFile(t, b.Path("good"), []byte("content"))
	}
	check()
	b.Flush()
	wantObject(t, b, "link", []byte("target/of it"))
	check()
	b.Afresh()
	check()
	must(t, os.Remove(b.Path("link")))
	must(t, os.Rename(b.Path("long"), b.Path("link")))
	b.Afresh()
	if got, err := os.Readlink(b.Path("link")); err != nil || got != long {
		t.Errorf("readlink of the renamed: got %q, %v", got, err)
	}
}

// A symbolic link whose attributes alone were changed leads where it did, in this mount and the next, and nothing is asked for that.
//
// SEMANTICS 4.1
func TestSymlinkWithOtherAttributes(t *testing.T) {
	b := harness.New(t)
	made := []string{"here", "before"}
	for _, name := range made {
		must(t, os.Symlink("to "+name, b.Path(name)))
	}
	b.Flush()
	change := func(sec int64) {
		at := unix.Timespec{Sec: sec}
		for _, name := range made {
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, b.Path(name), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
		}
		b.Flush()
		b.Server.ResetCounts()
	}
	check := func(sec int64) {
		t.Helper()
		for _, name := range made {
			want := "to " + name
			if got, err := os.Readlink(b.Path(name)); err != nil || got != want {
				t.Errorf("readlink %s: got %q, %v, want %q", name, got, err, want)
			}
			st, err := os.Lstat(b.Path(name))
			must(t, err)
			if st.Mode().Type() != os.ModeSymlink || st.Size() != int64(len(want)) || st.ModTime().Unix() != sec {
				t.Errorf("lstat %s: got %v of %d bytes and time %d, want a link of %d and time %d", name, st.Mode(), st.Size(), st.ModTime().Unix(), len(want), sec)
			}
		}
		if n := b.Server.Counts()["GetObject"]; n > 0 {
			t.Errorf("%d targets were asked for", n)
		}
	}
	change(100)
	check(100)
	b.Remount() // what the index keeps
	change(200)
	check(200)
	b.Remount()
	check(200)
}

// The attributes of a symbolic link that another client has made anew meanwhile are set on what is there, which leads where it does.
//
// SEMANTICS 4.1
func TestSymlinkMadeAnewByOthers(t *testing.T) {
	b := harness.New(t)
	must(t, os.Symlink("ours", b.Path("link")))
	b.Flush()
	at := unix.Timespec{Sec: 100}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, b.Path("link"), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
	o, _ := b.Object("link")
	must(t, b.Server.Put(harness.Bucket, "link", []byte("theirs"), o.Header))
	b.Flush()
	harness.Eventually(t, "the length of the other client's target", func() bool { return stat(t, b.Path("link")).Size == 6 })
	if got, err := os.Readlink(b.Path("link")); err != nil || got != "theirs" {
		t.Errorf("readlink: got %q, %v, want what the other client made", got, err)
	}
	if st, err := os.Lstat(b.Path("link")); err != nil || st.ModTime().Unix() != 100 {
		t.Errorf("lstat: got %v, %v, want our time", st, err)
	}
}

// SEMANTICS 4.1
func TestSpecialFiles(t *testing.T) {
	b := harness.New(t)
	dev := int(unix.Mkdev(5, 300))
	kinds := map[string]uint32{"fifo": syscall.S_IFIFO | 0o600, "socket": syscall.S_IFSOCK | 0o755, "file": syscall.S_IFREG | 0o640}
	if os.Geteuid() == 0 {
		kinds["char"], kinds["block"] = syscall.S_IFCHR|0o666, syscall.S_IFBLK|0o660
	}
	for name, mode := range kinds {
		must(t, syscall.Mknod(b.Path(name), mode, dev))
	}
	check := func() {
		for name, mode := range kinds {
			var st syscall.Stat_t
			must(t, syscall.Lstat(b.Path(name), &st))
			if want := mode &^ umask(); st.Mode != want {
				t.Errorf("%s: got mode %o, want %o", name, st.Mode, want)
			}
			if (name == "char" || name == "block") && int(st.Rdev) != dev {
				t.Errorf("%s: got device %d, want %d", name, st.Rdev, dev)
			}
		}
	}
	check()
	must(t, os.WriteFile(b.Path("file"), []byte("mknod made it"), 0))
	b.Afresh()
	check()
	wantFile(t, b.Path("file"), []byte("mknod made it"))
}

// SEMANTICS 7.1
// A link that the bucket has leads where it did when it is renamed, alone or with its directory.
func TestRenamedSymlink(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	must(t, os.Symlink("target", b.Path("d", "link")))
	b.Afresh()
	for _, step := range [][2]string{{"d/link", "d/other"}, {"d", "e"}, {"e/other", "alone"}} {
		must(t, os.Rename(b.Path(step[0]), b.Path(step[1])))
		at := map[string]string{"d": "e/other"}[step[0]]
		if at == "" {
			at = step[1]
		}
		st, err := os.Lstat(b.Path(at))
		must(t, err)
		if got, err := os.Readlink(b.Path(at)); err != nil || got != "target" || st.Size() != int64(len(got)) {
			t.Errorf("%s is %d bytes long, and leads to %q (%v)", at, st.Size(), got, err)
		}
	}
}

func TestHardLinksAreRefused(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), nil, 0o644))
	if err := os.Link(b.Path("f"), b.Path("g")); !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("link: got %v, want EPERM or EOPNOTSUPP", err)
	}
}
