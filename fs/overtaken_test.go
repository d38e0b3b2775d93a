package fs

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// Who looked at a file, and then waited for a rename, edits what has become of it meanwhile, though so much was changed since that the stager
// does not remember what that was.
// SEMANTICS 2.3
func TestEditAfterALongWait(t *testing.T) {
	for name, sent := range map[string]bool{"pending": false, "in the bucket": true} {
		t.Run(name, func(t *testing.T) {
			m, server := withoutKernel(t)
			ctx := t.Context()
			write := func(f *writeback.File, content string) {
				t.Helper()
				if _, err := f.WriteAt(ctx, []byte(content), 0); err != nil {
					t.Fatal(err)
				}
				f.Release()
			}
			sync := func() {
				t.Helper()
				if err := m.store.Send(ctx, "file"); err != nil {
					t.Fatal(err)
				}
			}
			f, err := m.store.Create("file", attr.Attr{}, ossclient.Version{})
			if err != nil {
				t.Fatal(err)
			}
			if write(f, "first"); sent {
				sync()
			}
			n := find(t, m.root, "file")
			open, err := m.gate.shut(ctx, "file")
			if err != nil {
				t.Fatal(err)
			}
			cut := make(chan syscall.Errno, 1)
			go func() {
				in := &fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_SIZE, Size: 3}}
				cut <- n.Setattr(context.WithoutCancel(ctx), nil, in, &fuse.AttrOut{})
			}()
			for waits := false; !waits; time.Sleep(time.Millisecond) {
				m.gate.mu.Lock()
				waits = len(m.gate.queue) == 2
				m.gate.mu.Unlock()
			}
			if sent {
				o, _ := server.Object(ossservertest.Bucket, "file")
				f, err := m.store.Edit("file", writeback.Seen{Version: ossclient.Version{Key: "file", ETag: ossclient.ETag(o.ETag), Size: o.Size}, At: m.store.Now()}, attr.Attr{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				write(f, "FIRST")
			}
			sync()
			for i := range 20_000 { // more than it remembers
				key := ossclient.Key(fmt.Sprint("other", i))
				if err := m.store.Put(key, attr.Attr{}, "", ossclient.Version{}); err != nil {
					t.Fatal(err)
				}
				if err := m.store.Remove(key, writeback.Seen{}); err != nil {
					t.Fatal(err)
				}
			}
			open()
			if e := <-cut; e != 0 {
				t.Fatalf("truncate: %v", e)
			}
			sync()
			want := "fir"
			if sent {
				want = "FIR"
			}
			if got, _, err := server.Content(ossservertest.Bucket, "file"); err != nil || string(got) != want {
				t.Errorf("the bucket has %q (%v), want %q", got, err, want)
			}
		})
	}
}
