package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/writeback/disk"
)

func root(t *testing.T) (disk.FS, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	d, err := disk.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d, dir
}

// Files are private, made once, and neither made nor opened through a symbolic link.
func TestFiles(t *testing.T) {
	d, dir := root(t)
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, err := os.Stat(filepath.Join(dir, "a")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if _, err := d.Create("a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("link"); err == nil {
		t.Error("opened through a symbolic link")
	}
	if err := errors.Join(f.Sync(), d.SyncDir(""), d.Rename("a", "b"), d.SyncAll()); err != nil {
		t.Error(err)
	}
	if names, err := d.List(""); err != nil || !slices.Equal(names, []string{"b", "link"}) {
		t.Errorf("%q, %v", names, err)
	}
	if err := d.Remove("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed what is not there: %v", err)
	}
}

// What somebody else has put in the place of a file or of a folder is not opened, read or written.
func TestPlanted(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	victim := filepath.Join(outside, "victim")
	for name, plant := range map[string]func(d disk.FS, dir string) error{
		"a symbolic link": func(_ disk.FS, dir string) error { return os.Symlink(victim, filepath.Join(dir, "sub", "victim")) },
		"a hard link":     func(_ disk.FS, dir string) error { return os.Link(victim, filepath.Join(dir, "sub", "victim")) },
		"a pipe":          func(_ disk.FS, dir string) error { return unix.Mkfifo(filepath.Join(dir, "sub", "victim"), 0o600) },
		"a linked folder": func(_ disk.FS, dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "sub")), os.Symlink(outside, filepath.Join(dir, "sub")))
		},
		"another root": func(_ disk.FS, dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.MkdirAll(dir, 0o700), os.Symlink(outside, filepath.Join(dir, "sub")))
		},
	} {
		if err := errors.Join(os.MkdirAll(outside, 0o700), os.WriteFile(victim, []byte("precious"), 0o600)); err != nil {
			t.Fatal(err)
		}
		d, dir := root(t)
		if err := errors.Join(d.MkdirAll("sub"), plant(d, dir)); err != nil {
			t.Fatal(err)
		}
		if f, err := d.Open("sub/victim"); err == nil {
			t.Errorf("%s was opened: %v", name, f.Close())
		}
		if name == "a linked folder" {
			if f, err := d.Create("sub/new"); err == nil {
				t.Errorf("through %s a file was made: %v", name, f.Close())
			}
		}
		if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
			t.Errorf("after %s: %q, %v", name, text, err)
		}
		if names, err := os.ReadDir(outside); err != nil || len(names) != 1 {
			t.Errorf("after %s: %d files outside, %v", name, len(names), err)
		}
	}
}

// A punched range reads as zeros, and the length stays.
func TestPunch(t *testing.T) {
	d, _ := root(t)
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("0123456789"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Punch(2, 5); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if _, err := f.ReadAt(p, 0); err != nil || string(p) != "01\x00\x00\x00\x00\x00789" {
		t.Errorf("%q, %v", p, err)
	}
	if size, err := f.Size(); size != 10 || err != nil {
		t.Error(size, err)
	}
}
