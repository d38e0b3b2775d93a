package writeback

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
)

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
}

// Parts that the bucket has are not told as unsent, though their file is.
func TestProgressOfParts(t *testing.T) {
	r := newRig(t)
	r.opt.Delay, r.opt.SinglePut, r.opt.partFirst = time.Hour, 256<<10, 128<<10
	s := r.open()
	r.server.SetFaults(ossserver.Fault{Op: "UploadPart", Skip: 4, Kind: ossserver.Stall})
	const size = 3 << 20 // more parts than are sent at once
	r.write(s, "large", strings.Repeat("x", size))
	if got := s.Status().Bytes; got > size || got == 0 {
		t.Errorf("at first %d bytes are unsent", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	var last Progress
	err := s.Flush(ctx, "", func(p Progress) {
		if last = p; s.Status().Bytes < size { // some are confirmed, and not only on their way
			cancel()
		}
	})
	if err == nil || last.DoneEntries != 0 || last.Entries != 1 || last.DoneBytes == 0 || last.DoneBytes >= last.Bytes {
		t.Errorf("got %v, progress %+v; want one entry, and some parts of it sent", err, last)
	}
	if got := s.Status().Bytes; got == 0 || got >= size {
		t.Errorf("%d bytes are unsent, progress %+v", got, last)
	}
}

// A request that takes long is progress while it goes on, and what it has not ended is not confirmed.
func TestProgressOfARequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int
		edit bool
	}{
		{"one request", 600 << 10, false},
		{"the only part", 900 << 10, false},
		{"a part of an edit", 3 << 20, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay, r.opt.SinglePut, r.opt.partFirst = time.Hour, 700<<10, 4<<20
			h := newHalfway(r, 1)
			s := r.open()
			content := noise(tt.size, 1)
			if tt.edit {
				f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
				content = content[:10] + "changed" + content[17:]
				if _, err := f.WriteAt(t.Context(), []byte("changed"), 10); err != nil {
					t.Fatal(err)
				}
				r.close(f)
			} else {
				r.write(s, "a", content)
			}
			var half, last Progress
			var confirmed int64
			stopped := h.stopped
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			defer cancel()
			err := s.Flush(ctx, "", func(p Progress) {
				select {
				case <-stopped:
					stopped = nil
				default:
				}
				if last = p; stopped == nil && half.DoneBytes == 0 && p.DoneBytes > 0 {
					st := s.Status()
					if half, confirmed = p, int64(tt.size)-st.Bytes; st.Passing == 0 {
						t.Errorf("halfway: %+v, want bytes on their way", st)
					}
					close(h.goOn)
				}
			})
			if half.DoneBytes == 0 {
				close(h.goOn)
			}
			if err != nil {
				t.Fatal(err)
			}
			if half.DoneEntries != 0 || half.DoneBytes <= 0 || half.DoneBytes > int64(tt.size)/2 || confirmed != 0 {
				t.Errorf("halfway: %+v, %d bytes confirmed; want up to a half done and nothing confirmed", half, confirmed)
			}
			if last.DoneEntries != 1 || last.DoneBytes != last.Bytes {
				t.Errorf("at the end: %+v", last)
			}
			r.want("a", content)
			if n := len(s.passing.bodies); n != 0 {
				t.Errorf("%d staged files are still on their way", n)
			}
		})
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
