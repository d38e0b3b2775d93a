package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
)

var errPower = errors.New("the power is gone")

// outage lets k changes of the disk happen, of the next write a part, and nothing afterwards.
func outage(k int, r *rand.Rand) func(string, int) (int, error) {
	return func(_ string, n int) (int, error) {
		k--
		switch {
		case k > 0:
			return n, nil
		case k == 0 && n > 0:
			return r.IntN(n + 1), errPower
		}
		return 0, errPower
	}
}

// history is what a run of operations was told: for each key the states that a crash may leave.
type history map[string][][]byte // nil: absent

// run does random operations until the disk fails, and returns what may be found then.
func run(s *Store, r *rand.Rand) history {
	h := history{}
	done := func(key string, state []byte, err error) bool {
		if err != nil { // it may have happened, or not
			last := h[key]
			if len(last) == 0 {
				last = [][]byte{nil}
			}
			h[key] = append(last[len(last)-1:], state)
			return false
		}
		h[key] = [][]byte{state}
		return true
	}
	if err := s.Update(func(tx *Tx) error { tx.PutBucket(Bucket{Name: name}); return nil }); err != nil {
		return h
	}
	sizes := []int{0, 10, 1000, 1000, 5000, packLimit, packLimit + 1}
	for i := range 40 {
		key := string(rune('a' + r.IntN(4)))
		other := string(rune('a' + r.IntN(4)))
		switch r.IntN(4) {
		case 0, 1:
			p := random(uint64(i)+1, sizes[r.IntN(len(sizes))])
			if !done(key, p, put(s, key, p)) {
				return h
			}
		case 2:
			if !done(key, nil, s.Update(func(tx *Tx) error { tx.DeleteObject(name, key); return nil })) {
				return h
			}
		case 3: // a copy that shares its bytes
			from := h[other]
			if len(from) == 0 || from[0] == nil {
				continue
			}
			err := s.Update(func(tx *Tx) error {
				o := *tx.Object(name, other)
				o.Key = key
				tx.PutObject(name, &o)
				return nil
			})
			if !done(key, from[0], err) {
				return h
			}
		}
	}
	return h
}

// TestEveryCrashPointLeavesWholeObjects stops the disk at its k-th change, for all k, and opens what is left.
func TestEveryCrashPointLeavesWholeObjects(t *testing.T) {
	for k := 1; k < 120; k++ {
		r := rand.New(rand.NewPCG(uint64(k), 7))
		dir := t.TempDir()
		s, err := Open(Options{Dir: dir, Change: outage(k, r)})
		if err != nil {
			if !errors.Is(err, errPower) {
				t.Fatalf("k=%d: %v", k, err)
			}
			continue
		}
		h := run(s, r)
		s.Close()
		after, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("k=%d: cannot open what the crash left: %v", k, err)
		}
		check(t, fmt.Sprintf("k=%d", k), after, h)
		after.Close()
		os.RemoveAll(dir)
	}
}

func check(t *testing.T, label string, s *Store, h history) {
	t.Helper()
	for key, states := range h {
		o, p, err := get(s, key)
		if o != nil && (err != nil || crc.Update(0, p) != o.CRC) {
			t.Errorf("%s: %s is half an object: %d of %d bytes, %v", label, key, len(p), o.Size, err)
			continue
		}
		if o == nil {
			p = nil
		} else if p == nil {
			p = []byte{}
		}
		ok := false
		for _, state := range states {
			ok = ok || (state == nil) == (p == nil) && bytes.Equal(state, p)
		}
		if !ok {
			t.Errorf("%s: %s has %d bytes (there: %t), want one of the %d states that were acknowledged or under way", label, key, len(p), o != nil, len(states))
		}
	}
}

// TestCrashWhileTidying stops the disk at every change of a start that rewrites the log and the packs.
func TestCrashWhileTidying(t *testing.T) {
	before := t.TempDir()
	s := open(t, Options{Dir: before})
	bucketOf(t, s)
	h := history{}
	for i := range 1100 {
		key, p := fmt.Sprintf("k%d", i%7), random(uint64(i), 500)
		if err := put(s, key, p); err != nil {
			t.Fatal(err)
		}
		h[key] = [][]byte{p}
	}
	s.Close()
	for k := 1; k < 40; k++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		broken, err := Open(Options{Dir: dir, Change: outage(k, rand.New(rand.NewPCG(uint64(k), 1)))})
		finished := err == nil
		if finished {
			broken.Close()
		} else if !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		check(t, fmt.Sprintf("k=%d", k), open(t, Options{Dir: dir}), h)
		if finished {
			return // all points were tried
		}
	}
	t.Error("tidying takes more changes than were tried")
}

func TestTornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	bucketOf(t, s)
	if err := put(s, "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	name := s.disk.indexName()
	s.Close()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range [][]byte{{1}, {9, 0, 0, 0}, make([]byte, 100), append([]byte{5, 0, 0, 0, 1, 2, 3, 4}, "hello"...), bytes.Repeat([]byte{0xff}, 50)} {
		if err := os.WriteFile(name, append(append([]byte(nil), whole...), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: dir})
		if _, p, err := get(s, "k"); err != nil || string(p) != "v" {
			t.Errorf("tail %x: got %q, %v", tail, p, err)
		}
		if err := put(s, "new", []byte("w")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, Options{Dir: dir})
		if _, p, err := get(s, "new"); err != nil || string(p) != "w" {
			t.Errorf("tail %x: what was written after it: %q, %v", tail, p, err)
		}
		s.Close()
	}
}

func FuzzLog(f *testing.F) {
	s, err := Open(Options{})
	if err != nil {
		f.Fatal(err)
	}
	o := &Object{Key: "k", Header: []Field{{"A", "b"}}, Extra: &Extra{Tags: "t"}, Content: s.Synthetic(9, 1)}
	seed := []byte(logMagic)
	seed = appendFrame(seed, []change{{kind: putBucket, bucket: "b", info: &Bucket{Name: "b"}}})
	seed = appendFrame(seed, []change{{kind: putObject, bucket: "b", object: o}, {kind: deleteObject, bucket: "b", key: "x"}})
	f.Add(seed)
	f.Fuzz(func(t *testing.T, p []byte) {
		s := &Store{buckets: map[string]*bucket{}}
		_, _, err := readLog(bytes.NewReader(p), newLoader(s).frame)
		_ = err // must not panic
		d := decoder{buf: p, load: newLoader(s)}
		for len(d.buf) > 0 && d.err == nil {
			if c, err := d.change(); err == nil {
				s.apply(c)
			}
		}
	})
}
