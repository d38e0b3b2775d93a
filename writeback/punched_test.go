package writeback

import (
	"context"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/extent"
)

// punched is a file of which parts were sent and given up in the stage, while it is still written.
func punched(t *testing.T, r *rig, content string) (*Store, *File) {
	t.Helper()
	r.opt.Delay, r.opt.SinglePut, r.opt.partFirst = time.Hour, 256<<10, 256<<10
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	for at := 0; at < len(content); at += 64 << 10 {
		if _, err := f.WriteAt(t.Context(), []byte(content[at:min(at+64<<10, len(content))]), int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	for ctx := t.Context(); !s.holed(f.stage); {
		if err := f.relieve(); err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
	}
	return s, f
}

// The bucket is found to have an earlier state of ours, which becomes the base: parts that were given up are read from
// the upload all the same, and not as zeros.
func TestPunchedAboveABase(t *testing.T) {
	r := newRig(t)
	content := noise(2<<20, 1)
	s, f := punched(t, r, content)
	defer f.Release()
	v := r.put("other", "an earlier state")
	f.mu.Lock()
	f.base = &v
	f.mu.Unlock()
	got := make([]byte, len(content))
	if _, err := f.ReadAt(t.Context(), got, 0); err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Error("other bytes were read")
	}
	r.flush(s)
	r.want("a", content)
}

// A file that was cut is not waited for because of bytes beyond its end.
func TestCutBelowAPunchedPart(t *testing.T) {
	r := newRig(t)
	_, f := punched(t, r, noise(2<<20, 2))
	defer f.Release()
	f.mu.Lock()
	f.size = 443
	f.local.Add(0, 443)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	r.server.ResetCounts()
	if err := f.Truncate(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if n := r.server.Counts()["PutObject"] + r.server.Counts()["CompleteMultipartUpload"]; n > 0 {
		t.Errorf("%d states were sent for a truncation", n)
	}
}

// A part that was sent keeps its place in a file that was cut behind it.
func TestPlanKeepsWhatWasSent(t *testing.T) {
	s := planner(1 << 50)
	const size = 3 << 30
	list := s.plan(size, nil, nil)
	sent := make(map[int]sentPart)
	for i, p := range list {
		if p.n == s.partSize(p.off) {
			sent[i+1] = sentPart{Part: ossclient.Part{Number: i + 1, Size: p.n}, off: p.off}
		}
	}
	if len(sent) == len(list) {
		t.Fatal("the file has no end of small parts")
	}
	last := sent[len(sent)]
	for _, cut := range []int64{last.off + last.Size, last.off + last.Size + 1000} {
		for i, p := range s.plan(cut, nil, sent)[:len(sent)] {
			if want := sent[i+1]; p.off != want.off || p.n != want.Size {
				t.Fatalf("cut to %d: part %d is %+v, want %d bytes at %d", cut, i+1, p, want.Size, want.off)
			}
		}
	}
}

// Bytes of the base that the journal counts as staged are not given up: a kill would leave zeros in their place.
func TestStagedBytesOfTheBaseStay(t *testing.T) {
	r, mem, s := onMem(t)
	content := noise(5000, 3)
	f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
	defer f.Release()
	if _, err := f.WriteAt(t.Context(), []byte(content[:100]), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.complete(t.Context(), 0, 5000); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	if s.get("a").edit != nil {
		t.Fatal("the state is an edit, and this test tests nothing")
	}
	if err := f.relieve(); err != nil {
		t.Fatal(err)
	}
	_, next := r.killed(mem)
	r.flush(next)
	r.want("a", content)
}

// Of an edit the clean bytes that were fetched are given up, and what was written stays.
func TestCleanBytesOfAnEditAreGivenUp(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	content := noise(3<<20, 4)
	f := must(s.Edit("a", Seen{Version: r.put("a", content)}, fileAttr(), nil))(t)
	written := extent.Range{Off: 1 << 20, End: 1<<20 + 7}
	if _, err := f.WriteAt(t.Context(), []byte("CHANGED"), written.Off); err != nil {
		t.Fatal(err)
	}
	if err := f.complete(t.Context(), 0, 2<<20); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	s.relieve()
	if got := staged(f); len(got) != 1 || got[0] != written {
		t.Errorf("staged is %v, want %v", got, written)
	}
	if got := s.space.usage(); got != written.Len() {
		t.Errorf("%d bytes are staged, want %d", got, written.Len())
	}
	content = content[:written.Off] + "CHANGED" + content[written.End:]
	got := make([]byte, len(content))
	if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
		t.Errorf("other bytes were read (%v)", err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
}
