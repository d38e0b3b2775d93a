package namespace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// reference keeps all confirmations, and looks through them.
type reference struct {
	all     []confirmed // oldest first
	kept    int         // from here on
	horizon uint64
}

// newest gives the confirmations that count: the newest of each key that was not dropped, and is newer than began.
func (f *reference) newest(began uint64) map[ossclient.Key]confirmed {
	newest := map[ossclient.Key]confirmed{}
	for _, c := range f.all[f.kept:] {
		newest[c.Key] = c
	}
	for key, c := range newest {
		if c.seq <= began {
			delete(newest, key)
		}
	}
	return newest
}

func (f *reference) add(c confirmed, limit int, keep time.Duration) {
	f.all = append(f.all, c)
	for len(f.all)-f.kept > limit || c.at.Sub(f.all[f.kept].at) > keep {
		old := f.all[f.kept]
		if f.kept++; f.newest(0)[old.Key].seq == 0 { // no newer one of the key is kept
			f.horizon = old.seq
		}
	}
}

// What is confirmed is found by those whose requests are older, and by no others; what is dropped is known to be missing.
func TestRecentsAgainstAllConfirmations(t *testing.T) {
	parts := []string{"a", "a-", "a0", "b", ""}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		pick := func(depth int) ossclient.Key {
			list := make([]string, 0, depth+1)
			for range 1 + rng.IntN(depth) {
				list = append(list, parts[rng.IntN(len(parts))])
			}
			return ossclient.Key(strings.Join(list, "/"))
		}
		const keep = time.Minute
		r, f := &recents{limit: 2 + rng.IntN(30)}, &reference{}
		now := time.Unix(1_700_000_000, 0)
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(5)) * time.Second)
			if key := pick(3); key != "" {
				c := Confirmation{Key: key, Deleted: rng.IntN(3) == 0}
				r.add(c, true, now, keep)
				f.add(confirmed{Confirmation: c, seq: r.seq, at: now}, r.limit, keep)
			}
			if rng.IntN(4) == 0 {
				r.doubt(pick(3))
			}
			r.tick()
			began := uint64(rng.IntN(int(r.seq) + 1))
			compareRecents(t, fmt.Sprintf("seed %d", seed), r, f, began, rng, pick)
		}
	}
}

func compareRecents(t *testing.T, when string, r *recents, f *reference, began uint64, rng *rand.Rand, pick func(int) ossclient.Key) {
	t.Helper()
	if got, want := r.stale(began), began <= f.horizon; got != want {
		t.Fatalf("%s: %d is stale: %v, want %v (horizon %d)", when, began, got, want, f.horizon)
	}
	newest := f.newest(began)
	key := pick(3)
	if c, ok := r.since(key, began); ok != (newest[key].seq > 0) || ok && (c.seq != newest[key].seq || c.Deleted != newest[key].Deleted) {
		t.Fatalf("%s: %q since %d: %+v, %v, want %+v", when, key, began, c, ok, newest[key])
	}
	dir := ossclient.Key("")
	if rng.IntN(4) > 0 {
		dir = pick(2) + "/"
	}
	var added []ossclient.Key
	present, deleted := false, false
	sorts := map[string]bool{}
	from := childSort("", pick(2))
	upto := childSort("", pick(2))
	for k, c := range newest {
		if !strings.HasPrefix(string(k), string(dir)) {
			continue
		}
		present, deleted = present || !c.Deleted, deleted || c.Deleted
		if c.Deleted {
			continue
		}
		added = append(added, k)
		if s := childSort(dir, k); s > from && (upto == "" || s <= upto) {
			sorts[s] = true
		}
	}
	slices.Sort(added)
	if got := r.added(dir, began); !slices.Equal(got, added) {
		t.Fatalf("%s: added in %q since %d: %q, want %q", when, dir, began, got, added)
	}
	if p, d := r.below(dir, began); p != present || !p && d != deleted {
		t.Fatalf("%s: below %q since %d: present %v, deleted %v, want %v, %v", when, dir, began, p, d, present, deleted)
	}
	children := make([]string, 0, len(sorts))
	for s := range sorts {
		children = append(children, s)
	}
	slices.Sort(children)
	if got := r.children(dir, from, upto, began); !slices.Equal(got, children) {
		t.Fatalf("%s: children of %q after %q, up to %q, since %d: %q, want %q", when, dir, from, upto, began, got, children)
	}
}
