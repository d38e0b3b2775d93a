package fs

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Who has a file open reads on though its object gets another ETag by our own doing: attributes of a large one are sent by a
// copy in parts. That is so while the copy is confirmed, too.
// SEMANTICS 2.1
func TestReadOnWhileAttributesAreSent(t *testing.T) {
	const size = 12 << 20
	tests := map[string]struct{ lost, asked, found bool }{
		"it was sent": {},
		"it is in the bucket, and the answer was lost": {lost: true},
		"so, and its attributes are asked for":         {lost: true, asked: true},
		"so, and its name is looked up":                {lost: true, found: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, server := withoutKernel(t)
			lost := test.lost
			if err := server.Put(ossservertest.Bucket, "file", make([]byte, size), nil); err != nil {
				t.Fatal(err)
			}
			faults := []ossserver.Fault{{Op: "CopyObject", Kind: ossserver.Error500, Status: 400, Code: "EntityTooLarge"}}
			if lost {
				faults = append(faults, ossserver.Fault{Op: "CompleteMultipartUpload", Kind: ossserver.ResetAfter, Count: 1})
			}
			server.SetFaults(faults...)
			n := find(t, m.root, "file")
			f, _, e := n.Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT) // there is no kernel to be given pages
			if e != 0 {
				t.Fatal(e)
			}
			h := f.(*handle)
			defer h.Release(context.WithoutCancel(t.Context()))
			read := func(off int64) {
				t.Helper()
				got, e := h.Read(t.Context(), make([]byte, 4096), off)
				if e != 0 {
					t.Fatalf("at %d: %v", off, e)
				}
				got.Done()
			}
			read(0)
			etag := func() string {
				o, _ := server.Object(ossservertest.Bucket, "file")
				return o.ETag
			}
			before := etag()
			in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: 0o600}}
			if e := n.Setattr(t.Context(), h, in, &fuse.AttrOut{}); e != 0 {
				t.Fatal(e)
			}
			synced := make(chan syscall.Errno, 1)
			go func() { synced <- h.Fsync(t.Context(), 0) }()
			for lost && etag() == before {
				time.Sleep(time.Millisecond)
			}
			if !lost {
				if e := <-synced; e != 0 {
					t.Fatal(e)
				}
				if etag() == before {
					t.Fatal("the object has the ETag that it had, and this test tests nothing")
				}
			}
			if m.tree.Forget("file"); test.asked {
				if e := n.Getattr(t.Context(), nil, &fuse.AttrOut{}); e != 0 {
					t.Fatal(e)
				}
			}
			if test.found {
				find(t, m.root, "file")
			}
			read(size - 4096)
		})
	}
}

// A removed file that others have replaced meanwhile is ESTALE to who has it open; nothing is sent for that.
func TestStaleAndRemoved(t *testing.T) {
	m, server := withoutKernel(t, "other")
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
	h := f.(*handle)
	defer h.Release(context.WithoutCancel(t.Context()))
	if e := m.root.Unlink(t.Context(), "file"); e != 0 {
		t.Fatal(e)
	}
	put("theirs")
	server.ResetCounts()
	if _, e := h.Read(t.Context(), make([]byte, 10), 0); e != syscall.ESTALE {
		t.Errorf("got %v, want %v", e, syscall.ESTALE)
	}
	if n := server.Counts(); n["GetObject"] != 1 || len(n) != 1 {
		t.Errorf("requests: %v", n)
	}
}

// What others have put there is shown, and is ESTALE to who has the file open, also while attributes that were set on what was there before cannot
// be sent.
// SEMANTICS 2.1
func TestStaleWhileAttributesAreRefused(t *testing.T) {
	m, server := withoutKernel(t)
	put := func(body string) {
		if err := server.Put(ossservertest.Bucket, "file", []byte(body), nil); err != nil {
			t.Fatal(err)
		}
		m.tree.Forget("file")
	}
	put("ours")
	n := find(t, m.root, "file")
	f, _, e := n.Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECT) // there is no kernel to be given pages
	if e != 0 {
		t.Fatal(e)
	}
	h := f.(*handle)
	defer h.Release(context.WithoutCancel(t.Context()))
	server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: 0o600}}
	if e := n.Setattr(t.Context(), h, in, &fuse.AttrOut{}); e != 0 {
		t.Fatal(e)
	}
	put("what is theirs")
	var out fuse.AttrOut
	if e := n.Getattr(t.Context(), nil, &out); e != syscall.ESTALE { // the kernel looks the name up again
		t.Errorf("got %v, want %v", e, syscall.ESTALE)
	}
	now := find(t, m.root, "file")
	if e := now.Getattr(t.Context(), nil, &out); now == n || e != 0 || out.Size != uint64(len("what is theirs")) {
		t.Errorf("%d bytes, %v", out.Size, e)
	}
	if _, e := h.Read(t.Context(), make([]byte, 10), 0); e != syscall.ESTALE {
		t.Errorf("got %v, want %v", e, syscall.ESTALE)
	}
	server.SetFaults()
	if err := m.Flush(t.Context(), "/nowhere", nil); err != nil {
		t.Error(err)
	}
}

// Whose a version is that is found while attributes wait to be sent is found out, and what is open is read on, also where fsync means the local disk.
func TestAttributesWaitAndFsyncIsLocal(t *testing.T) {
	m, server := withOptions(t, func(o *Options) { o.LocalFsync = true })
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
	f.(*handle).Release(t.Context())
	in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: 0o600}}
	if e := n.Setattr(t.Context(), nil, in, &fuse.AttrOut{}); e != 0 {
		t.Fatal(e)
	}
	put("theirs!")
	m.tree.Forget("file")
	n.expire()
	var out fuse.AttrOut
	if e := n.Getattr(t.Context(), nil, &out); e != 0 || out.Size != 7 || out.Mode&0o777 != 0o600 {
		t.Errorf("%d bytes, mode %o, %v", out.Size, out.Mode, e)
	}
}
