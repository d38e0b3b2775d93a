package writeback

import (
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// A process that dies between the bucket's getting a file and the journal's hearing of it leaves an object that
// is ours, whatever is done to the file by the next.
func TestDiedBetweenPutAndJournal(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(r *rig, s *Store)
		want map[string]string
	}{
		"nothing":   {func(*rig, *Store) {}, map[string]string{"a": "first"}},
		"overwrite": {func(r *rig, s *Store) { r.write(s, "a", "second, longer") }, map[string]string{"a": "second, longer"}},
		"remove": {func(r *rig, s *Store) {
			if err := s.Remove("a", Seen{}); err != nil {
				r.t.Fatal(err)
			}
		}, nil},
		"rename": {func(r *rig, s *Store) {
			if err := s.Rename(r.t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
				r.t.Fatal(err)
			}
		}, map[string]string{"b": "first"}},
		"exchange": {func(r *rig, s *Store) { exchangePending(r, s, "a", "b") }, map[string]string{"a": "second", "b": "first"}},
		"exchange, the other way round": {func(r *rig, s *Store) { exchangePending(r, s, "b", "a") },
			map[string]string{"a": "second", "b": "first"}},
		"rename and write": {func(r *rig, s *Store) {
			if err := s.Rename(r.t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
				r.t.Fatal(err)
			}
			r.write(s, "a", "third")
		}, map[string]string{"a": "third", "b": "first"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			r.write(s, "a", "first")
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.put("a", "first") // what the process sent as it died
			s = r.open()
			tt.then(r, s)
			r.flush(s)
			for key, content := range tt.want {
				r.want(key, content)
			}
			if keys := r.server.Keys(ossservertest.Bucket); len(keys) != len(tt.want) {
				t.Errorf("the bucket has %q, want %d objects", keys, len(tt.want))
			}
		})
	}
}

// What the bucket has got with other attributes gets the right ones, also when it is too large for CopyObject.
func TestStoredWithOtherAttributes(t *testing.T) {
	for name, bucket := range map[string]func(*ossclient.Bucket) Bucket{
		"copied":          func(b *ossclient.Bucket) Bucket { return b },
		"copied by parts": func(b *ossclient.Bucket) Bucket { return noCopies{b} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay, r.opt.Bucket = time.Hour, bucket(r.bucket)
			s := r.open()
			r.write(s, "a", "content")
			r.put("a", "content") // without any
			r.flush(s)
			r.want("a", "content")
			o, err := r.bucket.Head(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			want := fileAttr()
			if got := attr.FromMetadata(o.Metadata); got.Mode != want.Mode || got.Has&attr.HasMode == 0 {
				t.Errorf("got mode %o (%b), want %o", got.Mode, got.Has, want.Mode)
			}
			if n := s.Status().Conflicts; n != 0 {
				t.Errorf("%d conflicts", n)
			}
			r.noUploads()
		})
	}
}

// exchangePending writes b, and exchanges two keys.
func exchangePending(r *rig, s *Store, one, other Key) {
	r.t.Helper()
	r.write(s, "b", "second")
	side := func(key, to Key) Side { return Side{RenameSource{Version: ossclient.Version{Key: key}}, to} }
	if err := s.Exchange(r.t.Context(), side(one, other), side(other, one), "aside", func(error) {}); err != nil {
		r.t.Fatal(err)
	}
}

func TestTrialsAreRememberedOnceAndInOrder(t *testing.T) {
	var chain *trial
	for _, n := range []uint64{1, 2, 1, 3, 4, 5} {
		chain = (&trial{seq: n, size: 10, sum: n}).over(chain)
	}
	var c encoder
	c.trials(chain)
	d := decoder{buf: c.buf}
	var got []uint64
	for at := d.trials(); at != nil; at = at.older {
		got = append(got, at.sum)
	}
	if want := []uint64{5, 4, 3, 1}; d.bad || !slices.Equal(got, want) {
		t.Errorf("got %v (bad %v), want %v", got, d.bad, want)
	}
	if !chain.any(&ossclient.Object{Version: ossclient.Version{Size: 10}, CRC64: 1, HasCRC64: true}) {
		t.Error("the oldest is not known any more")
	}
	if chain.any(&ossclient.Object{Version: ossclient.Version{Size: 11}, CRC64: 1, HasCRC64: true}) {
		t.Error("an object of another size is taken for ours")
	}
}

// Attributes that an object has already are no conflict, whoever stored them: the process, perhaps, that died before it heard
// of it.
func TestAttributesThatAreThere(t *testing.T) {
	r := newRig(t)
	r.opt.Delay, r.opt.OnConflict = time.Hour, Fail
	a := fileAttr()
	a.SetMode(attr.TypeFile | 0o600)
	v := r.put("a", "before")
	s := r.open()
	if err := s.SetAttr("a", Seen{Version: v}, Rest{}, a); err != nil {
		t.Fatal(err)
	}
	if _, err := r.bucket.Put(t.Context(), ossclient.PutRequest{Key: "a", Size: 5, Body: stringReader("after"), Metadata: metadata("a", &a)}); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.want("a", "after")
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.confirmed[len(r.confirmed)-1]; c.Key != "a" || c.Attr.Mode != a.Mode || c.Object.ETag != r.version("a").ETag {
		t.Errorf("told %+v", c)
	}
	if n := r.server.Counts()["CopyObject"]; n != 1 {
		t.Errorf("%d copies, want one that is refused", n)
	}
	if o := (&ossclient.Object{Metadata: metadata("a", &a), StorageClass: "Standard"}); !stands(o, metadata("a", &a), "") || stands(o, metadata("a", &a), "IA") {
		t.Error("the storage class that is asked for does not count")
	}
}
