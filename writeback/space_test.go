package writeback

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// The stage is empty when all was sent, or removed, whoever counted it in: else writers wait for nothing in the end.
func TestStageIsCountedRight(t *testing.T) {
	content := noise(3<<20, 1)
	// passing is a file of which parts have left the stage, closed by a process that was killed then.
	passing := func(t *testing.T) (*rig, *Store) {
		r, mem := newRig(t), disktest.New()
		r.opt.Disk = mem
		s := young(r)
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		r.landed(f)
		if !s.holed(f.stage) {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		r.close(f)
		_, next := r.killed(mem)
		if got := next.space.usage(); got <= 0 || got >= int64(len(content)) {
			t.Errorf("%d bytes are staged after the kill, want some, but not all %d", got, len(content))
		}
		return r, next
	}
	empty := func(t *testing.T, r *rig, s *Store) {
		t.Helper()
		r.until("no bytes are staged", s.unused)
	}
	t.Run("sent", func(t *testing.T) {
		r, s := passing(t)
		r.flush(s)
		r.want("a", content)
		empty(t, r, s)
	})
	t.Run("removed", func(t *testing.T) {
		r, s := passing(t)
		if err := s.Remove("a", Seen{}); err != nil {
			t.Fatal(err)
		}
		empty(t, r, s)
	})
	t.Run("an edit used again", func(t *testing.T) {
		r, _, s := onMem(t)
		base := r.put("a", content)
		f := must(s.Edit("a", Seen{Version: base}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("edited"), 5); err != nil {
			t.Fatal(err)
		}
		if err := f.complete(t.Context(), 0, 100_000); err != nil { // as an edge of a part is
			t.Fatal(err)
		}
		if err := f.Truncate(t.Context(), int64(len(content))+50_000); err != nil {
			t.Fatal(err)
		}
		r.close(f)
		for range 3 {
			f, pending := s.OpenContent("a")
			if !pending {
				t.Fatal("the edit is not pending")
			}
			f.Release()
		}
		r.flush(s)
		empty(t, r, s)
	})
}

// Who waits for space hears when nothing more can be sent, and goes on when there is some.
// SEMANTICS 1.9
func TestWaitForSpace(t *testing.T) {
	for name, test := range map[string]struct {
		urge func(sp *space)
		want error
	}{
		"failed": {func(sp *space) { sp.fail() }, syscall.ENOSPC},
		"sent":   {func(sp *space) { sp.set(1, 0) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sp := &space{total: 10, relieve: func() {}, of: make(map[uint64]int64)}
			urged := 0
			sp.urge = func() {
				if urged++; urged > 1 {
					t.Fatal("it waits again")
				}
				test.urge(sp)
			}
			sp.set(1, 10)
			if err := sp.wait(t.Context(), 1); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// Who waits for space while parts are on their way, and nothing else can be sent, looks again when they are: what they gave back may not be
// enough.
func TestWaiterLooksAgainWhenPartsAreSent(t *testing.T) {
	r := newRig(t)
	r.opt.Delay, r.opt.StageBudget, r.opt.Disk = time.Hour, 1<<20, disktest.New()
	s := r.open()
	content := noise(250<<10, 1)
	var files []*File
	for _, key := range []Key{"a", "b", "c", "d"} { // they are being written
		f := must(s.Create(key, fileAttr(), ossclient.Version{}))(t)
		defer f.Release()
		r.grow(f, content, 0)
		files = append(files, f)
	}
	sent := make(chan struct{})
	if !files[0].send(func() { <-sent }) {
		t.Fatal("nothing can be sent")
	}
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	wrote := make(chan error, 1)
	go func() {
		_, err := files[0].WriteAt(ctx, []byte(content), int64(len(content)))
		wrote <- err
	}()
	r.until("it waits, and has asked for space", func() bool {
		s.space.mu.Lock()
		defer s.space.mu.Unlock()
		return len(s.space.waiters) > 0
	})
	if err := s.loop.ask(s.loop.pressure); err != nil {
		t.Fatal(err)
	}
	close(sent)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// What was given back is not enough: who waits asks again, since what it hoped for may have been that.
func TestWaiterAsksAgain(t *testing.T) {
	sp := &space{total: 10, relieve: func() {}, of: make(map[uint64]int64)}
	left := int64(15)
	sp.urge = func() {
		left -= 2
		sp.set(1, left)
	}
	sp.set(1, left)
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := sp.wait(ctx, 1); err != nil || left != 9 {
		t.Errorf("got %v with %d staged, want none with 9", err, left)
	}
}

// Nothing can be sent any more, which is found out when somebody has only begun to wait: what was sent last can be given up now, and he has
// asked for nothing yet.
func TestWaiterAsksBeforeItIsTold(t *testing.T) {
	sp := &space{total: 10, of: make(map[uint64]int64)}
	sp.relieve = sp.fail // found out for another
	sp.urge = func() { sp.set(1, 0) }
	sp.set(1, 10)
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := sp.wait(ctx, 1); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
