package writeback

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
	"github.com/ossfs/ossfs/writeback/extent"
)

const youngPart = 256 << 10 // bytes of each part

// young is a Store whose files are sent in small parts while they are written.
func young(r *rig) *Store {
	r.opt.Delay, r.opt.SinglePut, r.opt.partFirst, r.opt.Young = time.Hour, youngPart, youngPart, time.Hour
	return r.open()
}

// grow writes content[from:], a piece after the other.
func (r *rig) grow(f *File, content string, from int) {
	r.t.Helper()
	for at := from; at < len(content); at += 64 << 10 {
		if _, err := f.WriteAt(r.t.Context(), []byte(content[at:min(at+64<<10, len(content))]), int64(at)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// landed waits until each part that is streamed was sent.
func (r *rig) landed(f *File) {
	r.t.Helper()
	r.until("the parts are sent", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		st := &f.stream
		return st.ready && len(st.flying) == 0 && !f.s.settled(st.off, f.size)
	})
}

// staged are the ranges that the stage has.
func staged(f *File) []extent.Range {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.local.Ranges()
}

// A part that was sent soon after it was written is not kept in the stage, but for the beginning of the file.
// SEMANTICS 1.13
func TestYoungPartsLeaveTheStage(t *testing.T) {
	r := newRig(t)
	s := young(r)
	content := noise(5<<20, 1)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content[:2*youngPart], 0)
	r.landed(f)
	r.grow(f, content, 2*youngPart)
	r.landed(f)
	first, rest := extent.Range{End: 2 * youngPart}, extent.Range{Off: 5<<20 - youngPart, End: 5 << 20}
	if got := staged(f); len(got) != 2 || got[0] != first || got[1] != rest {
		t.Errorf("staged is %v, want %v and %v", got, first, rest)
	}
	if got, want := s.space.usage(), first.Len()+rest.Len(); got != want {
		t.Errorf("%d bytes are staged, want %d", got, want)
	}
	if _, err := f.WriteAt(t.Context(), []byte("HEADER"), 0); err != nil { // as many a program writes it: last
		t.Fatal(err)
	}
	r.close(f)
	r.server.ResetCounts()
	r.flush(s)
	r.want("a", "HEADER"+content[6:])
	r.counts(map[string]int64{"CompleteMultipartUpload": 1, "UploadPart": 2, "HeadObject": 0}) // the first, and what was the end
	r.noUploads()
	r.until("no bytes are staged when all is sent", s.unused)
}

// What is changed or read again of a file whose parts have left the stage is right.
// SEMANTICS 1.13
func TestYoungPartsAreChanged(t *testing.T) {
	r := newRig(t)
	s := young(r)
	content := noise(5<<20, 2)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	if f.Local() {
		t.Fatal("all of it is staged, and this test tests nothing")
	}
	if _, err := f.WriteAt(t.Context(), []byte("CHANGED"), 3<<20); err != nil {
		t.Fatal(err)
	}
	want := content[:3<<20] + "CHANGED" + content[3<<20+7:]
	got := make([]byte, len(want))
	if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != want {
		t.Errorf("other bytes were read (%v)", err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", want)
	r.noUploads()
}

// Of some files all that was sent stays in the stage.
func TestPartsThatStay(t *testing.T) {
	content := noise(3<<20, 3)
	for name, test := range map[string]struct {
		old  bool // parts are not young
		then func(r *rig, f *File)
	}{
		"old":       {old: true, then: func(*rig, *File) {}},
		"committed": {then: (*rig).closed},
		"read": {then: func(r *rig, f *File) {
			if _, err := f.ReadAt(r.t.Context(), make([]byte, 10), 0); err != nil {
				r.t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			g := &gate{Bucket: r.bucket, arrived: make(chan struct{}, partsAtOnce), open: make(chan struct{})}
			r.opt.Bucket = g
			s := young(r)
			if test.old {
				s.opt.Young = 1
			}
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			defer f.Release()
			r.grow(f, content, 0)
			test.then(r, f)
			close(g.open)
			r.landed(f)
			if got := staged(f); len(got) != 1 || got[0].Len() != int64(len(content)) {
				t.Errorf("staged is %v, want all", got)
			}
		})
	}
}

// Parts of a file that grew while its first bytes were sent by one request stay in the stage: once the bucket has those, the
// file is an edit of them, which is not made of the parts.
func TestPartsOfWhatBecameAnEditStay(t *testing.T) {
	r := newRig(t)
	h := newHalfway(r, 1)
	g := &gate{Bucket: h, arrived: make(chan struct{}, partsAtOnce), open: make(chan struct{})}
	r.opt.Bucket = g
	s := young(r)
	content := noise(3<<20, 8)
	begun := 64 << 10
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content[:begun], 0)
	sent := make(chan error, 1)
	go func() { sent <- s.Sync(t.Context(), "a") }()
	<-h.stopped
	r.grow(f, content, begun)
	r.until("parts are on their way", func() bool { return len(g.arrived) > 1 })
	close(h.goOn)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	close(g.open)
	r.until("the parts are sent", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.stream.flying) == 0
	})
	if !f.Local() {
		t.Errorf("staged is %v, want all", staged(f))
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
	r.noUploads()
}

// givenUp is a closed file, made durable, of which all parts that were sent are given up in the stage.
func (r *rig) givenUp(s *Store, content string) *File {
	r.t.Helper()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(r.t)
	r.grow(f, content, 0)
	r.landed(f)
	r.closed(f)
	if err := errors.Join(s.sync.flush(), f.relieve()); err != nil {
		r.t.Fatal(err)
	}
	if !s.holed(f.stage) {
		r.t.Fatal("nothing was given up, and this test tests nothing")
	}
	return f
}

// The power fails when bytes of a committed state were given up in a full stage: whatever the disk has kept of the journal
// and of the staged file, nothing counts as staged that is not.
func TestGivenUpInAPowerCut(t *testing.T) {
	r, mem := newRig(t), disktest.New()
	r.opt.Disk = mem
	s := young(r)
	s.opt.Young = 1
	content := noise(3<<20, 4)
	f := r.givenUp(s, content)
	defer f.Release()
	r.opt.Bucket = &unfinished{r.bucket, true} // it stays to be looked at
	for seed := range uint64(40) {
		r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		next := r.open()
		g, pending := next.OpenContent("a")
		if !pending {
			t.Fatalf("seed %d: the file is gone", seed)
		}
		got := make([]byte, len(content))
		for _, at := range staged(g) {
			if _, err := g.ReadAt(t.Context(), got[at.Off:at.End], at.Off); err != nil {
				t.Fatal(err)
			}
			if string(got[at.Off:at.End]) != content[at.Off:at.End] {
				t.Fatalf("seed %d: what counts as staged of %v is something else", seed, at)
			}
		}
		g.Release()
		_ = next.Close(t.Context())
	}
}

// The end of a file that somebody waits for is sent beside the other parts, not after them.
func TestEndIsSentBesideTheRest(t *testing.T) {
	r, g, opened, s, f := atTheGate(t)
	content := noise(2<<20, 5)
	r.grow(f, content, 0)
	r.close(f)
	done := make(chan error, 1)
	go func() { done <- s.SyncTree(t.Context(), "a") }()
	r.until("all parts are on their way at once", func() bool { return len(g.arrived) == len(content)/youngPart })
	opened()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.want("a", content)
	r.noUploads()
}

// A file whose upload could not be begun while it was written is sent all the same.
func TestUploadThatCouldNotBeBegun(t *testing.T) {
	r := newRig(t)
	s := young(r)
	r.server.SetFaults(ossserver.Fault{Op: "InitiateMultipartUpload", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied", Count: 1})
	content := noise(2<<20, 9)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.until("it is refused", func() bool { return r.server.Counts()["InitiateMultipartUpload"] == 1 })
	r.close(f)
	r.flush(s)
	r.want("a", content)
	r.noUploads()
}

// A file goes on growing after its end was begun to be sent for somebody who then gave up.
func TestEndThatIsNone(t *testing.T) {
	r, g, opened, s, f := atTheGate(t)
	content := noise(5<<20, 6)
	begun := 2<<20 + 1000
	r.grow(f, content[:begun], 0)
	ctx, cancel := context.WithCancel(t.Context())
	sealed := make(chan error, 1)
	go func() { sealed <- f.seal(ctx, int64(begun)) }()
	r.until("the end is on its way", func() bool { return len(g.arrived) == begun/youngPart+1 })
	cancel()
	if err := <-sealed; err == nil {
		t.Fatal("it was not given up, and this test tests nothing")
	}
	r.grow(f, content, begun)
	opened()
	r.until("nothing is on its way", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.stream.flying) == 0
	})
	r.closed(f)
	r.flush(s) // while it is open: the stream is the same
	f.Release()
	r.want("a", content)
	if got, all := r.server.Counts()["UploadPart"], int64(len(content)/youngPart); got != all+1 {
		t.Errorf("%d parts were sent, want %d and the short one of the end that was none", got, all)
	}
	r.noUploads()
}

// atTheGate is a file whose parts are not answered before the gate is opened.
func atTheGate(t *testing.T) (r *rig, g *gate, opened func(), s *Store, f *File) {
	r = newRig(t)
	g = &gate{Bucket: r.bucket, arrived: make(chan struct{}, partsAtOnce), open: make(chan struct{})}
	r.opt.Bucket = g
	s = young(r)
	opened = sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(opened) // before the Store is closed, which waits for the parts
	return r, g, opened, s, must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
}

// unused says whether no byte of the stage is taken: who has sent a file, and told of it, ends its use in his own time.
func (s *Store) unused() bool { return s.space.usage() == 0 }

// until waits for what is to come.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), enough)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			r.t.Fatalf("not within %v: %s", enough, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Somebody aborts the upload that has bytes which are nowhere else: that file fails and says so, what is staged of it stays,
// and nothing else is kept waiting.
// SEMANTICS 1.13
func TestUploadAbortedByOthers(t *testing.T) {
	r := newRig(t)
	s := young(r)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, noise(3<<20, 7), 0)
	r.landed(f)
	r.close(f)
	for _, u := range r.server.Uploads(ossservertest.Bucket) {
		if err := r.bucket.AbortUpload(t.Context(), Key(u.Key), ossclient.UploadID(u.ID)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := s.SyncTree(ctx, "a"); !errors.Is(err, ErrLost) {
		t.Errorf("sync: %v, want that bytes are lost", err)
	}
	if st := s.Status(); st.Failed != 1 || st.StageUsed == 0 {
		t.Errorf("status: %+v, want one that failed, and its staged bytes kept", st)
	}
	r.write(s, "b", "another")
	if err := s.SyncTree(ctx, "b"); err != nil {
		t.Error(err)
	}
	r.want("b", "another")
	if _, there := r.body("a"); there {
		t.Error("half of the file is stored")
	}
}
