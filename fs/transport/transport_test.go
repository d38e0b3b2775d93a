package transport

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// top is a directory whose lookups do what the test says, with one file in it.
type top struct {
	fusefs.Inode
	lookup func(ctx context.Context, name string) syscall.Errno
	file   file
	grace  time.Duration // 0: the usual one
}

func (d *top) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if name == "file" {
		return d.NewInode(ctx, &d.file, fusefs.StableAttr{Mode: fuse.S_IFREG}), 0
	}
	if e := d.lookup(ctx, name); e != 0 {
		return nil, e
	}
	return nil, syscall.ENOENT
}

// file gives its content in pieces that are spoiled when they are given back.
type file struct {
	fusefs.Inode
	content []byte
	given   atomic.Int64 // results
	back    atomic.Int64 // of those, given back
}

func (f *file) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Size, out.Mode = uint64(len(f.content)), 0o644
	return 0
}

func (f *file) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *file) Read(_ context.Context, _ fusefs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.given.Add(1)
	end := min(off+int64(len(dest)), int64(len(f.content)))
	r := &spoiled{f: f}
	for at := min(off, end); at < end; at += 100_000 {
		r.pieces = append(r.pieces, bytes.Clone(f.content[at:min(at+100_000, end)]))
	}
	return r, 0
}

type spoiled struct {
	f      *file
	pieces [][]byte
}

func (s *spoiled) Size() (n int) {
	for _, p := range s.pieces {
		n += len(p)
	}
	return n
}

func (s *spoiled) Bytes([]byte) ([]byte, fuse.Status) { return bytes.Join(s.pieces, nil), fuse.OK }
func (s *spoiled) Slices() ([][]byte, fuse.Status)    { return s.pieces, fuse.OK }
func (s *spoiled) Done() {
	for _, p := range s.pieces {
		clear(p)
	}
	s.f.back.Add(1)
}

// mounted mounts a tree, with nothing believed by the kernel; served is closed when Serve has returned.
func mounted(t *testing.T, root fusefs.InodeEmbedder) (dir string, c *Conn, served chan struct{}) {
	t.Helper()
	dir, c, serve := unserved(t, root)
	if d, ok := root.(*top); ok && d.grace > 0 {
		c.grace = d.grace
	}
	return dir, c, serve()
}

// mayMount skips a test where it was said that nothing can be mounted, and for who may not.
func mayMount(t *testing.T) {
	t.Helper()
	if os.Getenv("OSSFS_TEST_NO_FUSE") != "" {
		t.Skip("OSSFS_TEST_NO_FUSE is set")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may mount without fusermount3")
	}
}

// unserved mounts a tree that answers when it is told to.
func unserved(t *testing.T, root fusefs.InodeEmbedder) (dir string, c *Conn, serve func() (served chan struct{})) {
	t.Helper()
	mayMount(t)
	dir = t.TempDir()
	o := &fusefs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, MaxBackground: 64, FsName: "transport", Name: "test"}}
	c, err := Mount(fusefs.NewNodeFS(root, o), dir, &o.MountOptions, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	serve = sync.OnceValue(func() chan struct{} {
		served := make(chan struct{})
		go func() {
			defer close(served)
			c.Serve()
		}()
		if err := c.server.WaitMount(); err != nil { // else Go's netpoller, in this process, would wait for the answer to a POLL
			t.Error(err)
		}
		return served
	})
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH) // the test may have done it
		within(t, "the end of the connection", serve())
		if n := c.hands.Load(); n != 0 {
			t.Errorf("%d requests are in hands at the end", n)
		}
	})
	return dir, c, serve
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Errorf("%s: not within a minute", what)
	}
}

// absent looks a name up, which no name is.
func absent(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", name, err)
	}
}

// quicken makes lookups count as quick: the loop that leads answers the next one itself.
func quicken(t *testing.T, dir string, c *Conn) {
	t.Helper()
	for i := 0; ; i++ {
		absent(t, dir, "quick"+strconv.Itoa(i))
		if c.kinds[opLookup].quick() && i > slowFor {
			return
		}
		if i == 10_000 {
			t.Fatal("10,000 lookups, and none is quick")
		}
	}
}

// A request that waits for another one, although it was thought to be quick, does not keep it from being read: also
// after the watch has rested.
func TestQuickRequestWaitsForAnother(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{})
	d := &top{lookup: func(ctx context.Context, name string) syscall.Errno {
		switch name {
		case "waits":
			begun <- struct{}{}
			<-release
		case "releases":
			release <- struct{}{}
		}
		return 0
	}}
	dir, c, _ := mounted(t, d)
	for range 3 {
		quicken(t, dir, c)
		done := make(chan struct{})
		go func() {
			defer close(done)
			absent(t, dir, "waits")
		}()
		<-begun
		absent(t, dir, "releases")
		within(t, "the request that waited", done)
		for deadline := time.Now().Add(time.Minute); !c.resting.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the watch does not rest")
			}
		}
	}
}

// As many requests as are made at once are answered at once.
func TestAllAtOnce(t *testing.T) {
	const most = 100
	var in atomic.Int64
	all := make(chan struct{})
	d := &top{lookup: func(ctx context.Context, name string) syscall.Errno {
		if strings.HasPrefix(name, "all") {
			if in.Add(1) == most {
				close(all)
			}
			<-all
		}
		return 0
	}}
	dir, c, _ := mounted(t, d)
	quicken(t, dir, c)
	done := make(chan struct{})
	var callers sync.WaitGroup
	for i := range most {
		callers.Go(func() { absent(t, dir, "all"+strconv.Itoa(i)+"/") })
	}
	go func() {
		defer close(done)
		callers.Wait()
	}()
	within(t, "all requests", done)
}

// Bytes of a READ reach the kernel before they are given back, once each.
func TestReadInPieces(t *testing.T) {
	d := &top{}
	for i := range 3<<20 + 12_345 {
		d.file.content = append(d.file.content, byte(i*i>>9+i))
	}
	dir, _, served := mounted(t, d)
	for range 5 {
		got, err := os.ReadFile(filepath.Join(dir, "file"))
		if err != nil || !bytes.Equal(got, d.file.content) {
			t.Fatalf("%d bytes, equal: %v, %v", len(got), bytes.Equal(got, d.file.content), err)
		}
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	within(t, "Serve", served)
	if given, back := d.file.given.Load(), d.file.back.Load(); given < 5 || given != back {
		t.Errorf("%d answers, %d given back", given, back)
	}
}

// waiting is a directory in which the lookup of "waits" ends when the kernel says that nobody waits any more.
func waiting() (d *top, begun, ended chan struct{}) {
	begun, ended = make(chan struct{}), make(chan struct{})
	return &top{lookup: func(ctx context.Context, name string) syscall.Errno {
		if name == "waits" {
			close(begun)
			<-ctx.Done()
			close(ended)
			return syscall.EINTR
		}
		return 0
	}}, begun, ended
}

// A request is cancelled at once when its caller is killed.
// SEMANTICS 2.6
func TestCallerIsKilled(t *testing.T) {
	d, begun, ended := waiting()
	d.grace = time.Hour
	dir, c, _ := mounted(t, d)
	quicken(t, dir, c)
	caller := exec.Command("stat", filepath.Join(dir, "waits"))
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, "the request", begun)
	if err := caller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, "the request's end", ended)
	_ = caller.Wait() // killed
}

// A signal that does not end the program does not end its call, unless the call takes long after it.
// SEMANTICS 2.6
func TestCallerGetsASignal(t *testing.T) {
	for _, long := range []bool{false, true} {
		begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		d := &top{lookup: func(ctx context.Context, name string) syscall.Errno {
			if name != "waits" {
				return 0
			}
			close(begun)
			select {
			case <-release:
				ended <- nil
				return 0
			case <-ctx.Done():
				ended <- ctx.Err()
				return syscall.EINTR
			}
		}}
		if d.grace = time.Hour; long {
			d.grace = 10 * time.Millisecond
		}
		dir, c, _ := mounted(t, d)
		quicken(t, dir, c)
		thread, result := make(chan int, 1), make(chan error, 1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			thread <- unix.Gettid()
			var st unix.Stat_t
			result <- unix.Lstat(filepath.Join(dir, "waits"), &st)
		}()
		<-begun
		interrupts := c.interrupts.Load()
		if err := unix.Tgkill(unix.Getpid(), <-thread, unix.SIGURG); err != nil { // which Go bears at any time
			t.Fatal(err)
		}
		want := unix.EINTR
		if !long {
			want = unix.ENOENT
			for deadline := time.Now().Add(time.Minute); c.interrupts.Load() == interrupts; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the kernel has not told of the signal")
				}
			}
			close(release)
		}
		select {
		case err := <-result:
			if err != want {
				t.Errorf("long=%v: the call ends with %v, want %v", long, err, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("long=%v: the call does not end", long)
		}
		if err := <-ended; (err != nil) != long {
			t.Errorf("long=%v: the request was cancelled: %v", long, err)
		}
	}
}

// A connection that is cut cancels its requests, and Serve returns.
func TestConnectionIsCut(t *testing.T) {
	d, begun, ended := waiting()
	dir, c, served := mounted(t, d)
	quicken(t, dir, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := os.Lstat(filepath.Join(dir, "waits")); err == nil {
			t.Error("found")
		}
	}()
	within(t, "the request", begun)
	if err := unix.Unmount(dir, unix.MNT_FORCE); err != nil && !errors.Is(err, unix.EBUSY) {
		t.Fatal(err)
	}
	within(t, "the request's end", ended)
	within(t, "the caller", done)
	within(t, "Serve", served)
}

// A mount that fails, and one that has ended, leave no descriptor.
func TestNothingIsLeftOpen(t *testing.T) {
	before := devices()
	t.Run("failed", func(t *testing.T) {
		o := &fusefs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, Name: "test"}}
		if _, err := Mount(fusefs.NewNodeFS(&top{}, o), filepath.Join(t.TempDir(), "missing"), &o.MountOptions, slog.Default()); err == nil {
			t.Error("mounted on nothing")
		}
	})
	t.Run("ended", func(t *testing.T) {
		dir, c, served := mounted(t, &top{lookup: func(context.Context, string) syscall.Errno { return 0 }})
		absent(t, dir, "x")
		if !devices()[c.fd] {
			t.Error("the mount has no descriptor")
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		within(t, "Serve", served)
	})
	if after := devices(); !maps.Equal(before, after) {
		t.Errorf("descriptors of /dev/fuse: %v, before %v", after, before)
	}
}
