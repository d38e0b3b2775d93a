package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
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
			s.live["a"] = must(s.Edit("a", v, fileAttr(), nil))(t)
		}, after: func(r *rig, s *Store, _ ossclient.Version) {
			write(r, s.live["a"])
		}},
		"written to by who saw it before": {after: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Edit("a", v, fileAttr(), nil))(t))
		}},
		"written to meanwhile": {while: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Edit("a", v, fileAttr(), nil))(t))
		}},
		"made anew": {after: func(r *rig, s *Store, v ossclient.Version) {
			write(r, must(s.Create("a", fileAttr(), v))(t))
		}},
		"removed": {after: func(r *rig, s *Store, v ossclient.Version) {
			if err := s.Remove("a", v); err != nil {
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
			if err := s.SetAttr("a", v, "Standard", "", fileAttr()); err != nil {
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
