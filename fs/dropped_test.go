package fs

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// interrupted is a kernel that is told to drop pages of a file only when something was done after it was found calm.
type interrupted struct {
	kernel
	once sync.Once
	do   func()
}

func (x *interrupted) calmPages(i *fusefs.Inode, off, length int64) {
	x.kernel.calmPages(i, off, length)
	x.once.Do(x.do)
}

// started is a mount, and its bucket.
func started(t *testing.T) (*Mount, *ossservertest.Server) {
	t.Helper()
	if os.Getenv("OSSFS_TEST_NO_FUSE") != "" {
		t.Skip("OSSFS_TEST_NO_FUSE is set")
	}
	server := ossservertest.NewTest(t, ossserver.Options{})
	m, err := Start(t.Context(), Options{Bucket: server.Client(t), StateDir: t.TempDir(), Mountpoint: t.TempDir(), TTL: time.Minute, WriteBack: time.Hour, SinglePut: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := m.Unmount(ctx); err != nil {
			t.Error(err, m.Detach())
		}
		m.Wait()
		if err := m.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return m, server
}

// A time is set of a file, and the kernel drops its pages too late: it has the answer already, and lets others write. What a program is just writing lies in one of them, and is not here yet; who
// reads it meanwhile has the kernel ask for what was there before. Once it is written, everybody sees it.
// SEMANTICS 2.3
func TestWrittenWhilePagesAreDropped(t *testing.T) {
	const page, far, size = 4 << 10, 64 << 10, 1 << 20
	m, server := started(t)
	if err := server.Put(ossservertest.Bucket, "file", make([]byte, size), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.options.Mountpoint, "file")
	open := func(flags int) int {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	writer, reader := open(unix.O_RDWR), open(unix.O_RDONLY)
	if err := unix.Fadvise(reader, 0, 0, unix.FADV_RANDOM); err != nil { // what is not read is not in the kernel's pages
		t.Fatal(err)
	}
	write := func(p []byte) {
		if n, err := unix.Pwrite(writer, p, 0); n != len(p) || err != nil {
			t.Errorf("%d bytes written: %v", n, err)
		}
	}
	read := func(off int64) byte {
		p := make([]byte, page)
		if n, err := unix.Pread(reader, p, off); n != len(p) || err != nil {
			t.Errorf("%d bytes read: %v", n, err)
		}
		return p[0]
	}
	until := func(what string, ok func() bool) {
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("not within a minute: %s", what)
				return
			}
		}
	}
	write(bytes.Repeat([]byte{1}, page))
	until("what was there before is read", func() bool { return read(0) == 1 })

	var doing sync.WaitGroup
	dropping := make(chan struct{})
	m.notify.begin(&interrupted{kernel: m.calls, do: func() {
		server.ResetCounts()
		server.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.Stall})
		doing.Go(func() { read(far) }) // the kernel has this page locked until it is there
		until("a page is read", func() bool { return server.Counts()["GetObject"] > 0 })
		doing.Go(func() { write(bytes.Repeat([]byte{2}, far+page)) }) // and cannot send this before
		until("it is written to a page", func() bool { return read(0) == 2 })
		close(dropping)
	}})
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case <-dropping:
	case <-time.After(time.Minute):
		t.Fatal("the kernel is told nothing")
	}
	until("the page is dropped", func() bool { return read(0) == 1 })
	server.SetFaults()
	doing.Wait()
	if got := read(0); got != 2 {
		t.Errorf("after it was written %d is read", got)
	}
	n := m.nodes.get("file")
	until("the late drop is over", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.late.under == 0 })
}

// Before the first write that comes after a late drop is answered, what was read since of the same bytes is dropped once more, and nothing else;
// what comes while the drop goes on, or from a mapping, is not that write.
func TestWhatWasReadSinceALateDrop(t *testing.T) {
	const page = 4 << 10
	type op struct {
		does string // read, write, mapped: what the kernel writes of a mapping; begin, end: of a late drop; told: a whole one; during: a whole one, in a write
		off  int64  // in pages
		want piece  // what is dropped, in pages
	}
	scattered := []op{{does: "begin"}, {does: "end"}}
	for i := range int64(mostRead + 1) {
		scattered = append(scattered, op{does: "read", off: 2 * i})
	}
	for name, ops := range map[string][]op{
		"nothing was dropped":       {{does: "read"}, {does: "write"}},
		"nothing was read":          {{does: "read"}, {does: "begin"}, {does: "end"}, {does: "write"}, {does: "read"}, {does: "write"}},
		"the same was read":         {{does: "begin"}, {does: "end"}, {does: "read"}, {does: "write", want: piece{0, 1}}, {does: "read"}, {does: "write"}},
		"something else was read":   {{does: "begin"}, {does: "read", off: 1}, {does: "end"}, {does: "write"}, {does: "write", off: 1}},
		"before it was over":        {{does: "begin"}, {does: "read"}, {does: "write", want: piece{0, 1}}, {does: "end"}, {does: "write", want: piece{0, 1}}, {does: "write"}},
		"another began meanwhile":   {{does: "begin"}, {does: "end"}, {does: "read"}, {does: "begin"}, {does: "write", want: piece{0, 1}}, {does: "end"}, {does: "write", want: piece{0, 1}}, {does: "write"}},
		"the kernel was told":       {{does: "read"}, {does: "told"}, {does: "read"}, {does: "write", want: piece{0, 1}}, {does: "read"}, {does: "write"}},
		"one came during a write":   {{does: "told"}, {does: "during"}, {does: "read"}, {does: "write", want: piece{0, 1}}, {does: "read"}, {does: "write"}},
		"one of two goes on":        {{does: "begin"}, {does: "begin"}, {does: "end"}, {does: "read"}, {does: "write", want: piece{0, 1}}, {does: "write", want: piece{0, 1}}, {does: "end"}, {does: "write", want: piece{0, 1}}, {does: "write"}},
		"written of a mapping":      {{does: "begin"}, {does: "end"}, {does: "read"}, {does: "mapped"}, {does: "write", want: piece{0, 1}}},
		"many pieces were read":     append(scattered, op{does: "write", off: 1, want: piece{1, 2}}),
		"what was read is together": {{does: "begin"}, {does: "end"}, {does: "read"}, {does: "read", off: 1}, {does: "read", off: 3}, {does: "write", off: 1, want: piece{1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := withoutKernel(t, "file")
			var dropped []piece
			fusefs.NewNodeFS(m.root, &fusefs.Options{ServerCallbacks: &dropping{told: func(off, length int64) {
				dropped = append(dropped, piece{off / page, (off + length) / page})
			}}})
			m.notify.begin(&listener{})
			n := find(t, m.root, "file")
			f, _, e := n.Open(t.Context(), syscall.O_RDWR)
			if e != 0 {
				t.Fatal(e)
			}
			h := f.(*handle)
			t.Cleanup(func() { h.Release(context.WithoutCancel(t.Context())) })
			for i, x := range ops {
				ctx := t.Context()
				switch x.does {
				case "begin":
					n.mu.Lock()
					n.beginLateLocked()
					n.mu.Unlock()
				case "told", "during":
					written := func(context.Context, int64, int64) {}
					if x.does == "during" {
						written = n.writesAt()
					}
					m.notify.tell(notice{node: n.EmbeddedInode(), pages: true})
					if err := m.notify.settle(ctx); err != nil || len(dropped) != 1 {
						t.Fatalf("told of %d: %v", len(dropped), err)
					}
					written(ctx, x.off*page, page)
					dropped = nil
				case "end":
					n.endLate()
				case "read":
					got, e := h.Read(ctx, make([]byte, page), x.off*page)
					if e != 0 {
						t.Fatal(e)
					}
					got.Done()
				case "mapped":
					ctx = fuse.NewContext(ctx, &fuse.Caller{Pid: kernelPID})
					fallthrough
				case "write":
					if _, e := h.Write(ctx, make([]byte, page), x.off*page); e != 0 {
						t.Fatal(e)
					}
				}
				var want []piece
				if x.want != (piece{}) {
					want = []piece{x.want}
				}
				if !slices.Equal(dropped, want) {
					t.Errorf("%d: %s of page %d: dropped are %v, want %v", i, x.does, x.off, dropped, want)
				}
				dropped = nil
			}
		})
	}
}
