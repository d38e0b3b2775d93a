package writeback

import (
	"context"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// headHook is a Bucket in which something happens before each look at an object.
type headHook struct {
	*ossclient.Bucket
	before func()
}

func (b *headHook) Head(ctx context.Context, key Key) (ossclient.Object, error) {
	b.before()
	return b.Bucket.Head(ctx, key)
}

// Another client changes an object and then deletes it while changes of it are being sent that are whole in the stage, and the file grows
// meanwhile to the size of which changes alone are sent: it is no edit of the object that is gone, for this process and for the next.
// SEMANTICS 1.1, 5.2
func TestGrownWhileItsBaseGoes(t *testing.T) {
	content := noise(100<<10, 1)
	want := "EDIT" + content[4:] + noise(2<<20, 2)
	for _, kill := range []bool{false, true} {
		r, n, mem := newRig(t), 0, disktest.New()
		b := &headHook{Bucket: r.bucket, before: func() {}}
		r.opt.Delay, r.opt.Disk, r.opt.Bucket = time.Hour, mem, b
		s := r.open()
		f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("EDIT"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.complete(t.Context(), 0, f.Size()); err != nil { // as an attempt that failed leaves it
			t.Fatal(err)
		}
		r.closed(f)
		b.before = func() {
			switch n++; n {
			case 1:
				r.put("a", "theirs")
				r.grow(f, want, len(content))
			case 2:
				if err := r.server.Delete(ossservertest.Bucket, "a"); err != nil {
					t.Error(err)
				}
			}
		}
		out := s.send(t.Context(), "a", true)
		if n < 2 {
			t.Fatalf("looked %d times (%v), and this test tests nothing", n, out.err)
		}
		r.close(f)
		if kill {
			_, s = r.killed(mem)
		}
		r.flush(s)
		r.want("a", want)
	}
}
