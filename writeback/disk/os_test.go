package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

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

// A lock is held by one, who is named to the others.
func TestLock(t *testing.T) {
	d, _ := root(t)
	l, err := d.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	var locked *disk.LockedError
	if _, err := d.Lock("lock"); !errors.As(err, &locked) || locked.PID == "" {
		t.Errorf("locked twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := d.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
