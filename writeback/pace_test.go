package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
)

// The rate is that of the last ten seconds.
func TestPace(t *testing.T) {
	var p pace
	start := time.Unix(1700000000, 0)
	if got := p.rate(start); got != 0 {
		t.Errorf("nothing sent: %v", got)
	}
	for i := range 30 {
		p.add(start.Add(time.Duration(i)*time.Second), 1000)
	}
	for at, want := range map[int]float64{29: 1000, 34: 500, 60: 0} {
		if got := p.rate(start.Add(time.Duration(at) * time.Second)); got != want {
			t.Errorf("after %d s: %v bytes a second, want %v", at, got, want)
		}
	}
}

// A flush tells how many entries have failed for good.
func TestProgressFailed(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", KeyPrefix: "bad", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	r.write(s, "bad", "kept")
	r.write(s, "good", "sent")
	var last Progress
	if err := s.Flush(t.Context(), "", func(p Progress) { last = p }); err == nil {
		t.Error("no error")
	}
	if last.Failed != 1 || last.DoneEntries != 1 || last.Entries != 2 {
		t.Errorf("progress: %+v", last)
	}
	if rate := s.Status().Rate; rate <= 0 {
		t.Errorf("rate %v", rate)
	}
}

func TestContentType(t *testing.T) {
	for key, want := range map[Key]string{"a.JPG": "image/jpeg", "a.txt": "text/plain; charset=utf-8", "a.tar.gz": "application/gzip", "a.woff2": "font/woff2",
		"a": "application/octet-stream", "a.none": "application/octet-stream", "d.txt/": "application/x-directory"} {
		if got := contentType(key, &attr.Attr{}); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}
