package writeback

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// A file that is made where another was just removed is not sent before it is closed, though its key was to be deleted.
func TestHalfWrittenIsNotSent(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if err := s.Remove("a", Seen{Version: r.put("a", "before")}); err != nil {
		t.Fatal(err)
	}
	r.until("the removal waits to be sent", func() (queued bool) {
		_ = s.loop.ask(func() { queued = s.loop.absent.has("a") })
		return queued
	})
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte("half of it"), 0); err != nil {
		t.Fatal(err)
	}
	r.until("the queue is looked at", func() (empty bool) {
		_ = s.loop.ask(func() { empty = !s.loop.absent.has("a") && len(s.loop.active) == 0 && !s.loop.small.has("a") })
		return empty
	})
	if e := s.get("a"); !e.has(flagDirty) {
		t.Error("what is written to an open file was committed")
	}
	if n := r.server.Counts()["PutObject"]; n != 0 {
		t.Errorf("it was sent %d times", n)
	}
	if _, err := f.WriteAt(t.Context(), []byte(", and the rest"), 10); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "half of it, and the rest")
}

// What is written to since it was queued, or since an attempt began that is to be made again, waits for its close, unless
// somebody waits for it.
func TestWrittenToSinceItWasQueued(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	defer f.Release()
	if _, err := f.WriteAt(t.Context(), []byte("half of it"), 0); err != nil {
		t.Fatal(err)
	}
	e := s.get("a")
	for _, urgent := range []bool{false, true} {
		_ = s.loop.ask(func() {
			l := s.loop
			l.small.push("a", urgent)
			if got := l.take(&l.small, classSmall); (got != nil) != urgent {
				t.Errorf("urgent %v: sent: %v", urgent, got != nil)
			}
			delete(l.active, "a")
			for _, a := range []*sending{{seq: e.seq, urgent: urgent}, {seq: e.seq, again: true, soon: urgent}} {
				l.failed(e, a, outcome{seq: e.seq, err: errAgain})
				if got := l.small.has("a"); got != urgent {
					t.Errorf("%+v: to be sent again: %v", a, got)
				}
				l.small = queue{}
			}
			l.requeue(e, &sending{again: true, soon: urgent})
			if got := l.small.has("a"); got != urgent {
				t.Errorf("asked for meanwhile, urgent %v: to be sent again: %v", urgent, got)
			}
			l.small = queue{}
			l.active["a"] = &sending{seq: e.seq}
			l.enqueue(e, urgent)
			if a := l.active["a"]; !a.again || a.soon != urgent {
				t.Errorf("asked for while it is sent, urgent %v: got %+v", urgent, a)
			}
			delete(l.active, "a")
		})
	}
}

// What is written to a file between the moment when it is taken out of its queue and the one when it is sent waits for its close.
func TestWrittenToSinceItWasTaken(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", "before")
	f, ok := s.OpenContent("a")
	if !ok {
		t.Fatal("a is not pending")
	}
	if err := f.turn.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.loop.changed(s.get("a"), 0)
	r.until("it waits for its turn to be sent", func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return f.uses == 2
	})
	if _, err := f.WriteAt(t.Context(), []byte("half of it"), 0); err != nil {
		t.Fatal(err)
	}
	f.turn.give()
	r.until("it is sent, or not", func() (ended bool) {
		_ = s.loop.ask(func() { ended = len(s.loop.active) == 0 })
		return ended
	})
	if e := s.get("a"); e == nil || !e.has(flagDirty) {
		t.Error("what is written to an open file was committed")
	}
	r.counts(nil)
	if _, err := f.WriteAt(t.Context(), []byte(", and the rest"), 10); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "half of it, and the rest")
}
