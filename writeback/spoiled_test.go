package writeback

import (
	"errors"
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// Bytes that come wrong to the bucket are overwritten by the right ones: they are nobody else's, and no conflict.
// SEMANTICS 1.10
func TestWrongBytesAreOverwritten(t *testing.T) {
	content := noise(100<<10, 1)
	for name, change := range map[string]func(r *rig, s *Store) string{
		"new": func(r *rig, s *Store) string {
			r.write(s, "a", content)
			return content
		},
		"overwritten": func(r *rig, s *Store) string {
			f := must(s.Create("a", fileAttr(), r.put("a", "before")))(r.t)
			if _, err := f.WriteAt(r.t.Context(), []byte(content), 0); err != nil {
				r.t.Fatal(err)
			}
			r.close(f)
			return content
		},
		"link": func(r *rig, s *Store) string {
			if err := s.Put("a", attr.Attr{}, "target", ossclient.Version{}); err != nil {
				r.t.Fatal(err)
			}
			return "target"
		},
		"edited": func(r *rig, s *Store) string {
			f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(r.t)
			if _, err := f.WriteAt(r.t.Context(), []byte("CHANGED"), 50_000); err != nil {
				r.t.Fatal(err)
			}
			r.close(f)
			return content[:50_000] + "CHANGED" + content[50_007:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits a second before it sends again
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			want := change(r, s)
			r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.FlipBit, Count: 1})
			r.flush(s)
			r.want("a", want)
			if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
				t.Errorf("the bucket has %q", keys)
			}
			if n := s.Status().Conflicts; n != 0 {
				t.Errorf("%d conflicts", n)
			}
		})
	}
}

// What another client has stored since is not overwritten for wrong bytes of ours; nor is it when OSS has refused them.
// SEMANTICS 5.2
func TestOthersAreSeenAfterWrongBytes(t *testing.T) {
	for name, fault := range map[string]ossserver.Fault{
		"stored":  {Op: "PutObject", Kind: ossserver.FlipBit},
		"refused": {Op: "PutObject", Kind: ossserver.Error500, Status: 400, Code: "InvalidDigest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			f := must(s.Create("a", fileAttr(), r.put("a", "before")))(t)
			if _, err := f.WriteAt(t.Context(), []byte("ours"), 0); err != nil {
				t.Fatal(err)
			}
			r.close(f)
			r.server.SetFaults(fault)
			done := make(chan error, 1)
			go func() { done <- s.Flush(t.Context(), "", nil) }()
			r.until("it is to be sent again", func() bool { return len(s.Status().Failures) > 0 })
			r.put("a", "theirs")
			r.server.SetFaults()
			if err := <-done; err != nil {
				t.Error(err)
			}
			r.want("a", "theirs")
			if n := s.Status().Conflicts; n != 1 {
				t.Errorf("%d conflicts, want 1", n)
			}
		})
	}
}

// What the disk gives back otherwise than it was written is not accepted as sent: the checksum is that of the writing.
// SEMANTICS 1.10
func TestStagedBytesThatChanged(t *testing.T) {
	r, mem, s := onMem(t)
	r.write(s, "a", noise(5000, 1))
	staged := must(mem.Open(stageName(s.get("a").stage)))(t)
	if _, err := staged.WriteAt([]byte("rotten"), 3000); err != nil {
		t.Fatal(err)
	}
	if out := s.send(t.Context(), "a", true); !errors.Is(out.err, ossclient.ErrCorrupt) {
		t.Errorf("sent: got %v, want that the checksum is wrong", out.err)
	} else if !permanent(out.err) || !errors.Is(out.err, syscall.EIO) {
		t.Errorf("sent: got %v, want EIO, and that it is not sent again by itself", out.err)
	}
	if _, pending := s.Lookup("a"); !pending {
		t.Error("it is not pending any more")
	}
	if _, err := staged.WriteAt([]byte(noise(5000, 1)[3000:3006]), 3000); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.want("a", noise(5000, 1))
}

// Bytes that came wrong to the bucket are nobody else's, too, when what was sent is renamed or removed before it is sent again, or another file comes to its name.
func TestWrongBytesAreRemoved(t *testing.T) {
	for name, x := range map[string]struct {
		change func(r *rig, s *Store) error
		want   map[string]string
	}{
		"renamed": {func(r *rig, s *Store) error {
			return s.Rename(r.t.Context(), "a", "b", RenameSource{}, Seen{})
		}, map[string]string{"b": "ours", "c": "another"}},
		"removed": {func(r *rig, s *Store) error {
			return s.Remove("a", Seen{})
		}, map[string]string{"c": "another"}},
		"replaced": {func(r *rig, s *Store) error {
			return s.Rename(r.t.Context(), "c", "a", RenameSource{Version: r.version("c"), Attr: fileAttr()}, Seen{})
		}, map[string]string{"a": "another"}},
	} {
		r := newRig(t)
		r.opt.Delay = 1 << 40
		s := r.open()
		r.put("c", "another")
		r.write(s, "a", "ours")
		r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.FlipBit, Count: 1})
		if out := s.send(t.Context(), "a", true); !errors.Is(out.err, ossclient.ErrCorrupt) {
			t.Fatalf("sent: got %v, want that the checksum is wrong", out.err)
		}
		if err := x.change(r, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.flush(s)
		if got := r.all(); !maps.Equal(got, x.want) {
			t.Errorf("%s: the bucket has %q, want %q", name, got, x.want)
		}
		if n := s.Status().Conflicts; n != 0 {
			t.Errorf("%s: %d conflicts", name, n)
		}
	}
}
