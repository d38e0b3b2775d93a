package writeback

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// What is kept beside an object has a name of its own, though two conflicts come at the same moment, or another mount has given that name.
// SEMANTICS 5.2
func TestConflictsOfOneMoment(t *testing.T) {
	r := newRig(t)
	s := r.open()
	at := time.Now().Add(time.Hour)
	s.aside = at
	if a, b := s.besideLocked("a"), s.besideLocked("a"); a == b || a != conflictKey("a", "host", at) {
		t.Errorf("got %q and %q", a, b)
	}
	r.put("a", "theirs")
	now, err := r.bucket.Head(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	taken := string(conflictKey("a", "host", s.aside))
	r.put(taken, "another's")
	if err := s.keepAside(t.Context(), &now); !errors.Is(err, errAgain) {
		t.Errorf("where another mount has kept something: %v", err)
	}
	r.want(taken, "another's")
	made := string(conflictKey("a", "host", s.aside))
	r.put(made, "theirs")
	if err := s.keepAside(t.Context(), &now); err != nil { // the answer to an earlier request was lost
		t.Error(err)
	}
	if got, want := r.all(), map[string]string{"a": "theirs", "a beside": "another'stheirs"}; !maps.Equal(got, want) {
		t.Errorf("the bucket has %q, want %q", got, want)
	}
}

// The power fails when the bucket has just got what was kept beside another client's object: it is not kept there once more.
// SEMANTICS 5.2
func TestPowerFailsWhenTheBucketHasWhatIsKeptBeside(t *testing.T) {
	for seed := range uint64(12) {
		r := newRig(t)
		mem := disktest.New()
		b := &stored{Bucket: r.bucket}
		r.opt.Disk, r.opt.Bucket, r.opt.Delay = mem, b, time.Hour
		b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
		s := r.open()
		r.write(s, "a", "ours")
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		r.put("a", "theirs")
		r.flush(s)
		b.has = func() {}
		r.flush(r.open())
		if got, want := r.all(), map[string]string{"a": "theirs", "a beside": "ours"}; !maps.Equal(got, want) {
			t.Fatalf("seed %d: the bucket has %q, want %q", seed, got, want)
		}
	}
}
