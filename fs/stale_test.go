package fs

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
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

// What others have deleted or replaced is asked for once by who has it open, and logged once, however often a kernel asks.
// SEMANTICS 2.1
func TestStaleIsAskedAndLoggedOnce(t *testing.T) {
	for what, change := range map[string]func(s *ossservertest.Server) error{
		"deleted":  func(s *ossservertest.Server) error { return s.Delete(ossservertest.Bucket, "file") },
		"replaced": func(s *ossservertest.Server) error { return s.Put(ossservertest.Bucket, "file", []byte("theirs"), nil) },
	} {
		t.Run(what, func(t *testing.T) {
			var log strings.Builder
			m, server := withOptions(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			if err := server.Put(ossservertest.Bucket, "file", []byte("content"), nil); err != nil {
				t.Fatal(err)
			}
			f, _, e := find(t, m.root, "file").Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT)
			if e != 0 {
				t.Fatal(e)
			}
			h := f.(*handle)
			defer h.Release(context.WithoutCancel(t.Context()))
			if err := change(server); err != nil {
				t.Fatal(err)
			}
			before := server.Counts()["GetObject"]
			for range 3 {
				if _, e := h.Read(t.Context(), make([]byte, 100), 0); e != syscall.ESTALE {
					t.Errorf("got %v, want %v", e, syscall.ESTALE)
				}
			}
			if n := server.Counts()["GetObject"] - before; n != 1 {
				t.Errorf("asked %d times", n)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("logged %d lines:\n%s", n, log.String())
			}
		})
	}
}

// A change of attributes by name is of the version that the name has by now, and not of one that is left to who has it open: the kernel is told to look the
// name up again.
func TestChangeOfWhatOthersReplaced(t *testing.T) {
	m, server := withoutKernel(t)
	put := func(body string) {
		if err := server.Put(ossservertest.Bucket, "file", []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("ours")
	n := find(t, m.root, "file")
	f, _, e := n.Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT) // there is no kernel to be given pages
	if e != 0 {
		t.Fatal(e)
	}
	defer f.(*handle).Release(context.WithoutCancel(t.Context()))
	put("theirs")
	m.tree.Forget("file")
	n.expire()
	in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: 0o600}}
	for _, want := range []syscall.Errno{syscall.ESTALE, 0} {
		if e := n.Setattr(t.Context(), nil, in, &fuse.AttrOut{}); e != want {
			t.Errorf("got %v, want %v", e, want)
		}
		n = find(t, m.root, "file")
	}
	if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
		t.Fatal(err)
	}
	if o, ok := server.Object(ossservertest.Bucket, "file"); !ok || o.Size != int64(len("theirs")) || o.Header.Get("X-Oss-Meta-Mode") == "" {
		t.Errorf("the bucket has %+v (%v)", o, ok)
	}
}

// What is made at a name that others have taken away is a file of its own, though the one that was there is open still; and so is what others have made there that
// is of another type.
func TestNewFileBesideAnOldHandle(t *testing.T) {
	m, server := withoutKernel(t)
	put := func(body string, mode int) {
		header := http.Header{"X-Oss-Meta-Mode": {strconv.Itoa(mode)}}
		if err := server.Put(ossservertest.Bucket, "file", []byte(body), header); err != nil {
			t.Fatal(err)
		}
		m.tree.Forget("file")
	}
	put("ours", attr.TypeFile|0o644)
	old := find(t, m.root, "file")
	f, _, e := old.Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT) // there is no kernel to be given pages
	if e != 0 {
		t.Fatal(e)
	}
	defer f.(*handle).Release(context.WithoutCancel(t.Context()))
	if err := server.Delete(ossservertest.Bucket, "file"); err != nil {
		t.Fatal(err)
	}
	m.tree.Forget("file")
	inode, made, _, e := m.root.Create(t.Context(), "file", syscall.O_WRONLY, 0o644, &fuse.EntryOut{})
	if e != 0 {
		t.Fatal(e)
	}
	if inode.Operations().(*node) == old {
		t.Error("what was made is the old file")
	}
	made.(*handle).Release(context.WithoutCancel(t.Context()))
	if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
		t.Fatal(err)
	}
	put("target", attr.TypeLink|0o777)
	link := find(t, m.root, "file")
	if target, e := link.Readlink(t.Context()); e != 0 || string(target) != "target" || link.typ != attr.TypeLink {
		t.Errorf("a link of others leads to %q (%v)", target, e)
	}
}
