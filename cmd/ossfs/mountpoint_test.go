package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMountInfo(t *testing.T) {
	entry := `36 35 0:52 / /mnt/a\040b\134c rw,nosuid - fuse.ossfs oss://bucket/p\040q rw,user_id=0` + "\n"
	m, ok := parseMountInfo(entry)
	want := mountInfo{device: "0:52", path: `/mnt/a b\c`, fsType: "fuse.ossfs", source: "oss://bucket/p q"}
	if !ok || m != want {
		t.Errorf("got %+v %v, want %+v", m, ok, want)
	}
	for _, entry := range []string{"", "-", "1 2 3 - x y", "36 35 0:52 / /mnt rw"} {
		if m, ok := parseMountInfo(entry); ok {
			t.Errorf("%q: got %+v, want none", entry, m)
		}
	}
}

func TestMountTableOfThisMachine(t *testing.T) {
	m, err := mountAt("/proc")
	if err != nil || m == nil || m.fsType != "proc" {
		t.Errorf("/proc: got %+v, %v", m, err)
	}
	if m, err := mountAt(t.TempDir()); err != nil || m != nil {
		t.Errorf("a plain directory: got %+v, %v", m, err)
	}
}

func TestCheckMountpoint(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	link := filepath.Join(dir, "link")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(empty, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):         "it does not exist: mkdir -p ",
		filepath.Join(dir, "none", "deep"): "it does not exist: mkdir -p ",
		file:                               "it is not a directory",
		"/proc":                            "it is a mountpoint already (proc, proc): choose another directory",
	} {
		if _, err := checkMountpoint(path); err == nil || !strings.HasPrefix(err.Error(), "mountpoint "+path+": "+want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	for path, notEmpty := range map[string]bool{empty: false, link: false, dir: true} {
		p, err := checkMountpoint(path)
		if err != nil || p.notEmpty != notEmpty {
			t.Errorf("%s: got %+v, %v, want not empty: %v", path, p, err, notEmpty)
		}
		if path == link && p.path != empty {
			t.Errorf("the link is %s, want %s", p.path, empty)
		}
	}
}

func TestStateDirIsPrivate(t *testing.T) {
	src := source{bucket: "bucket", prefix: "a/b c/"}
	parent := filepath.Join(t.TempDir(), "state")
	dir, err := prepareStateDir(parent, src)
	if err != nil {
		t.Fatal(err)
	}
	if base := filepath.Base(dir); !strings.HasPrefix(base, "bucket-a-b-c-") {
		t.Errorf("got %s", dir)
	}
	for _, path := range []string{parent, dir} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v, want 0700", path, info.Mode(), err)
		}
	}
	if other, err := prepareStateDir(parent, source{bucket: "bucket", prefix: "a-b/c/"}); err != nil || other == dir {
		t.Errorf("another source: got %s, %v", other, err)
	}

	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareStateDir(parent, src); err == nil || !strings.Contains(err.Error(), "others can write to it (mode 0777): chmod 700 "+dir) {
		t.Errorf("others can write: got %v", err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareStateDir(parent, src); err == nil || !strings.Contains(err.Error(), "others can write to it") {
		t.Errorf("others can add to it: got %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareStateDir(parent, src); err != nil {
		t.Errorf("others can read: got %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others could read, and still can: mode %v, %v", info.Mode(), err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareStateDir(parent, src); err == nil || !strings.Contains(err.Error(), "it is not a directory") {
		t.Errorf("a link in its place: got %v", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(parent, 4321, 4321); err != nil {
			t.Fatal(err)
		}
		if _, err := prepareStateDir(parent, src); err == nil || !strings.Contains(err.Error(), "it belongs to user 4321") {
			t.Errorf("another user's: got %v", err)
		}
	}
}

// A link in a state directory was put there by somebody: nothing is read or written through it.
func TestStateDirWithLinks(t *testing.T) {
	src := source{bucket: "bucket"}
	for name, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		for _, at := range []string{"mount.json", "journal/log.1", "index/pebble/000001.sst", "staged/00", "crash.log"} {
			outside := filepath.Join(t.TempDir(), "precious")
			if err := os.WriteFile(outside, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			dir, err := prepareStateDir(parent, src)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, at)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), link(outside, path)); err != nil {
				t.Fatal(err)
			}
			want := "state directory " + dir + ": " + at + " is a link, which ossfs never makes: find out who made it, and remove it"
			if _, err := prepareStateDir(parent, src); err == nil || err.Error() != want {
				t.Errorf("%s link %s: got %v", name, at, err)
			}
		}
	}
}

// Root keeps no state below what belongs to somebody else.
func TestStateDirBelowOthers(t *testing.T) {
	needRoot(t)
	top := t.TempDir()
	home := filepath.Join(top, "home")
	if err := errors.Join(os.Mkdir(home, 0o755), os.Chown(home, 4321, 4321), os.Mkdir(filepath.Join(home, "state"), 0o700)); err != nil {
		t.Fatal(err)
	}
	_, err := prepareStateDir(filepath.Join(home, "state"), source{bucket: "bucket"})
	if want := "state directory: others can change what is below " + home + ": give another --state-dir"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHolds(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mountAt("/proc")
	if err != nil {
		t.Fatal(err)
	}
	if !holds(os.Getpid(), m.device) {
		t.Errorf("an open file does not hold %+v", m)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if holds(os.Getpid(), "9999:1") {
		t.Error("a device that does not exist is held")
	}
}
