package fs

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// dropping is a kernel that is told to drop pages.
type dropping struct {
	fusefs.ServerCallbacks
	told func(off, length int64)
}

func (d *dropping) InodeNotify(_ uint64, off, length int64) fuse.Status {
	if off != askNumber {
		d.told(off, length)
	}
	return fuse.OK
}

// The kernel drops its pages of what was written around them when the bytes are there and the write is not answered yet; where it has none, and
// of what can be mapped by who writes it, it is told nothing. A kernel that does this by itself, as Linux 6.18, hides from programs whether it is told.
func TestPagesAreDroppedOfWhatIsWrittenAroundThem(t *testing.T) {
	m, _ := withoutKernel(t)
	var reader *handle
	var told []string
	m.calls = &calls{}
	fusefs.NewNodeFS(m.root, &fusefs.Options{ServerCallbacks: &dropping{told: func(off, length int64) {
		got, _ := reader.Read(t.Context(), make([]byte, length), off)
		p, _ := got.Bytes(make([]byte, length))
		told = append(told, fmt.Sprintf("%d+%d, there is %q", off, length, p))
	}}})
	inode, f, _, e := m.root.Create(t.Context(), "file", syscall.O_WRONLY, 0o644, &fuse.EntryOut{})
	if e != 0 {
		t.Fatal(e)
	}
	n := inode.Operations().(*node)
	open := func(flags uint32) *handle {
		f, _, e := n.Open(t.Context(), flags)
		if e != 0 {
			t.Fatal(e)
		}
		t.Cleanup(func() { f.(*handle).Release(context.WithoutCancel(t.Context())) })
		return f.(*handle)
	}
	writer := f.(*handle)
	t.Cleanup(func() { writer.Release(context.WithoutCancel(t.Context())) })
	write := func(what string, h *handle, text string, off int64, want ...string) {
		t.Helper()
		if _, e := h.Write(t.Context(), []byte(text), off); e != 0 {
			t.Fatal(e)
		}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("%s: the kernel is told %q, want %q", what, told, want)
		}
		told = nil
	}
	write("nobody reads", writer, "one", 0)
	reader = open(syscall.O_RDONLY)
	write("somebody reads", writer, "two", 5000, `5000+3, there is "two"`)
	write("through the pages", open(syscall.O_WRONLY), "three", 0)
	write("what can be mapped", open(syscall.O_RDWR|syscall.O_DIRECT), "four", 0)
}
