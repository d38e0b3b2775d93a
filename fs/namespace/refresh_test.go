package namespace

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// A directory was refreshed when it was, or one above it; more directories than are remembered count as all of them, and what is older
// than the time to live as none.
func TestRefreshesAgainstAllOfThem(t *testing.T) {
	const ttl = time.Minute
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 4))
		pick := func() ossclient.Key {
			dir := ossclient.Key("")
			for range rng.IntN(3) {
				dir += ossclient.Key(fmt.Sprintf("%d/", rng.IntN(3)))
			}
			return dir
		}
		var r refreshes
		type refresh struct {
			dir ossclient.Key
			refreshed
		}
		var all []refresh
		now := time.Unix(1_700_000_000, 0)
		for seq := range uint64(200) {
			now = now.Add(time.Duration(rng.IntN(10)) * time.Second)
			x := refresh{pick(), refreshed{now, seq + 1}}
			if rng.IntN(5) == 0 && seq > 3 {
				x.seq -= 2 // two who do it at the same time
			}
			all = append(all, x)
			r.add("", x.dir, x.refreshed, ttl)
			dir, want, most := pick(), uint64(0), uint64(0)
			for _, y := range all {
				if !strings.HasPrefix(string(dir), string(y.dir)) {
					continue
				}
				most = max(most, y.seq)
				if now.Sub(y.at) < ttl {
					want = max(want, y.seq)
				}
			}
			if got := r.last("", dir); got < want || got > most {
				t.Fatalf("seed %d: %q was refreshed at %d, want %d, or one of those that are too old, at most %d", seed, dir, got, want, most)
			}
		}
	}
}
