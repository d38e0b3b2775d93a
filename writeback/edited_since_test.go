package writeback

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
)

// Who looked at a file before a state of ours was confirmed, and edits it after that, edits what the bucket has by then: his change is
// on top of it, and nothing is taken for another client's.
func TestEditOfWhatWasSeenBefore(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "large": 3 << 20} { // the changes alone of the large one are sent
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.open()
			content := noise(size, 1)
			seen := r.put("a", content)
			stale := func(context.Context, []byte, int64) error { return errors.New("the version that was seen is gone") }
			for i, change := range []string{"first", "second", "third"} {
				f := must(s.Edit("a", Seen{Version: seen}, fileAttr(), func(ctx context.Context, p []byte, off int64) error {
					if i > 0 {
						return stale(ctx, p, off)
					}
					copy(p, content[off:])
					return nil
				}))(t)
				if f.Size() != int64(len(content)) {
					t.Errorf("%s: %d bytes, want %d", change, f.Size(), len(content))
				}
				at := len(content) - 10
				content = content[:at] + change + noise(20, uint64(i)) // longer each time
				if _, err := f.WriteAt(t.Context(), []byte(content[at:]), int64(at)); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(content))
				if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
					t.Errorf("%s: it does not read what was sent before, with the change: %v", change, err)
				}
				r.close(f)
				r.flush(s)
				r.want("a", content)
			}
			if n := s.Status().Conflicts; n != 0 {
				t.Errorf("%d conflicts, want none: nobody else changed it", n)
			}
		})
	}
}

// The rename of a directory that failed is over: what is put at its old place afterwards, which a kill follows, stays there.
func TestFailedRenameOfADirectoryIsNotCarriedOn(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := must(Open(t.Context(), r.opt))(t)
	r.put("from/a", "a")
	r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	if err := s.RenameTree(t.Context(), "from/", "to/", Seen{}); !errors.Is(err, ossclient.ErrPermission) {
		t.Fatal(err)
	}
	r.server.SetFaults()
	r.put("from/b", "b") // by somebody who heard of the failure
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	r.flush(s)
	r.want("from/a", "a")
	r.want("from/b", "b")
	if body, there := r.body("to/b"); there {
		t.Errorf("it was moved by the next mount: %q", body)
	}
}

// A rename that ends before it has its turn leaves nothing reserved: what it would have moved is sent.
func TestRenameEndsBeforeItsTurn(t *testing.T) {
	r := newRig(t)
	s := r.open()
	first, err := s.reserve(t.Context(), &reservation{prefix: "d/"})
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.reserve(ended, &reservation{prefix: "d/"}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.write(s, "d/a", "content")
	first()
	r.flush(s)
	r.want("d/a", "content")
	again, err := s.reserve(t.Context(), &reservation{prefix: "d/"})
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// Writers wait for a file that was written to while it was sent so many times in a row: once it was sent, they do not.
func TestLateIsForgottenWhenSent(t *testing.T) {
	f := &File{}
	sent := func(err error) *sentState {
		st := &sentState{size: 10, done: make(chan struct{})}
		f.sent = st
		f.endSent(err)
		return st
	}
	waits := func() bool { // who may not wait is told
		f.sent = &sentState{size: 10, done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := f.lockUnsent(ctx, 0)
		if err == nil {
			f.mu.Unlock()
		}
		return err != nil
	}
	for range 2 {
		for i := range lateMost {
			if waits() {
				t.Errorf("a writer waits after %d times", i)
			}
			select {
			case <-sent(errOvertaken).done:
			default:
				t.Error("who waits for the end of the sending is not told")
			}
		}
		if !waits() {
			t.Errorf("a writer does not wait after %d times", lateMost)
		}
		sent(nil)
		if waits() {
			t.Error("a writer waits though it was sent")
		}
	}
}
