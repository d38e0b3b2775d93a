package writeback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// unfinished is a Bucket that completes no upload and gives none up, and takes nothing any more when it is closed.
type unfinished struct {
	Bucket
	closed bool
}

var errUnfinished = errors.New("unfinished")

func (b *unfinished) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	if b.closed {
		return ossclient.Part{}, errUnfinished
	}
	return b.Bucket.UploadPart(ctx, p)
}

func (b *unfinished) Put(ctx context.Context, p ossclient.PutRequest) (ossclient.PutResult, error) {
	if b.closed {
		return ossclient.PutResult{}, errUnfinished
	}
	return b.Bucket.Put(ctx, p)
}

func (*unfinished) CompleteUpload(context.Context, ossclient.CompleteRequest) (ossclient.PutResult, error) {
	return ossclient.PutResult{}, errUnfinished
}

func (*unfinished) AbortUpload(context.Context, Key, ossclient.UploadID) error { return errUnfinished }

// A large file of which parts were given up in the stage is closed, and the power fails. When that was not durable yet, it is
// found whole or not at all: whole when all that the disk has of it was sent, and is as it was sent.
// SEMANTICS 1.2
func TestClosedWithPartsGivenUpInAPowerCut(t *testing.T) {
	content := noise(3<<20, 4)
	sent := func(s *Store) error {
		if out := s.send(context.Background(), "a", true); !errors.Is(out.err, errUnfinished) {
			return fmt.Errorf("sent: %w; want that it is not completed", out.err)
		}
		return nil
	}
	for name, tt := range map[string]struct {
		after func(mem *disktest.Mem, s *Store) error
		must  bool // it is found
		made  bool // durably: before the last group
	}{
		"at once":                  {func(*disktest.Mem, *Store) error { return nil }, false, true},
		"but for its staged bytes": {func(_ *disktest.Mem, s *Store) error { return s.journal.Ahead() }, false, true},
		"durable":                  {func(_ *disktest.Mem, s *Store) error { return s.sync.flush() }, true, true},
		"sent, and not completed": {func(_ *disktest.Mem, s *Store) error {
			return errors.Join(sent(s), s.journal.Ahead())
		}, false, true},
		"sent, not completed, and on the disk": {func(mem *disktest.Mem, s *Store) error {
			return errors.Join(sent(s), mem.SyncAll())
		}, true, true},
		"made, sent, not completed, and on the disk": {func(mem *disktest.Mem, s *Store) error {
			return errors.Join(sent(s), mem.SyncAll())
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, mem := newRig(t), disktest.New()
			r.opt.Disk, r.opt.Bucket = mem, &unfinished{Bucket: r.bucket}
			s := young(r)
			noGroup := func(of bool) { // in the background
				if of && name != "durable" {
					s.sync.group.Lock()
					t.Cleanup(s.sync.group.Unlock)
				}
			}
			noGroup(!tt.made)
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			if tt.made {
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
			}
			r.grow(f, content, 0)
			r.landed(f)
			if !s.holed(f.stage) {
				t.Fatal("nothing was given up, and this test tests nothing")
			}
			noGroup(tt.made)
			r.close(f)
			if err := tt.after(mem, s); err != nil {
				t.Fatal(err)
			}
			cut := func(seed uint64) *disktest.Mem { return mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
			r.opt.Bucket = &unfinished{r.bucket, true}
			found := 0
			for seed := range uint64(60) {
				r.opt.Disk = cut(seed)
				next := r.open()
				g, pending := next.OpenContent("a")
				if pending {
					found++
					for _, at := range staged(g) {
						got := make([]byte, at.Len())
						if _, err := g.ReadAt(t.Context(), got, at.Off); err != nil || string(got) != content[at.Off:at.End] {
							t.Errorf("seed %d: what counts as staged of %v is something else (%v)", seed, at, err)
						}
					}
					g.Release()
				}
				if err := next.Close(t.Context()); err != nil || tt.must && !pending {
					t.Errorf("seed %d: found: %v (%v)", seed, pending, err)
				}
			}
			t.Logf("found %d times", found)
			if tt.must {
				r.opt.Disk, r.opt.Bucket = cut(0), r.bucket
				r.flush(r.open())
				r.want("a", content)
			}
		})
	}
}

// A part that was sent is compared with what is staged after a loss of power: when the journal does not say any more that its bytes
// were changed, it is sent again.
func TestPartOfOtherBytesInAPowerCut(t *testing.T) {
	r, mem := newRig(t), disktest.New()
	r.opt.Disk, r.opt.Bucket = mem, &unfinished{Bucket: r.bucket}
	s := young(r)
	s.opt.Young = 1
	content := noise(3<<20, 4)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	s.mu.RLock()
	sent := s.v.uploads[f.stage].parts[2]
	s.mu.RUnlock()
	at := int(sent.off) + 100
	content = content[:at] + "CHANGED" + content[at+7:]
	if _, err := f.WriteAt(t.Context(), []byte("CHANGED"), int64(at)); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	if err := errors.Join(s.commitOps(op{code: opPart, stage: f.stage, part: sent}), s.sync.flush()); err != nil {
		t.Fatal(err)
	}
	r.opt.Disk, r.opt.Bucket = mem.PowerCut(rand.New(rand.NewPCG(1, 1))), r.bucket
	r.flush(r.open())
	r.want("a", content)
}
