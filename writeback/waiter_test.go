package writeback

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// putHook is a Bucket in which something happens before a PutObject, which may be refused for it.
type putHook struct {
	*ossclient.Bucket
	mu     sync.Mutex // guards the field below
	before func(key Key) error
}

func (b *putHook) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	b.mu.Lock()
	before := b.before
	b.mu.Unlock()
	if before != nil {
		if err := before(q.Key); err != nil {
			return ossclient.PutResult{}, err
		}
	}
	return b.Bucket.Put(ctx, q)
}

func (b *putHook) set(before func(key Key) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

// hooked is a Store that sends what is asked for, and nothing by itself.
func hooked(r *rig) (*Store, *putHook) {
	b := &putHook{Bucket: r.bucket}
	r.opt.Bucket, r.opt.Delay = b, time.Hour
	return r.open(), b
}

// Whoever waits for a tree waits for what was in it, also when that has another name meanwhile, which he has passed already, or
// other attributes.
// SEMANTICS 1.3
func TestWaitForWhatChangesMeanwhile(t *testing.T) {
	r := newRig(t)
	s, b := hooked(r)
	r.write(s, "m", "the first")
	tried := make(chan struct{}, 2)
	b.set(func(key Key) error {
		if key != "m" {
			tried <- struct{}{}
			return errUnfinished // they are tried again, later
		}
		<-tried
		<-tried
		b.set(nil)
		if err := s.Rename(context.Background(), "z", "a", RenameSource{}, Seen{}); err != nil {
			t.Error(err)
		}
		if err := s.SetAttr("n", Seen{}, Rest{}, fileAttr()); err != nil {
			t.Error(err)
		}
		return nil
	})
	r.write(s, "n", "attributes change")
	r.write(s, "z", "is renamed")
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := s.SyncTree(ctx, ""); err != nil {
		t.Fatal(err)
	}
	r.want("m", "the first")
	r.want("n", "attributes change")
	r.want("a", "is renamed")
}

// Whoever waits for a file waits for it when it is renamed meanwhile.
// SEMANTICS 1.3
func TestSyncWhileRenamed(t *testing.T) {
	r := newRig(t)
	s, _ := hooked(r)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	defer f.Release()
	if _, err := f.WriteAt(t.Context(), []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	release := must(s.reserve(t.Context(), &reservation{prefix: "a", exact: true}))(t) // it is not sent as a
	done := make(chan error, 1)
	go func() { done <- s.Sync(t.Context(), "a") }()
	r.until("it waits", func() bool {
		n := 0
		if err := s.loop.ask(func() { n = len(s.loop.waiters) }); err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
	if err := s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.want("b", "content")
	release()
}

// What failed for good and is being sent again has not failed before that has ended.
func TestWaitForWhatIsTriedAgain(t *testing.T) {
	r := newRig(t)
	s, b := hooked(r)
	r.write(s, "a", "content")
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied", Count: 1})
	if err := s.Sync(t.Context(), "a"); !errors.Is(err, ossclient.ErrPermission) {
		t.Fatalf("got %v, want that it is refused", err)
	}
	again, goOn := make(chan struct{}), make(chan struct{})
	b.set(func(Key) error {
		close(again)
		<-goOn
		return nil
	})
	sent := make(chan error, 1)
	go func() { sent <- s.Sync(t.Context(), "a") }()
	<-again
	w := &waiter{done: make(chan struct{})}
	if err := s.loop.ask(func() { s.loop.addWaiter(w) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.done:
		t.Errorf("it ended with %v", w.err)
	default:
	}
	b.set(nil)
	close(goOn)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	<-w.done
	if w.err != nil || w.failed != 0 {
		t.Errorf("the end: %d failed, %v", w.failed, w.err)
	}
}

// What failed and will be tried again by itself is not sent at once for those who wait; they can give up, and leave nothing.
func TestWaitForItsTime(t *testing.T) {
	r := newRig(t)
	s, b := hooked(r)
	tries := make(chan struct{}, 1000)
	b.set(func(Key) error {
		tries <- struct{}{}
		return errUnfinished
	})
	r.write(s, "a", "content")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Sync(ctx, "a") }()
	<-tries
	begun := time.Now()
	turn := func() (waiters int, troubles int) {
		if err := s.loop.ask(func() { waiters, troubles = len(s.loop.waiters), len(s.loop.troubles) }); err != nil {
			t.Fatal(err)
		}
		return waiters, troubles
	}
	r.until("it has failed", func() bool { _, n := turn(); return n > 0 })
	for range 100 { // of a loop that had it sent again
		turn()
	}
	n := len(tries)
	if took := time.Since(begun); n > int(took/(retryFirst/2)) {
		t.Errorf("tried %d times more within %v", n, took)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n, _ := turn(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	b.set(nil)
}

// A flush that leaves files behind says how many, and why the first.
func TestUnsentTellsTheFirst(t *testing.T) {
	r := newRig(t)
	s, _ := hooked(r)
	r.refuse()
	for _, key := range []string{"b", "a", "c"} {
		r.write(s, key, "content")
	}
	err := s.Flush(t.Context(), "", nil)
	var unsent *Unsent
	var refused *ossclient.Error
	if !errors.As(err, &unsent) || unsent.Count != 3 || !errors.As(err, &refused) || refused.Key != "a" {
		t.Errorf("got %v, want that three are not sent, and why a", err)
	}
	r.server.SetFaults()
	r.flush(s)
	if n := len(r.server.Keys(ossservertest.Bucket)); n != 3 {
		t.Errorf("the bucket has %d objects, want 3", n)
	}
}

// Who goes away before he is told does not look at what the loop still counts for him.
func TestWhoGoesAwayCountsNothing(t *testing.T) {
	s, gone := &Store{}, errors.New("gone")
	w := &waiter{failed: 1, done: make(chan struct{})}
	if err := s.unsent(w, gone); errors.As(err, new(*Unsent)) {
		t.Errorf("before he was told: %v", err)
	}
	close(w.done)
	if err := s.unsent(w, gone); !errors.As(err, new(*Unsent)) {
		t.Errorf("when he was told: %v", err)
	}
}
