package writeback

import (
	"slices"
	"testing"
	"time"

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
			if err := s.Remove("a", ossclient.Version{}); err != nil {
				r.t.Fatal(err)
			}
		}, nil},
		"rename": {func(r *rig, s *Store) {
			if err := s.Rename(r.t.Context(), "a", "b", RenameSource{}, ossclient.Version{}); err != nil {
				r.t.Fatal(err)
			}
		}, map[string]string{"b": "first"}},
		"rename and write": {func(r *rig, s *Store) {
			if err := s.Rename(r.t.Context(), "a", "b", RenameSource{}, ossclient.Version{}); err != nil {
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
