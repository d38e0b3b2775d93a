package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// A file that was closed, and that the bucket does not have yet, is changed where it lies when the power fails. What is
// found is what was closed, or what was closed after it; nothing, when bytes of it were overwritten; and never a mixture. The
// disk may have got the new bytes and not the journal's records, or the other way round.
// SEMANTICS 1.2
func TestRewrittenInAPowerCut(t *testing.T) {
	const size = 40_000
	old, fresh := noise(size, 1), noise(size, 2)
	write := func(t *testing.T, f *File, content string, off int) {
		t.Helper()
		if _, err := f.WriteAt(t.Context(), []byte(content), int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(t *testing.T, f *File, size int64) {
		t.Helper()
		if err := f.Truncate(t.Context(), size); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, f *File)
		want   []string // what may be found, beside what was closed first
	}{
		"overwritten": {func(t *testing.T, f *File) { write(t, f, fresh[:30_000], 5_000) }, []string{""}},
		"overwritten and closed": {func(t *testing.T, f *File) {
			write(t, f, fresh, 0)
			f.Release()
		}, []string{"", fresh}},
		"emptied": {func(t *testing.T, f *File) {
			truncate(t, f, 0)
			write(t, f, fresh[:30_000], 0)
		}, []string{""}},
		"cut":      {func(t *testing.T, f *File) { truncate(t, f, 10_000) }, []string{""}},
		"appended": {func(t *testing.T, f *File) { write(t, f, fresh, size) }, nil},
		"appended and closed": {func(t *testing.T, f *File) {
			write(t, f, fresh, size)
			f.Release()
		}, []string{old + fresh}},
		"appended, closed and overwritten": {func(t *testing.T, f *File) {
			write(t, f, fresh, size)
			if err := f.Commit(); err != nil {
				t.Fatal(err)
			}
			write(t, f, fresh[:10_000], 0)
		}, []string{"", old + fresh}},
		"longer": {func(t *testing.T, f *File) { truncate(t, f, 2*size) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found := make(map[string]int)
			for seed := range uint64(24) {
				r, mem, s := onMem(t)
				r.opt.Delay = time.Hour
				r.write(s, "a", old)
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				f, ok := s.OpenContent("a")
				if !ok {
					t.Fatal("a is not pending")
				}
				tt.change(t, f)
				if seed%4 == 0 {
					if err := s.sync.flush(); err != nil {
						t.Fatal(err)
					}
				}
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 4)))
				next := r.open()
				shown, pending := shownNow(t, next, "a")
				r.flush(next)
				got, there := r.body("a")
				if pending && shown != got || there != (got != "") { // or it was sent at once
					t.Errorf("seed %d: the mount showed %d bytes, the bucket has %d (%v)", seed, len(shown), len(got), there)
				}
				kind := "a mixture"
				for _, want := range append(tt.want, old) {
					if got == want {
						kind = fmt.Sprint(len(want), " bytes")
					}
				}
				if kind == "a mixture" {
					t.Errorf("seed %d: the bucket has %d bytes %.10q, of no state that was closed", seed, len(got), got)
				}
				found[kind]++
			}
			t.Log(found)
		})
	}
}

// A group that is made durable between the record of a state and the end of its commit has the staged bytes, too: the marker
// speaks for them.
// SEMANTICS 1.2
func TestGroupInTheMidstOfACommit(t *testing.T) {
	r, mem, s := onMem(t)
	if err := s.sync.flush(); err != nil { // the first one syncs all there is
		t.Fatal(err)
	}
	content := noise(40_000, 1)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
		t.Fatal(err)
	}
	seq := s.journal.Seq()
	s.mu.RLock() // keeps the record from taking effect
	done := make(chan error, 1)
	go func() { done <- f.Commit() }()
	r.until("it is journaled", func() bool { return s.journal.Seq() > seq })
	_, err := s.journal.Sync(s.sync.syncData)
	s.mu.RUnlock()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	f.Release()
	r.refuse()
	for seed := range uint64(8) {
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		if got, _ := shownNow(t, r.open(), "a"); got != content {
			t.Errorf("seed %d: %d bytes, other than what was committed", seed, len(got))
		}
	}
}

// fetching is a Bucket in which something happens before a Get.
type fetching struct {
	*ossclient.Bucket
	before func()
}

func (b *fetching) Get(ctx context.Context, q ossclient.GetRequest) (*ossclient.Body, error) {
	b.before()
	return b.Bucket.Get(ctx, q)
}

// Bytes of the base that were fetched so that an edit could be sent are durable before a state counts on them: one that was
// committed meanwhile, and what is added to the file afterwards.
// SEMANTICS 1.2
func TestFetchedBytesInAPowerCut(t *testing.T) {
	for _, when := range []string{"meanwhile", "afterwards"} {
		t.Run(when, func(t *testing.T) {
			r, mem := newRig(t), disktest.New()
			b := &fetching{Bucket: r.bucket, before: func() {}}
			r.opt.Disk, r.opt.Bucket, r.opt.Delay, r.opt.smallMost = mem, b, time.Hour, -1
			s := r.open()
			content := noise(40_000, 1)
			f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
			defer f.Release()
			write := func(text string, off int) {
				if _, err := f.WriteAt(t.Context(), []byte(text), int64(off)); err != nil {
					t.Error(err)
				}
			}
			flush := func() {
				if err := s.sync.flush(); err != nil {
					t.Error(err)
				}
			}
			added := func() {
				write("added", len(content))
				if when == "meanwhile" {
					r.closed(f)
				}
				flush()
			}
			write("EDIT", 100)
			r.closed(f)
			flush()
			if when == "meanwhile" {
				b.before = sync.OnceFunc(added)
			}
			if out := s.send(t.Context(), "a", true); out.err != nil {
				t.Fatal(out.err)
			}
			content = content[:100] + "EDIT" + content[104:]
			r.want("a", content)
			want := content
			if when == "meanwhile" {
				want += "added"
				flush()
			} else {
				added()
			}
			r.refuse()
			for seed := range uint64(8) {
				r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
				if got, pending := shownNow(t, r.open(), "a"); !pending || got != want {
					t.Errorf("seed %d: %d bytes, other than what was committed", seed, len(got))
				}
			}
		})
	}
}

// shownNow is what a Store shows of pending content, if it has any.
func shownNow(t *testing.T, s *Store, key Key) (content string, pending bool) {
	t.Helper()
	f, ok := s.OpenContent(key)
	if !ok {
		return "", false
	}
	defer f.Release()
	p := make([]byte, f.Size())
	if n, err := f.ReadAt(t.Context(), p, 0); err != nil && err != io.EOF || n != len(p) {
		t.Fatalf("read %d of %d bytes: %v", n, len(p), err)
	}
	return string(p), true
}

// The same for an object of the bucket that was edited and closed, and is edited again where it was edited before.
// SEMANTICS 1.2
func TestEditedAgainInAPowerCut(t *testing.T) {
	base := noise(60_000, 3)
	edited := func(content string, off int) string { return base[:off] + content + base[off+len(content):] }
	first, second := noise(20_000, 4), noise(20_000, 5)
	for seed := range uint64(24) {
		r, mem, s := onMem(t)
		r.opt.Delay = time.Hour
		r.put("a", base)
		o, err := r.bucket.Head(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Edit("a", Seen{Version: o.Version}, fileAttr(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, content := range []string{first, second} {
			if _, err := f.WriteAt(t.Context(), []byte(content), 10_000); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if err := f.Commit(); err != nil {
					t.Fatal(err)
				}
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 5)))
		r.flush(r.open())
		switch got, _ := r.body("a"); got {
		case base, edited(first, 10_000):
		default:
			t.Errorf("seed %d: the bucket has %d bytes, of no state that was closed", seed, len(got))
		}
		if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
			t.Errorf("seed %d: the bucket has %q", seed, keys)
		}
	}
}

// Content without a checksum (it is large, and was not written from the first byte to the last) is believed after a power cut
// when it was only added to, and not when bytes of it were overwritten. What was added is cut off: a hole that is made there
// later reads as zeros.
// SEMANTICS 1.2
func TestWithoutAChecksumInAPowerCut(t *testing.T) {
	first, second := noise(sumMost/2, 1), noise(sumMost/2+1, 2)
	size := int64(len(first) + len(second))
	for _, overwrite := range []bool{false, true} {
		for seed := range uint64(8) {
			r, mem, s := onMem(t)
			r.opt.Delay = time.Hour
			f, err := s.Create("a", fileAttr(), ossclient.Version{})
			if err != nil {
				t.Fatal(err)
			}
			put := func(content string, off int64) {
				t.Helper()
				if _, err := f.WriteAt(t.Context(), []byte(content), off); err != nil {
					t.Fatal(err)
				}
			}
			put(second, int64(len(first)))
			put(first, 0)
			if err := f.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := s.sync.flush(); err != nil {
				t.Fatal(err)
			}
			put(noise(5000, seed), size)
			if overwrite {
				put(noise(5000, seed), 100)
			}
			if seed%2 == 0 {
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
			}
			r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 6)))
			r.refuse()
			next := r.open()
			again, there := next.OpenContent("a")
			if there == overwrite {
				t.Fatalf("seed %d, overwritten %v: the content is there: %v", seed, overwrite, there)
			}
			if overwrite {
				continue
			}
			if err := again.Truncate(t.Context(), size+5000); err != nil {
				t.Fatal(err)
			}
			r.close(again)
			if shown, _ := shownNow(t, next, "a"); shown != first+second+strings.Repeat("\x00", 5000) {
				t.Errorf("seed %d: not what was closed, and zeros behind it", seed)
			}
		}
	}
}

// What was closed is believed by its checksum though it was to be overwritten: no byte of that has come to the disk.
// SEMANTICS 1.2
func TestAboutToBeOverwrittenInAPowerCut(t *testing.T) {
	content := noise(40_000, 1)
	for seed := range uint64(6) {
		r, mem, s := onMem(t)
		r.write(s, "a", content)
		f, _ := s.OpenContent("a")
		f.mu.Lock()
		err := f.readyLocked(t.Context(), 0, 100)
		f.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 7)))
		r.flush(r.open())
		r.want("a", content)
	}
}

// An edit of which nothing was closed leaves the object, and a change of its attributes.
// SEMANTICS 1.2
func TestEditNeverClosedInAPowerCut(t *testing.T) {
	r, mem, s := onMem(t)
	base := noise(40_000, 1)
	version := r.put("a", base)
	f, err := s.Edit("a", Seen{Version: version}, fileAttr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(t.Context(), []byte("edit"), 100); err != nil {
		t.Fatal(err)
	}
	mode := fileAttr()
	mode.SetMode(attr.TypeFile | 0o600)
	if err := f.SetAttr(mode); err != nil {
		t.Fatal(err)
	}
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(1, 8)))
	r.server.ResetCounts()
	r.flush(r.open())
	r.want("a", base)
	if n := r.server.Counts(); n["CopyObject"] != 1 || n["PutObject"] != 0 || n["GetObject"] != 0 {
		t.Errorf("got the requests %v, want the attributes to be set by a copy", n)
	}
}
