package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// The campaigns. Several processes work on one mount by the built program, each in a directory of its own and in
// one left by another, and do the same on local directories; what an operation touched is compared after each. A
// run ends with kill -9 at a random moment, or in peace; the next mount must show what was confirmed, and in the
// end the bucket must have just that. OSSFS_TEST_CAMPAIGN_SEED repeats a seed, _SEEDS and _RUNS ask for more.

// What close confirmed survives kill -9, and what fsync confirmed is in the bucket.
// SEMANTICS 1.1, 1.3, 1.7, 6.2; invariants 1 and 4
func TestCampaignKill(t *testing.T) {
	campaign(t, campaignOptions{kill: true})
}

// The same with a server that fails one request in four, in every way it knows.
// SEMANTICS 1.1, 1.3, 1.8, 1.10, 6.2; invariants 1, 3 and 4
func TestCampaignKillAndFaults(t *testing.T) {
	campaign(t, campaignOptions{kill: true, faults: true})
}

// And without a kill: bytes, names and uploads are right in the end.
// SEMANTICS 1.7, 1.8, 1.10
func TestCampaignFaults(t *testing.T) {
	campaign(t, campaignOptions{faults: true})
}

type campaignOptions struct{ kill, faults bool }

// workers are how many processes work at once.
const workers = 3

func campaign(t *testing.T, o campaignOptions) {
	program := harness.Build(t)
	seeds, runs := 20, 8
	switch { // slower with faults: each lost answer costs a wait
	case o.kill && o.faults:
		seeds, runs = 4, 4
	case o.faults:
		seeds, runs = 12, 6
	}
	first := setting("CAMPAIGN_SEED", 1)
	seeds, runs = setting("CAMPAIGN_SEEDS", seeds), setting("CAMPAIGN_RUNS", runs)
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newExpedition(t, o, program, uint64(seed)).run(runs)
		})
	}
}

// expedition is one seed of a campaign.
type expedition struct {
	t       *testing.T
	o       campaignOptions
	seed    uint64
	r       *rand.Rand
	p       *harness.Process
	local   string
	work    [workers]*harness.Work // of the last run
	history []string
}

func newExpedition(t *testing.T, o campaignOptions, program string, seed uint64) *expedition {
	x := &expedition{t: t, o: o, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), local: t.TempDir()}
	s := ossservertest.NewTest(t, ossserver.Options{Latency: time.Millisecond, Seed: seed})
	x.p = harness.NewProcess(t, s, program)
	delay := []string{"1ms", "20ms", "300ms"}[x.r.IntN(3)]
	stage := []string{"8MiB", "32MiB", "1GiB"}[x.r.IntN(3)]
	limit := []string{"1MiB", "16MiB"}[x.r.IntN(2)]
	x.p.Flags = []string{"--memory", "64MiB", "--write-back", delay, "--stage-size", stage, "--single-put", limit}
	if o.faults {
		var list []ossserver.Fault
		for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.Error503, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody, ossserver.Stall} {
			list = append(list, ossserver.Fault{Kind: kind, Probability: 0.05, Stall: 100 * time.Millisecond})
		}
		s.SetFaults(list...)
	}
	return x
}

func (x *expedition) say(format string, args ...any) {
	x.history = append(x.history, fmt.Sprintf(format, args...))
}

// check ends the test at what went wrong so far, with what led to it.
func (x *expedition) check() {
	x.t.Helper()
	if x.t.Failed() {
		x.t.Fatalf("seed %d, flags %v\n%s", x.seed, x.p.Flags, strings.Join(x.history[max(0, len(x.history)-120):], "\n"))
	}
}

func (x *expedition) run(runs int) {
	x.p.Start()
	for i := range workers {
		must(x.t, os.Mkdir(filepath.Join(x.p.Dir, fmt.Sprint(i)), 0o755))
		must(x.t, os.Mkdir(filepath.Join(x.local, fmt.Sprint(i)), 0o755))
	}
	for n := range runs {
		x.round(n)
		x.check()
		if x.o.kill {
			x.p.Clear()
			x.p.Start()
		}
		for i := range workers {
			x.settle(fmt.Sprint(x.place(n, i)), x.work[i])
		}
		x.compare()
		x.check()
	}
	x.p.Stop()
	x.bucket()
	x.check()
}

// place is the directory that a worker works in: another one in each run.
func (x *expedition) place(n, i int) int { return (n + i) % workers }

// round has the workers work, and kills the mount meanwhile.
func (x *expedition) round(n int) {
	steps := 40
	killed := make(chan struct{})
	if x.o.kill {
		steps = 1000
		after := time.Duration(5+x.r.IntN(600)) * time.Millisecond
		x.say("run %d, to be killed after %v", n, after)
		time.AfterFunc(after, func() {
			x.p.Kill()
			close(killed)
		})
	} else {
		close(killed)
	}
	var wg sync.WaitGroup
	var errs [workers]error
	for i := range workers {
		place := fmt.Sprint(x.place(n, i))
		w := &harness.Worker{Mount: filepath.Join(x.p.Dir, place), Local: filepath.Join(x.local, place), Seed: x.r.Uint64(), Steps: steps}
		wg.Go(func() {
			x.work[i], errs[i] = w.Run(x.t, func(path string, sum uint64) string { return x.synced(place, path, sum) })
		})
	}
	wg.Wait()
	<-killed
	for i, k := range x.work {
		if errs[i] != nil {
			x.t.Error(errs[i])
			continue
		}
		for _, line := range k.Log {
			x.say("%d: %s", x.place(n, i), line)
		}
		if k.Wrong != "" {
			x.t.Errorf("in %d: %s%s, after\n%s", x.place(n, i), k.Wrong, x.stored(fmt.Sprint(x.place(n, i)), k.Path), strings.Join(k.Log[max(0, len(k.Log)-60):], "\n"))
		}
		if k.Doubt != nil {
			x.say("%d: interrupted: %s", x.place(n, i), k.Doubt)
		}
	}
}

// synced looks whether the bucket has what an fsync has confirmed.
func (x *expedition) synced(place, path string, sum uint64) string {
	key := place + "/" + filepath.ToSlash(path)
	o, ok := x.p.Server.Object(harness.Bucket, key)
	if !ok {
		return "fsync of " + key + " returned, and the bucket does not have it"
	}
	if o.CRC64 != sum {
		return fmt.Sprintf("fsync of %s returned, and the bucket has other bytes: %d of them, sum %016x, want %016x", key, o.Size, o.CRC64, sum)
	}
	return ""
}

// stored says what the bucket has of a path.
func (x *expedition) stored(place, path string) string {
	o, ok := x.p.Server.Object(harness.Bucket, place+"/"+path)
	if !ok {
		return "; the bucket does not have it"
	}
	return fmt.Sprintf("; the bucket has %d bytes %016x", o.Size, o.CRC64)
}

// settle finds out how far an interrupted operation came, and has the local directory follow.
func (x *expedition) settle(place string, k *harness.Work) {
	o := k.Doubt
	if o == nil {
		return
	}
	mount, local := filepath.Join(x.p.Dir, place), filepath.Join(x.local, place)
	if o.Kind == harness.Replace { // what was written under the other name is no promise
		if err := harness.Unlinked(filepath.Join(mount, o.Temp())); err != nil && err != syscall.ENOENT && err != syscall.ENOTDIR {
			x.t.Error(err)
		}
	}
	got, err := harness.ReadTree(mount)
	must(x.t, err)
	before, err := harness.ReadTree(local)
	must(x.t, err)
	switch {
	case len(before.Below(o.Touches()...).Differences(got.Below(o.Touches()...))) == 0:
		x.say("%s: did not happen: %s", place, o)
	case !o.Content():
		x.say("%s: happened: %s (%v)", place, o, o.Do(local, nil)) // the comparison says whether it did
	default:
		x.adopt(mount, local, o)
	}
}

// adopt takes over the content that an interrupted operation left, when it can be that.
func (x *expedition) adopt(mount, local string, o *harness.Op) {
	path := filepath.Join(local, o.Path)
	read := func(path string) ([]byte, bool) {
		p, err := os.ReadFile(path)
		return p, err == nil
	}
	old, existed := read(path)
	got, exists := read(filepath.Join(mount, o.Path))
	err := o.Do(local, nil)
	next, _ := read(path)
	if !exists || err != nil || !o.MayLeave(old, got) {
		x.t.Errorf("%s: %s was interrupted and left %d bytes (%v); before it were %d (%v), after it %d (%v); they differ from those before at %d, from those after at %d",
			filepath.Base(local), o, len(got), exists, len(old), existed, len(next), err, differ(got, old), differ(got, next))
	}
	if !exists {
		must(x.t, os.Remove(path))
		return
	}
	must(x.t, os.WriteFile(path, got, 0o644))
}

// differ is where two contents differ first.
func differ(a, b []byte) int {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return at
}

// compare looks at everything.
func (x *expedition) compare() {
	want, err := harness.ReadTree(x.local)
	must(x.t, err)
	got, err := harness.ReadTree(x.p.Dir)
	if err != nil {
		x.t.Errorf("reading the mount: %v", err)
	}
	for _, d := range want.Differences(got) {
		x.t.Errorf("in the mount: %s%s", d, x.where(d))
	}
}

// where says at which bytes the two sides of a difference differ.
func (x *expedition) where(difference string) string {
	path, _, _ := strings.Cut(difference, ":")
	return harness.Where(filepath.Join(x.p.Dir, path), filepath.Join(x.local, path))
}

// bucket compares what the bucket has in the end: nothing is doubled, nothing left over.
func (x *expedition) bucket() {
	want, err := harness.ReadTree(x.local)
	must(x.t, err)
	for _, key := range x.p.Server.Keys(harness.Bucket) {
		name := strings.TrimSuffix(key, "/")
		if _, ok := want[name]; !ok || strings.HasSuffix(key, "/") != strings.HasPrefix(want[name], "d") {
			x.t.Errorf("the bucket has %s, and should not", key)
		}
	}
	for path, look := range want {
		if strings.HasPrefix(look, "d") {
			continue // it may be a prefix alone
		}
		o, ok := x.p.Server.Object(harness.Bucket, path)
		if !ok {
			x.t.Errorf("the bucket has no %s", path)
			continue
		}
		var content []byte
		if target, link := strings.CutPrefix(look, "-> "); link {
			content = []byte(target)
		} else {
			content, err = os.ReadFile(filepath.Join(x.local, path))
			must(x.t, err)
		}
		if o.CRC64 != harness.Sum(content) || o.Size != int64(len(content)) {
			x.t.Errorf("the bucket has other bytes of %s: %d, want %d", path, o.Size, len(content))
		}
	}
	if list := x.p.Server.Uploads(harness.Bucket); len(list) != 0 {
		x.t.Errorf("%d multipart uploads are left over: %v", len(list), list)
	}
}
