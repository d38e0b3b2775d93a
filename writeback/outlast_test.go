package writeback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// powerAt has the power fail when something is called for the first time; powered is a Store that begins after that.
type powerAt struct {
	r    *rig
	mem  *disktest.Mem
	rng  *rand.Rand
	left *disktest.Mem
}

func newPowerAt(r *rig, seed uint64) *powerAt {
	p := &powerAt{r: r, mem: disktest.New(), rng: rand.New(rand.NewPCG(seed, 5))}
	r.opt.Disk, r.opt.Delay = p.mem, time.Hour
	return p
}

func (p *powerAt) fails() {
	if p.left == nil {
		p.left = p.mem.PowerCut(p.rng)
	}
}

func (p *powerAt) powered() *Store {
	p.r.t.Helper()
	if p.left == nil {
		p.r.t.Fatal("the power never failed, and this test tests nothing")
	}
	p.r.opt.Disk = p.left
	return p.r.open()
}

// A file that waits is removed or renamed, and its name made anew and sent at once. When the power fails then, what was removed does not come
// back, to be kept beside what took its place.
// SEMANTICS 1.2
func TestPowerFailsWhenAKeyIsMadeAnewAndSent(t *testing.T) {
	for name, take := range map[string]func(s *Store) error{
		"removed": func(s *Store) error { return s.Remove("a", Seen{}) },
		"renamed": func(s *Store) error {
			return s.Rename(t.Context(), "a", "b", RenameSource{}, Seen{})
		},
	} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				r := newRig(t)
				p := newPowerAt(r, seed)
				b := &stored{Bucket: r.bucket, has: p.fails}
				r.opt.Bucket = b
				s := r.open()
				r.write(s, "a", "before")
				if err := s.sync.flush(); err != nil {
					t.Fatal(err)
				}
				s.sync.group.Lock() // nothing is durable by itself
				err := take(s)
				r.write(s, "a", "anew")
				out := s.send(t.Context(), "a", false)
				s.sync.group.Unlock()
				if err := errors.Join(err, out.err); err != nil {
					t.Fatal(err)
				}
				r.opt.Bucket = r.bucket
				r.flush(p.powered())
				r.want("a", "anew")
				for _, key := range r.server.Keys(ossservertest.Bucket) {
					if key != "a" && key != "b" {
						t.Errorf("the bucket has %q", key)
					}
				}
			})
		}
	}
}

// The last leg of an exchange of directories puts a file that waits where the second took others away, and it is sent at once. When the power
// fails then, the second leg is not done again with it.
// SEMANTICS 6.3
func TestPowerFailsWhenTheLastLegIsSent(t *testing.T) {
	for seed := range uint64(12) {
		r := newRig(t)
		p := newPowerAt(r, seed)
		b := &stored{Bucket: r.bucket, has: p.fails}
		s := r.open()
		w := swap{sent: map[string]string{"b/x": "was b"}, pending: map[string]string{"a/y": "was a"}}
		w.prepare(r, s)
		sides := [2]Side{{RenameSource{}, "b/"}, {RenameSource{}, "a/"}}
		sides[0].Version.Key, sides[1].Version.Key = "a/", "b/"
		m := s.legs(sides[0], sides[1], "aside/")
		for ; m.then != nil; m = m.then {
			begun, release, err := s.beginMove(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.finishLeg(t.Context(), begun); err != nil {
				t.Fatal(err)
			}
			release()
		}
		_, release, err := s.beginMove(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		release()
		s.bucket = b
		if out := s.send(t.Context(), "b/y", false); out.err != nil {
			t.Fatal(out.err)
		}
		next := p.powered()
		r.flush(next)
		r.want("a/x", "was b")
		r.want("b/y", "was a")
		if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 2 {
			t.Errorf("seed %d: the bucket has %q", seed, keys)
		}
	}
}

// What the bucket has of a file is given up in the stage when that is full. When the power fails then, the file is not taken for what it was
// before that, with holes.
// SEMANTICS 1.2
func TestPowerFailsWhenWhatWasSentIsGivenUp(t *testing.T) {
	content := noise(200<<10, 1)
	for seed := range uint64(12) {
		r := newRig(t)
		p := newPowerAt(r, seed)
		s := r.open()
		f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
		r.grow(f, content, 0)
		r.closed(f)
		if err := s.sync.flush(); err != nil {
			t.Fatal(err)
		}
		if out := s.send(t.Context(), "a", false); out.err != nil {
			t.Fatal(out.err)
		}
		if err := f.relieve(); err != nil {
			t.Fatal(err)
		}
		if f.local.Len() > 0 {
			t.Fatal("nothing was given up, and this test tests nothing")
		}
		p.fails()
		f.Release()
		r.refuse()
		next := p.powered()
		if g, pending := next.OpenContent("a"); pending {
			got := make([]byte, len(content))
			if _, err := g.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
				t.Errorf("seed %d: other bytes than were written (%v)", seed, err)
			}
			g.Release()
		}
		r.server.SetFaults()
		r.flush(next)
		r.want("a", content)
	}
}

// When the power fails while an upload is begun, or once a part of it was sent, the next process knows of it and gives it up.
func TestPowerFailsWhenAnUploadIsBegun(t *testing.T) {
	for name, at := range map[string]func(u *uploading, fails func()){
		"begun":       func(u *uploading, fails func()) { u.begun = fails },
		"with a part": func(u *uploading, fails func()) { u.read = fails },
	} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				r := newRig(t)
				p := newPowerAt(r, seed)
				u := &uploading{Bucket: r.bucket, begun: func() {}, read: func() {}}
				failed, ended := make(chan struct{}), make(chan struct{})
				at(u, func() { // the process hears no more
					p.fails()
					close(failed)
					<-ended
				})
				r.opt.Bucket = u
				s := young(r)
				t.Cleanup(func() { close(ended) })
				f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
				r.grow(f, noise(1<<20, 1), 0) // never closed
				<-failed
				f.Release()
				r.opt.Bucket = r.bucket
				p.powered()
				r.until("the upload is given up", func() bool { return len(r.server.Uploads(ossservertest.Bucket)) == 0 })
			})
		}
	}
}
