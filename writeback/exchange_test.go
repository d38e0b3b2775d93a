package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// swap is an exchange of what is called a and b in a test: keys of objects or of directories.
type swap struct {
	name    string
	a, b    Key
	sent    map[string]string // what the bucket has
	pending map[string]string // what is written, and not sent
	want    map[string]string // after it
}

// swaps are exchanges of all kinds.
func swaps() []swap {
	tree := map[string]string{"a/": "", "a/x": "ax", "a/only": "ao", "b/": "", "b/x": "bx", "b/deep/y": "by"}
	treeAfter := map[string]string{"b/": "", "b/x": "ax", "b/only": "ao", "a/": "", "a/x": "bx", "a/deep/y": "by"}
	return []swap{
		{name: "objects", a: "a", b: "b", sent: map[string]string{"a": "was a", "b": "was b"}, want: map[string]string{"a": "was b", "b": "was a"}},
		{name: "the first pending", a: "a", b: "b", sent: map[string]string{"b": "was b"}, pending: map[string]string{"a": "was a"}, want: map[string]string{"a": "was b", "b": "was a"}},
		{name: "the second pending", a: "a", b: "b", sent: map[string]string{"a": "was a"}, pending: map[string]string{"b": "was b"}, want: map[string]string{"a": "was b", "b": "was a"}},
		{name: "both pending", a: "a", b: "b", pending: map[string]string{"a": "was a", "b": "was b"}, want: map[string]string{"a": "was b", "b": "was a"}},
		{name: "directories", a: "a/", b: "b/", sent: tree, want: treeAfter},
		{name: "directories pending", a: "a/", b: "b/", pending: tree, want: treeAfter},
		{name: "directories written to", a: "a/", b: "b/", sent: tree, pending: map[string]string{"a/x": "ax2", "b/new": "bn"},
			want: map[string]string{"b/": "", "b/x": "ax2", "b/only": "ao", "a/": "", "a/x": "bx", "a/deep/y": "by", "a/new": "bn"}},
		{name: "a directory and an object", a: "a/", b: "b", sent: map[string]string{"a/": "", "a/x": "ax", "b": "was b"}, want: map[string]string{"b/": "", "b/x": "ax", "a": "was b"}},
		{name: "an object and a directory", a: "a", b: "b/", sent: map[string]string{"b/": "", "b/x": "bx", "a": "was a"}, want: map[string]string{"a/": "", "a/x": "bx", "b": "was a"}},
	}
}

func (w *swap) before() map[string]string {
	m := maps.Clone(w.sent)
	if m == nil {
		m = make(map[string]string)
	}
	maps.Copy(m, w.pending)
	return m
}

// prepare has the bucket and the Store have what is to be exchanged, durably.
func (w *swap) prepare(r *rig, s *Store) {
	r.t.Helper()
	for key, content := range w.sent {
		r.put(key, content)
	}
	for key, content := range w.pending {
		base := ossclient.Version{}
		if _, ok := w.sent[key]; ok {
			base = r.version(key)
		}
		if strings.HasSuffix(key, "/") {
			if err := s.Put(Key(key), fileAttr(), "", base); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		f := must(s.Create(Key(key), fileAttr(), base))(r.t)
		if _, err := f.WriteAt(r.t.Context(), []byte(content), 0); err != nil {
			r.t.Fatal(err)
		}
		r.close(f)
	}
	if err := s.sync.flush(); err != nil {
		r.t.Fatal(err)
	}
}

func (w *swap) do(ctx context.Context, r *rig, s *Store) error {
	side := func(key, to Key) Side {
		v := ossclient.Version{Key: key}
		if o, err := r.bucket.Head(context.Background(), key); err == nil {
			v = o.Version
		}
		v.Key = key
		tail := ""
		if strings.HasSuffix(string(key), "/") {
			tail = "/"
		}
		return Side{RenameSource{Version: v, Attr: fileAttr()}, Key(strings.TrimSuffix(string(to), "/") + tail)}
	}
	a, b := side(w.a, w.b), side(w.b, w.a)
	aside := Key("aside")
	if a.tree() {
		aside += "/"
	}
	var told atomic.Int64
	err := s.Exchange(ctx, a, b, aside, func(error) { told.Add(1) })
	if n := told.Load(); n != 1 && ctx.Err() == nil {
		r.t.Errorf("told of the end %d times", n)
	}
	return err
}

// seen is what a user of the Store sees: what is pending, over what the bucket has. It is looked at in this order, since
// what is pending goes to the bucket meanwhile.
func (r *rig) seen(s *Store) map[string]string {
	m := make(map[string]string)
	absent := make(map[string]bool)
	s.Walk("", func(st State) bool {
		if absent[string(st.Key)] = st.Kind == Absent; st.Kind != Content {
			return true
		}
		if f, ok := s.OpenContent(st.Key); ok {
			p := make([]byte, f.Size())
			_, _ = f.ReadAt(context.Background(), p, 0) // what is missing is seen
			m[string(st.Key)] = string(p)
			f.Release()
		} else if strings.HasSuffix(string(st.Key), "/") {
			m[string(st.Key)] = st.Target
		}
		return true
	})
	for _, key := range r.server.Keys(ossservertest.Bucket) {
		if _, pending := m[key]; !pending && !absent[key] {
			m[key], _ = r.body(key)
		}
	}
	return m
}

func (r *rig) wantSeen(s *Store, want map[string]string) {
	r.t.Helper()
	if got := r.seen(s); !maps.Equal(got, want) {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

// SEMANTICS 6.3
func TestExchange(t *testing.T) {
	for _, w := range swaps() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			w.prepare(r, s)
			if err := w.do(t.Context(), r, s); err != nil {
				t.Fatal(err)
			}
			r.wantSeen(s, w.want)
			r.flush(s)
			r.wantSeen(s, w.want)
			s.mu.RLock()
			defer s.mu.RUnlock()
			if len(s.v.moves) > 0 {
				t.Errorf("the journal has %d moves left", len(s.v.moves))
			}
		})
	}
}

// Files that are open when they are exchanged go on under the other name.
// SEMANTICS 6.3
func TestExchangeOfOpenFiles(t *testing.T) {
	for _, open := range []string{"a", "b", "ab"} {
		t.Run(open, func(t *testing.T) {
			w := swaps()[3]
			r := newRig(t)
			r.opt.Delay = time.Hour
			s := r.open()
			w.prepare(r, s)
			want := maps.Clone(w.want)
			files := make(map[string]*File)
			for _, name := range strings.Split(open, "") {
				f, pending := s.OpenContent(Key(name))
				if !pending {
					t.Fatalf("%s is not pending", name)
				}
				files[name] = f
			}
			if err := w.do(t.Context(), r, s); err != nil {
				t.Fatal(err)
			}
			r.wantSeen(s, want)
			for name, f := range files {
				other := strings.Trim("ab", name)
				if _, err := f.WriteAt(t.Context(), []byte("IS"), 0); err != nil {
					t.Fatal(err)
				}
				want[other] = "IS" + want[other][2:]
				r.close(f)
			}
			r.wantSeen(s, want)
			r.flush(s)
			for key, content := range want {
				r.want(key, content)
			}
		})
	}
}

// Whenever the process dies, or the power fails: after the next Open both sides are where they were, or both where they
// shall be, at once.
// SEMANTICS 6.3
func TestExchangeCutOff(t *testing.T) {
	for _, w := range swaps() {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/power=%v", w.name, power), func(t *testing.T) {
				outcomes := make(map[bool]int)
				for k, more := 0, true; more; k++ {
					r := newRig(t)
					mem := disktest.New()
					r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, patient{r.bucket}
					s := must(Open(t.Context(), r.opt))(t) // it is not closed: it dies
					w.prepare(r, s)
					ctx, stop := context.WithCancel(t.Context())
					mem.StopAt(k, stop)
					err := w.do(ctx, r, s)
					s.cancel()
					s.wg.Wait()
					if more = mem.Stopped(); !more && err != nil {
						t.Fatalf("k=%d: %v", k, err)
					}
					r.opt.Disk = mem.Killed()
					if power {
						r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(uint64(k), 3)))
					}
					next := r.open()
					got := r.seen(next)
					done := maps.Equal(got, w.want)
					outcomes[done]++
					if before := w.before(); !done && !maps.Equal(got, before) {
						t.Errorf("k=%d: got %q, neither %q nor %q", k, got, before, w.want)
					}
					r.flush(next)
					if sent := r.seen(next); !maps.Equal(sent, got) {
						t.Errorf("k=%d: seen %q, and then sent %q", k, got, sent)
					}
					stop()
				}
				t.Logf("not done %d times, done %d times", outcomes[false], outcomes[true])
				if outcomes[true] == 0 || outcomes[false] == 0 {
					t.Error("one of the two was never seen")
				}
			})
		}
	}
}

// A leg that OSS refuses for good has all of it taken back, whichever it is; what comes in the way for a while has not.
// SEMANTICS 6.3
func TestExchangeRefused(t *testing.T) {
	for _, w := range swaps() {
		t.Run(w.name, func(t *testing.T) {
			refused := 0
			for n, more := 0, true; more; n++ {
				r := newRig(t)
				r.opt.Delay = time.Hour
				s := r.open()
				w.prepare(r, s)
				r.server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied", Skip: n, Count: 1})
				err := w.do(t.Context(), r, s)
				want := w.before()
				if more = err != nil; !more {
					want = w.want
				} else if refused++; !errors.Is(err, ossclient.ErrPermission) {
					t.Errorf("n=%d: got %v", n, err)
				}
				r.flush(s)
				if got := r.seen(s); !maps.Equal(got, want) {
					t.Errorf("n=%d: got %q, want %q", n, got, want)
				}
				s.mu.RLock()
				if len(s.v.moves) > 0 {
					t.Errorf("n=%d: the journal has %d moves left", n, len(s.v.moves))
				}
				s.mu.RUnlock()
			}
			if copies := len(w.sent); copies > 0 && refused < copies {
				t.Errorf("refused %d times, the bucket had %d objects to be copied", refused, copies)
			}
		})
	}
}

// An exchange is taken back as far as there is something to be taken back: what another client has deleted meanwhile keeps
// nothing else under the name aside.
// SEMANTICS 6.3
func TestExchangeTakenBackInPart(t *testing.T) {
	w := swaps()[0]
	r := newRig(t)
	r.opt.Delay = time.Hour
	n := 0
	r.opt.Bucket = &slowCopies{r.bucket, func() error {
		if n++; n == 3 {
			if err := r.server.Delete(ossservertest.Bucket, "a"); err != nil { // where b is by now
				t.Error(err)
			}
			return &ossclient.Error{Op: "CopyObject", Kind: ossclient.ErrPermission}
		}
		return nil
	}}
	s := r.open()
	w.prepare(r, s)
	if err := w.do(t.Context(), r, s); !errors.Is(err, ossclient.ErrPermission) {
		t.Errorf("got %v, want that it was refused", err)
	}
	r.flush(s)
	r.wantSeen(s, map[string]string{"a": "was a"})
}

// slowCopies gives its caller a say before each CopyObject.
type slowCopies struct {
	*ossclient.Bucket
	before func() error
}

func (b *slowCopies) Copy(ctx context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	if err := b.before(); err != nil {
		return ossclient.CopyResult{}, err
	}
	return b.Bucket.Copy(ctx, q)
}

// An exchange whose caller goes away is not left half done.
// SEMANTICS 2.6, 6.3
func TestExchangeGoesOn(t *testing.T) {
	w := swaps()[0]
	r := newRig(t)
	ctx, leave := context.WithCancel(t.Context())
	n, proceed := 0, make(chan struct{})
	r.opt.Bucket = &slowCopies{r.bucket, func() error {
		if n++; n == 2 {
			leave()
			<-proceed
		}
		return nil
	}}
	s := r.open()
	w.prepare(r, s)
	over := make(chan error, 1)
	err := s.Exchange(ctx, Side{RenameSource{Version: r.version("a")}, "b"}, Side{RenameSource{Version: r.version("b")}, "a"}, "aside", func(err error) { over <- err })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the caller goes away: got %v", err)
	}
	close(proceed)
	if err := <-over; err != nil {
		t.Errorf("it goes on: got %v", err)
	}
	r.wantSeen(s, w.want)
}

// What passes is tried again, not taken back.
// SEMANTICS 6.3
func TestExchangeIsTriedAgain(t *testing.T) {
	w := swaps()[0]
	r := newRig(t)
	n := 0
	r.opt.Bucket = &slowCopies{r.bucket, func() error {
		if n++; n == 2 {
			return &ossclient.Error{Op: "CopyObject", Kind: ossclient.ErrUnavailable}
		}
		return nil
	}}
	s := r.open()
	w.prepare(r, s)
	if err := w.do(t.Context(), r, s); err != nil {
		t.Error(err)
	}
	r.wantSeen(s, w.want)
	if n != 4 {
		t.Errorf("%d copies, want 4", n)
	}
}
