package fs

import (
	"context"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// The kernel has to let go of pages of an open file that is given another name when they may be of other bytes: those of an object that another client
// has changed. What was written here alone, and what a rename has moved that failed in the middle, is as the kernel has it.
func TestPagesOfWhatHasAnotherName(t *testing.T) {
	for name, tt := range map[string]struct {
		object string // what the bucket has of it
		change func(t *testing.T, m *Mount, s *ossservertest.Server)
		spoils bool
	}{
		"an edit gives way":    {"an object that is edited", givesWay, true},
		"a new file gives way": {"", givesWay, false},
		"a rename that fails": {"", func(t *testing.T, m *Mount, s *ossservertest.Server) {
			s.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
			if e := move(t, m.root, "a", "b"); e != syscall.EACCES {
				t.Fatalf("the rename: %v, want EACCES", e)
			}
			s.SetFaults()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := withoutKernel(t, "a/other")
			dir := find(t, m.root, "a")
			var f any
			var n *node
			if tt.object == "" {
				inode, h, _, e := dir.Create(t.Context(), "file", syscall.O_RDWR, 0o644, &fuse.EntryOut{})
				if e != 0 {
					t.Fatal(e)
				}
				n, f = inode.Operations().(*node), h
			} else {
				if err := s.Put(ossservertest.Bucket, "a/file", []byte(tt.object), nil); err != nil {
					t.Fatal(err)
				}
				n = find(t, dir, "file")
				h, _, e := n.Open(t.Context(), syscall.O_RDWR)
				if e != 0 {
					t.Fatal(e)
				}
				f = h
			}
			h := f.(*handle)
			defer h.Release(context.WithoutCancel(t.Context()))
			if _, e := h.Write(t.Context(), []byte("ours"), 0); e != 0 {
				t.Fatal(e)
			}
			if e := h.Flush(t.Context()); e != 0 {
				t.Fatal(e)
			}
			tt.change(t, m, s)
			if key := n.Key(); key == "a/file" {
				t.Fatal("it has its name still, and this test tests nothing")
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.suspect != tt.spoils {
				t.Errorf("the kernel is to drop its pages: %v, want %v", n.suspect, tt.spoils)
			}
		})
	}
}

// givesWay has another client put something where the file is.
func givesWay(t *testing.T, m *Mount, s *ossservertest.Server) {
	t.Helper()
	if err := s.Put(ossservertest.Bucket, "a/file", []byte("another client's, and longer than ours"), nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
		t.Fatal(err)
	}
}
