package transport

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// believed is a directory whose entries are directories that the kernel believes in for an hour.
type believed struct {
	top
	asked  atomic.Int64 // lookups
	forgot atomic.Int64 // entries that the kernel let go of
}

func (d *believed) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d.asked.Add(1)
	out.SetEntryTimeout(time.Hour)
	out.SetAttrTimeout(time.Hour)
	if child := d.GetChild(name); child != nil {
		return child, 0
	}
	return d.NewInode(ctx, &sub{d: d}, fusefs.StableAttr{Mode: fuse.S_IFDIR}), 0
}

type sub struct {
	fusefs.Inode
	d *believed
}

func (s *sub) OnForget() { s.d.forgot.Add(1) }

// stat looks at a path without Go's poller.
func stat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(path, err)
	}
	return st
}

// An entry that is expired is asked for again, and what is mounted on it stays. An expired entry that the kernel does not know is
// an error that says so.
func TestExpire(t *testing.T) {
	d := &believed{}
	dir, c, served := mounted(t, d)
	if !c.Expires() {
		t.Skip("the kernel does not know it")
	}
	sub := filepath.Join(dir, "sub")
	stat(t, sub)
	if err := unix.Mount("none", sub, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(sub, unix.MNT_DETACH) })
	on := stat(t, sub).Dev
	before := d.asked.Load()
	stat(t, sub)
	if n := d.asked.Load(); n != before {
		t.Fatalf("%d lookups of what the kernel believes in", n-before)
	}
	if status := c.Expire(1, "sub"); !status.Ok() {
		t.Error(status)
	}
	if now := stat(t, sub).Dev; now != on {
		t.Error("what was mounted on it is gone")
	}
	if n := d.asked.Load(); n != before+1 {
		t.Errorf("%d lookups of what was expired, want one", n-before)
	}
	if status := c.Expire(77, "sub"); status != fuse.ENOENT {
		t.Errorf("in a directory that the kernel does not know: %v", status)
	}
	if err := unix.Unmount(sub, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	within(t, "Serve", served)
	if status := c.Expire(1, "sub"); status != fuse.Status(unix.ENODEV) {
		t.Errorf("after the end, when the descriptor may be another file's: %v", status)
	}
}

// What nobody uses is forgotten when the kernel is asked to, and what somebody uses is not.
func TestPrune(t *testing.T) {
	d := &believed{}
	dir, c, _ := mounted(t, d)
	if !c.Prunes() {
		t.Skip("the kernel does not know it")
	}
	names := []string{"a", "b", "c", "used"}
	for _, name := range names {
		stat(t, filepath.Join(dir, name))
	}
	used, err := unix.Open(filepath.Join(dir, "used"), unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(used)
	if status := c.Prune(nil); !status.Ok() {
		t.Errorf("nothing: %v", status)
	}
	forgotten := func(want int64) {
		t.Helper()
		for end := time.Now().Add(time.Minute); d.forgot.Load() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d forgotten, want %d", d.forgot.Load(), want)
			}
		}
	}
	// The numbers are those in which go-fuse first told of the nodes: the root has 1.
	if status := c.Prune([]uint64{2}); !status.Ok() {
		t.Errorf("one: %v", status)
	}
	forgotten(1)
	if status := c.Prune([]uint64{3, 4, 5}); !status.Ok() {
		t.Errorf("three, of which one is used: %v", status)
	}
	forgotten(3)
	before := d.asked.Load()
	stat(t, filepath.Join(dir, "used"))
	if d.asked.Load() != before || d.forgot.Load() != 3 {
		t.Errorf("%d forgotten, want 3: what is used is known", d.forgot.Load())
	}
}
