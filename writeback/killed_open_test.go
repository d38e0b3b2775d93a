package writeback

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// What was being written when the process was killed is shown by the next, and is as good as closed then: a loss of power later, before it
// could be sent, takes nothing of it.
// SEMANTICS 1.2
func TestPowerFailsAfterAKill(t *testing.T) {
	closed := noise(100<<10, 1)
	over := closed[:50<<10] + "over" + closed[50<<10+4:]
	for name, write := range map[string]struct {
		open func(r *rig, s *Store) *File
		want string
	}{
		"overwritten": {func(r *rig, s *Store) *File {
			r.write(s, "a", closed)
			f, _ := s.OpenContent("a")
			if _, err := f.WriteAt(t.Context(), []byte("over"), 50<<10); err != nil {
				t.Fatal(err)
			}
			return f
		}, over},
		"new": {func(r *rig, s *Store) *File {
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			r.grow(f, closed, 0)
			return f
		}, closed},
		"outgrown": {func(r *rig, s *Store) *File {
			r.write(s, "a", closed[:500])
			f, _ := s.OpenContent("a")
			r.grow(f, closed, 500)
			return f
		}, closed},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, 1000
				s := r.open()
				f := write.open(r, s)
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				mem = mem.Killed()
				f.Release()
				r.opt.Disk, r.opt.Bucket = mem, &putHook{Bucket: r.bucket, before: func(Key) error { return errUnfinished }}
				next := r.open()
				r.wantSeen(next, map[string]string{"a": write.want})
				if err := next.sync.flush(); err != nil {
					t.Fatal(err)
				}
				r.opt.Disk, r.opt.Bucket = mem.PowerCut(rand.New(rand.NewPCG(seed, 1))), r.bucket
				r.flush(r.open())
				r.want("a", write.want)
			}
		})
	}
}

// What a process that was killed had not made durable is durable before the next sends it: a loss of power in between would bring back what was
// there before, a removal perhaps, and have it sent.
// SEMANTICS 1.2
func TestDurableBeforeItIsSentAfterAKill(t *testing.T) {
	r, mem, s := onMem(t)
	if err := s.Remove("a", Seen{Version: r.put("a", "old")}); err != nil {
		t.Fatal(err)
	}
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	r.write(s, "a", "new")
	mem = mem.Killed()
	synced := make(chan struct{})
	b := &putHook{Bucket: r.bucket}
	r.opt.Disk, r.opt.Bucket = &slowSync{mem, synced}, b
	next := r.open()
	sent := make(chan uint64, 1)
	b.set(func(Key) error {
		sent <- next.journal.Synced()
		return nil
	})
	e := next.get("a")
	if e == nil || !e.after {
		t.Errorf("it may be sent at once: %+v", e)
	}
	close(synced)
	r.flush(next)
	if upto := <-sent; e != nil && upto < e.rec {
		t.Errorf("sent when %d records were durable, its is %d", upto, e.rec)
	}
}

// slowSync is a disk that makes nothing durable before it may.
type slowSync struct {
	*disktest.Mem
	may chan struct{}
}

func (d *slowSync) SyncAll() error {
	<-d.may
	return d.Mem.SyncAll()
}

// What was replaced just before the process was killed is kept by the next until it is durable that nothing speaks of it: when the power fails
// before, one of the two is there.
// SEMANTICS 1.2
func TestPowerFailsAfterAKillBeforeAGroup(t *testing.T) {
	older, newer := noise(100<<10, 1), noise(90<<10, 2)
	found := make(map[string]int)
	for seed := range uint64(20) {
		r := newRig(t)
		mem := disktest.New()
		r.opt.Disk, r.opt.Delay, r.opt.smallMost = mem, time.Hour, 1000
		r.opt.Bucket = &putHook{Bucket: r.bucket, before: func(Key) error { return errUnfinished }}
		s := must(Open(t.Context(), r.opt))(t)
		r.write(s, "a", older)
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		s.cancel() // it is killed; what is not durable of its disk stays so
		s.wg.Wait()
		r.write(s, "a", newer)
		if err := s.lock.Close(); err != nil {
			t.Fatal(err)
		}
		may := make(chan struct{})
		r.opt.Disk = &slowSync{mem, may}
		next := r.open()
		left := mem.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		close(may)
		if err := next.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.opt.Disk, r.opt.Bucket = left, r.bucket
		r.flush(r.open())
		got, _ := r.body("a")
		if found[got]++; got != older && got != newer {
			t.Errorf("seed %d: the bucket has %d bytes", seed, len(got))
		}
	}
	t.Logf("the older %d times, the newer %d times", found[older], found[newer])
}
