package lockfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/internal/lockfile"
)

// A lock is held by one, who is named to the others.
func TestOneHolder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		l, err := lockfile.Take(name)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var held *lockfile.HeldError
		if _, err := lockfile.Take(name); !errors.As(err, &held) || held.PID != strconv.Itoa(os.Getpid()) || held.Name != name {
			t.Errorf("locked twice: %v", err)
		}
		if took := time.Since(began); took != lockfile.Patience {
			t.Errorf("it waited for %v", took)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := lockfile.Take(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A holder that is just ending is waited for.
func TestHolderThatEnds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		l, err := lockfile.Take(name)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(lockfile.Patience/2, func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		next, err := lockfile.Take(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What cannot be locked is said as it is, at once.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), name); err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.Take(name); err == nil || errors.As(err, &held) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made behind the link: %v", err)
	}
}
