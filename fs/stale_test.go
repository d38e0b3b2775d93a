package fs

import (
	"context"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// A file that we wrote, and another client replaced a moment later, is ESTALE once: the open after that sees the new version.
// SEMANTICS 2.1
func TestOpenAfterStaleSeesTheNewVersion(t *testing.T) {
	m, server := withoutKernel(t)
	_, f, _, e := m.root.Create(t.Context(), "file", syscall.O_WRONLY, 0o644, &fuse.EntryOut{})
	if e != 0 {
		t.Fatal(e)
	}
	h := f.(*handle)
	if _, e := h.Write(t.Context(), []byte("ours"), 0); e != 0 {
		t.Fatal(e)
	}
	h.Release(t.Context())
	if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
		t.Fatal(err)
	}
	if err := server.Put(ossservertest.Bucket, "file", []byte("theirs"), nil); err != nil {
		t.Fatal(err)
	}
	read := func() (string, syscall.Errno) {
		n := find(t, m.root, "file")
		f, _, e := n.Open(t.Context(), syscall.O_RDONLY)
		if e != 0 {
			t.Fatal(e)
		}
		h := f.(*handle)
		defer h.Release(context.WithoutCancel(t.Context()))
		got, e := h.Read(t.Context(), make([]byte, 100), 0)
		if e != 0 {
			return "", e
		}
		defer got.Done()
		body, status := got.Bytes(make([]byte, 100))
		return string(body), syscall.Errno(status)
	}
	if got, e := read(); e != syscall.ESTALE {
		t.Errorf("the first read: %q, %v, want %v", got, e, syscall.ESTALE)
	}
	if got, e := read(); got != "theirs" || e != 0 {
		t.Errorf("the read after that: %q, %v", got, e)
	}
}
