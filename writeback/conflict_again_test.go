package writeback

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// A file that is removed, and made anew, while it is not known whether the bucket has got it takes nothing away that another client has put there.
// SEMANTICS 5.2
func TestMadeAnewWhereItIsNotKnownWhatTheBucketHas(t *testing.T) {
	for _, x := range []struct {
		has    string
		policy Conflict
		want   map[string]string
	}{
		{"theirs", KeepBoth, map[string]string{"a": "theirs", "a beside": "anew"}},
		{"theirs", Fail, map[string]string{"a": "theirs"}},
		{"theirs", Overwrite, map[string]string{"a": "anew"}},
		{"sent", KeepBoth, map[string]string{"a": "anew"}},
		{"sent", Fail, map[string]string{"a": "anew"}},
		{"", KeepBoth, map[string]string{"a": "anew"}},
	} {
		r := newRig(t)
		r.opt.Delay, r.opt.OnConflict = time.Hour, x.policy
		s := r.open()
		r.write(s, "a", "sent")
		e := s.get("a")
		s.mu.Lock()
		if s.inflight["a"] = (flight{seq: e.seq}); x.has == "sent" {
			s.tried["a"] = &trial{seq: e.seq, size: e.size, sum: crc.Update(0, []byte("sent"))}
		}
		s.mu.Unlock()
		if x.has != "" {
			r.put("a", x.has)
		}
		if err := s.Remove("a", Seen{}); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		delete(s.inflight, "a")
		s.mu.Unlock()
		r.write(s, "a", "anew")
		err := s.Flush(t.Context(), "", nil)
		if fails := x.has == "theirs" && x.policy == Fail; fails != errors.As(err, new(*ConflictError)) || !fails && err != nil {
			t.Errorf("%q, %d: %v", x.has, x.policy, err)
		}
		if got := r.all(); !maps.Equal(got, x.want) {
			t.Errorf("%q, %d: the bucket has %q, want %q", x.has, x.policy, got, x.want)
		}
	}
}

// The removal of a file that was about to be sent takes nothing away that another client has put there since.
// SEMANTICS 5.2
func TestRemovedWhenItWasAboutToBeSent(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", "ours")
	s.mu.Lock()
	s.inflight["a"] = flight{seq: s.v.seq}
	s.mu.Unlock()
	if err := s.Remove("a", Seen{}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	delete(s.inflight, "a")
	s.mu.Unlock()
	r.put("a", "theirs")
	r.flush(s)
	r.want("a", "theirs")
}

// A file that is renamed while it is sent to its old name leaves that to what another client has put there, although the bucket had got it.
// SEMANTICS 5.2
func TestRenamedWhileSentWhereOthersHavePut(t *testing.T) {
	r := newRig(t)
	r.opt.Delay, r.opt.Believe = time.Hour, time.Hour
	b := &stored{Bucket: r.bucket}
	r.opt.Bucket = b
	s := r.open()
	r.write(s, "a", "ours")
	b.has = func() {
		if err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
			t.Error(err)
		}
		b.has = func() {}
	}
	if out := s.send(t.Context(), "a", true); out.err != nil {
		t.Fatal(out.err)
	}
	r.put("a", "theirs")
	r.flush(s)
	if got, want := r.all(), map[string]string{"a": "theirs", "b": "ours"}; !maps.Equal(got, want) {
		t.Errorf("the bucket has %q, want %q", got, want)
	}
}
