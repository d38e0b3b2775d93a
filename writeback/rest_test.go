package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// A directory waits for its times, which rsync and tar set when everything in it is there.
func TestDirectoriesRestLonger(t *testing.T) {
	o := Options{Delay: time.Second}
	for _, tt := range []struct {
		key  Key
		kind Kind
		want time.Duration
	}{
		{"d/f", Content, time.Second},
		{"d/", Content, directoryFactor * time.Second},
		{"d/", Attributes, directoryFactor * time.Second},
		{"d/", Absent, time.Second},
	} {
		if got := o.rest(&entry{key: tt.key, kind: tt.kind}); got != tt.want {
			t.Errorf("%s of %q rests %v, want %v", tt.kind, tt.key, got, tt.want)
		}
	}
}

// A directory whose attributes change after the files in it were sent is stored once all the same.
func TestOnePutADirectory(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = 200 * time.Millisecond // the directory has thirty times that to be changed
	sent := make(chan Key, 10)
	r.opt.Confirmed = func(c Confirmation) { sent <- c.Key }
	s := r.open()
	for _, key := range []Key{"d/", "d/link"} {
		if err := s.Put(key, fileAttr(), "", ossclient.Version{}); err != nil {
			t.Fatal(err)
		}
	}
	if key := <-sent; key != "d/link" {
		t.Fatalf("%q was sent first, want the link", key)
	}
	if err := s.SetAttr("d/", Seen{}, Rest{}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	r.flush(s)
	r.counts(map[string]int64{"PutObject": 2})
}
