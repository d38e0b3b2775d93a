package writeback

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// copied is a Bucket that tells when an object was copied, and does not answer.
type copied struct {
	Bucket
	has func()
}

func (b *copied) Copy(ctx context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	if _, err := b.Bucket.Copy(ctx, q); err != nil {
		return ossclient.CopyResult{}, err
	}
	b.has()
	return ossclient.CopyResult{}, errUnfinished
}

// The power fails when the bucket has just got the copy of an object that is renamed over a file of which an older state waits to be sent, or was
// sent a moment ago: that state is not kept beside the new one, which it would take for another client's.
func TestPowerFailsWhenAnObjectIsRenamedOverWhatWaits(t *testing.T) {
	for _, sent := range []bool{false, true} {
		for seed := range uint64(12) {
			r := newRig(t)
			mem := disktest.New()
			b := &copied{Bucket: r.bucket}
			r.opt.Disk, r.opt.Bucket = mem, b
			s := young(r)
			r.changed(s, "a", "before", "waits").Release()
			if err := s.sync.flush(); err != nil {
				t.Fatal(err)
			}
			if sent {
				s.send(t.Context(), "a", true)
				r.want("a", "waits")
			}
			v := r.put("b", "renamed")
			b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
			if err := s.Rename(t.Context(), "b", "a", RenameSource{Version: v, Attr: fileAttr()}, Seen{Version: ossclient.Version{Key: "a"}}); !errors.Is(err, errUnfinished) {
				t.Fatal(err)
			}
			r.opt.Bucket, r.opt.Delay = r.bucket, time.Hour
			next := r.open()
			r.flush(next)
			r.want("a", "renamed")
			if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
				t.Errorf("sent %v, seed %d: the bucket has %q", sent, seed, keys)
			}
		}
	}
}

// The power fails when the bucket has just got the copy of an object of a directory that is renamed to where a delete of another waits: what is
// made there afterwards does not find an object that nobody knows.
// SEMANTICS 1.2, 6.2
func TestPowerFailsWhenADirectoryIsRenamedOverWhatWaits(t *testing.T) {
	for seed := range uint64(12) {
		r := newRig(t)
		mem := disktest.New()
		b := &copied{Bucket: r.bucket}
		r.opt.Disk, r.opt.Bucket, r.opt.Delay = mem, b, time.Hour
		s := r.open()
		defer s.Hold("e/a")() // the delete waits
		if err := errors.Join(s.Remove("e/a", Seen{Version: r.put("e/a", "before")}), s.sync.flush()); err != nil {
			t.Fatal(err)
		}
		r.put("d/a", "renamed")
		b.has = func() { r.opt.Disk = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))) }
		if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); !errors.Is(err, errUnfinished) {
			t.Fatal(err)
		}
		r.opt.Bucket = r.bucket
		next := r.open()
		r.write(next, "e/a", "anew")
		r.flush(next)
		r.want("e/a", "anew")
		if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
			t.Errorf("seed %d: the bucket has %q", seed, keys)
		}
	}
}

// Somebody has a file open that another client has deleted since, and a directory takes the place of the one that it was in: the name is that of what moves
// there, pending or in the bucket, and who writes to what he has open writes to a file without a name.
// SEMANTICS 6.2
func TestDirectoryMovedOverAnOpenFileThatOthersDeleted(t *testing.T) {
	for _, pending := range []bool{false, true} {
		r := newRig(t)
		r.opt.Delay = 1 << 40
		s := r.open()
		if pending {
			r.write(s, "d/a", "moved")
		} else {
			r.put("d/a", "moved")
		}
		old := must(s.Edit("e/a", Seen{Version: r.put("e/a", "deleted")}, fileAttr(), nil))(t)
		r.server.Delete(ossservertest.Bucket, "e/a")
		if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); err != nil {
			t.Fatal(err)
		}
		f, there := s.OpenContent("e/a")
		if !there {
			f = must(s.Edit("e/a", Seen{Version: r.version("e/a"), At: s.Now()}, fileAttr(), nil))(t)
		}
		r.grow(f, "moved, and added to", len("moved"))
		r.close(f)
		if _, err := old.WriteAt(t.Context(), []byte("DELETED"), 0); err == nil {
			r.close(old)
		}
		r.flush(s)
		if got := r.all(); !maps.Equal(got, map[string]string{"e/a": "moved, and added to"}) {
			t.Errorf("pending %v: the bucket has %q", pending, got)
		}
	}
}
