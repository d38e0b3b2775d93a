package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// What we deleted and another client put back as it was, with the ETag that it had, is what is edited, replaced and renamed.
func TestPutBackByAnother(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(r *rig, s *Store, v ossclient.Version)
		want map[string]string
	}{
		"edit": {func(r *rig, s *Store, v ossclient.Version) {
			f := must(s.Edit("a", v, fileAttr(), nil))(r.t)
			if _, err := f.WriteAt(r.t.Context(), []byte(", added"), f.Size()); err != nil {
				r.t.Fatal(err)
			}
			r.close(f)
		}, map[string]string{"a": "content, added"}},
		"replace": {func(r *rig, s *Store, v ossclient.Version) {
			f := must(s.Create("a", fileAttr(), v))(r.t)
			if _, err := f.WriteAt(r.t.Context(), []byte("new"), 0); err != nil {
				r.t.Fatal(err)
			}
			r.close(f)
		}, map[string]string{"a": "new"}},
		"rename": {func(r *rig, s *Store, v ossclient.Version) {
			if err := s.Rename(r.t.Context(), "a", "b", RenameSource{Version: v, Attr: fileAttr()}, ossclient.Version{}); err != nil {
				r.t.Fatal(err)
			}
			if got := r.confirmed[len(r.confirmed)-2].Object.Size; got != 7 { // the last is that the old one is gone
				r.t.Errorf("told of %d bytes, want 7", got)
			}
		}, map[string]string{"b": "content"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.open()
			v := r.put("a", "content")
			if err := s.Remove("a", v); err != nil {
				t.Fatal(err)
			}
			r.flush(s)
			if back := r.put("a", "content"); back != v {
				t.Fatalf("it is %v, was %v, and this test tests nothing", back, v)
			}
			tt.then(r, s, v)
			r.flush(s)
			for key, content := range tt.want {
				r.want(key, content)
			}
			if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
				t.Errorf("the bucket has %q", keys)
			}
		})
	}
}

// What was seen before two states of ours reached the bucket, of which the first was never confirmed, is renamed all the same.
func TestRenameAfterAnUnheardAnswer(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	b := &stored{Bucket: r.bucket}
	r.opt.Bucket = b
	s := r.open()
	seen := r.put("a", "content")
	f := must(s.Edit("a", seen, fileAttr(), nil))(t)
	write := func(content string) {
		if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
			t.Error(err)
		}
	}
	write("CON")
	puts := 0
	b.has = func() {
		if puts++; puts > 1 {
			return
		}
		b.unheard = true // and it is written to
		write("Con")
		if err := f.Commit(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Sync(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	f.Release()
	if puts != 2 {
		t.Fatalf("sent %d times, want 2: this test tests nothing", puts)
	}
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: seen, Attr: fileAttr()}, ossclient.Version{}); err != nil {
		t.Fatal(err)
	}
	r.want("b", "Content")
}
