package writeback

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// Attributes that are set on what another client has put there make it nothing that was seen here: it is not written to, replaced or removed by those who
// know, or have open, what was there before.
// SEMANTICS 2.1, 5.2
func TestAttributesSetOnWhatOthersHavePut(t *testing.T) {
	const theirs = "theirs, and longer"
	write := func(r *rig, f *File) {
		if _, err := f.WriteAt(r.t.Context(), []byte("OURS"), 0); err == nil {
			r.close(f)
		}
	}
	for what, do := range map[string]struct {
		before, while, after func(r *rig, s *Store, v ossclient.Version)
	}{
		"written to by who has it open": {before: func(r *rig, s *Store, v ossclient.Version) {
			s.live["a"] = must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t)
		}, after: func(r *rig, s *Store, _ ossclient.Version) {
			write(r, s.live["a"])
		}},
		"written to by who saw it before": {after: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t))
		}},
		"written to meanwhile": {while: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t))
		}},
		"made anew": {after: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Create("a", fileAttr(), v))(t))
		}},
		"removed": {after: func(r *rig, s *Store, v ossclient.Version) {
			if err := s.Remove("a", Seen{Version: v}); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			b := &copyHook{r.bucket, func(ossclient.CopyRequest, bool) {}}
			r.opt.Delay, r.opt.Bucket = time.Hour, b
			s := r.open()
			r.write(s, "a", "first")
			r.flush(s)
			v := r.version("a")
			if do.before != nil {
				do.before(r, s, v)
			}
			if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard"}, fileAttr()); err != nil {
				t.Fatal(err)
			}
			r.put("a", theirs)
			if do.while != nil {
				b.tell = func(q ossclient.CopyRequest, after bool) {
					if after && q.Source.ETag != v.ETag {
						do.while(r, s, v)
					}
				}
			}
			r.flush(s)
			if do.after != nil {
				do.after(r, s, v)
			}
			r.flush(s)
			r.want("a", theirs)
			if n := s.Status().Conflicts; n != 1 {
				t.Errorf("%d conflicts", n)
			}
		})
	}
}

// So it is when the process died, or the power failed, after they were set on what another client had put there, of whatever size: the next finds them there.
// SEMANTICS 5.2
func TestAttributesFoundOnWhatOthersHavePut(t *testing.T) {
	for i, theirs := range []string{"theirs, and longer", "theirs, and longer", "other", "other"} {
		for what, do := range map[string]func(s *Store, v ossclient.Version) error{
			"removed": func(s *Store, v ossclient.Version) error { return s.Remove("a", Seen{Version: v}) },
			"replaced": func(s *Store, v ossclient.Version) error {
				return s.Rename(t.Context(), "b", "a", RenameSource{Version: ossclient.Version{Key: "b"}}, Seen{Version: v})
			},
		} {
			r, mem, s := onMem(t)
			b := &copyHook{r.bucket, func(ossclient.CopyRequest, bool) {}}
			s.bucket = b
			r.write(s, "a", "first")
			r.write(s, "b", "ours")
			if err := s.Sync(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			v := r.version("a")
			if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard"}, fileAttr()); err != nil {
				t.Fatal(err)
			}
			r.put("a", theirs)
			var left *disktest.Mem
			b.tell = func(q ossclient.CopyRequest, after bool) {
				if !after && q.Source.ETag != v.ETag {
					if left = mem.Killed(); i%2 == 1 {
						left = mem.PowerCut(rand.New(rand.NewPCG(uint64(i), 0)))
					}
				}
			}
			if err := s.Sync(t.Context(), "a"); err != nil { // the attributes
				t.Fatal(err)
			}
			r.opt.Disk = left
			next := r.open()
			if err := next.Sync(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if err := do(next, v); err != nil {
				t.Fatal(err)
			}
			r.flush(next)
			kept := false
			for _, content := range r.all() {
				kept = kept || content == theirs
			}
			if !kept {
				t.Errorf("%s: the bucket has %q", what, r.all())
			}
		}
	}
}

// An object that another client deletes while attributes are sent, and it is written to, is not made anew with zeros in place of what it had.
func TestWrittenToWhileItsAttributesAreSentAndOthersDelete(t *testing.T) {
	r := newRig(t)
	b := &copyHook{Bucket: r.bucket}
	r.opt.Delay, r.opt.Bucket = time.Hour, b
	s := r.open()
	v := r.put("a", "first")
	if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard"}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	b.tell = func(_ ossclient.CopyRequest, after bool) {
		if after {
			return
		}
		f := must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("OURS"), v.Size); err != nil {
			t.Error(err)
		}
		r.close(f)
		r.server.Delete(ossservertest.Bucket, "a")
	}
	r.flush(s) // the attributes
	b.tell = func(ossclient.CopyRequest, bool) {}
	f, ok := s.OpenContent("a")
	if !ok {
		t.Fatal("what was written is not pending")
	}
	if _, err := f.WriteAt(t.Context(), []byte("MORE"), f.Size()); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	if err := s.Flush(t.Context(), "", nil); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("got %v, want that its other bytes are gone", err)
	}
	if got := r.all(); len(got) != 0 {
		t.Errorf("the bucket has %q", got)
	}
}

// Who has opened what another client put there goes on with it when the attributes that waited are set on it, though the copy that sets them has another
// ETag: nobody else has changed it.
// SEMANTICS 2.1, 5.2
func TestAttributesSetOnWhatIsOpenOfOthers(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	v := r.put("a", "first")
	if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard"}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	theirs := r.put("a", "theirs, and longer")
	f := must(s.Edit("a", Seen{theirs, s.Now()}, fileAttr(), nil))(t)
	r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 400, Code: "EntityTooLarge"})
	r.flush(s)
	if now := r.version("a"); now.ETag == theirs.ETag {
		t.Fatal("the copy has the ETag that it was made of, and this test tests nothing")
	}
	if _, err := f.WriteAt(t.Context(), []byte("OURS"), 0); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "OURSrs, and longer")
	if n := s.Status().Conflicts; n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

// Attributes that are found where they were to be set are no proof that the bytes are those that were seen: another client may have kept them with others.
// SEMANTICS 2.1, 5.2
func TestAttributesKeptByOthersWithOtherBytes(t *testing.T) {
	r := newRig(t)
	b := &copyHook{Bucket: r.bucket}
	r.opt.Delay, r.opt.Bucket = time.Hour, b
	s := r.open()
	v := r.put("a", "first")
	f := must(s.Edit("a", Seen{Version: v}, fileAttr(), nil))(t)
	a, sum := fileAttr(), crc.Update(0, []byte("first"))
	if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard", CRC64: &sum}, a); err != nil {
		t.Fatal(err)
	}
	b.tell = func(_ ossclient.CopyRequest, after bool) {
		if after {
			return
		}
		m := metadata("a", &a)
		if _, err := r.bucket.Put(t.Context(), ossclient.PutRequest{Key: "a", Size: 5, Body: stringReader("other"), Metadata: m}); err != nil {
			t.Error(err)
		}
	}
	r.flush(s)
	if _, err := f.WriteAt(t.Context(), []byte("OURS"), 0); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "other")
	if n := s.Status().Conflicts; n != 1 {
		t.Errorf("%d conflicts", n)
	}
}

// Attributes of a directory are set on the object that another client has given it, which says nothing of its kind.
func TestAttributesOfADirectoryOfOthers(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	a := fileAttr()
	a.SetMode(attr.TypeDir | 0o700)
	if err := s.SetAttr("d/", Seen{Version: ossclient.Version{Key: "d/", ETag: "another"}}, Rest{Class: "Standard"}, a); err != nil {
		t.Fatal(err)
	}
	r.put("d/", "")
	r.flush(s)
	o, err := r.bucket.Head(t.Context(), "d/")
	if err != nil {
		t.Fatal(err)
	}
	if got := attr.FromMetadata(o.Metadata); got.Mode != a.Mode {
		t.Errorf("mode %o, want %o", got.Mode, a.Mode)
	}
}

// Attributes that were to be set on a link are not set on the file that another client has put in its place, which would be a link by them, nor those of a
// file on a link.
// SEMANTICS 5.2
func TestAttributesOfAnotherKind(t *testing.T) {
	link := fileAttr()
	link.SetMode(attr.TypeLink | 0o777)
	for what, kinds := range map[string][2]attr.Attr{"a link, then a file": {link, fileAttr()}, "a file, then a link": {fileAttr(), link}, "a link, then an object": {link, {}}} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			ours, theirs := kinds[0], kinds[1]
			put := func(a attr.Attr, body string) ossclient.Version {
				t.Helper()
				_, err := r.bucket.Put(t.Context(), ossclient.PutRequest{Key: "a", Size: int64(len(body)), Body: stringReader(body), Metadata: metadata("a", &a)})
				if err != nil {
					t.Fatal(err)
				}
				return r.version("a")
			}
			v := put(ours, "ours")
			changed := ours
			changed.SetOwner(1, 1)
			if err := s.SetAttr("a", Seen{Version: v}, Rest{Class: "Standard", Target: "ours"}, changed); err != nil {
				t.Fatal(err)
			}
			put(theirs, "theirs")
			r.flush(s)
			o, err := r.bucket.Head(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if got := attr.FromMetadata(o.Metadata); packAttr(&got) != packOf(metadata("a", &theirs)) {
				t.Errorf("it has %+v, want %+v", got, theirs)
			}
			if _, waits := s.Lookup("a"); waits {
				t.Error("the attributes wait still")
			}
		})
	}
}
