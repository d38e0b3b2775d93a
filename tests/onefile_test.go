package tests

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/tests/onefile"
)

// stepsOfARun is how often a driver chooses what to do until the mount is killed, or would be.
const stepsOfARun = 100

// mostOfACall is how long a call may take. A server that fails one request in four has a large file take seconds.
const mostOfACall = 90 * time.Second

// A few files are used in every way that system calls allow, and compared with a model; see package onefile. The mount, the
// server's failures and the kills are of the seed's choice: of four seeds one has neither, one the failures, one the kills, one both. The end is as of the other
// campaigns: the bucket has just what the model has. OSSFS_TEST_CAMPAIGN_SEED repeats a seed, _SEEDS and _RUNS (of 100 operations) ask for more.
// SEMANTICS 1.1, 1.3, 1.4, 1.5, 1.7, 1.8, 1.10, 1.13, 2.3, 4.1, 6.2, 6.3, 6.4; invariants 1, 3, 4 and 10
func TestCampaignOneFile(t *testing.T) {
	program := harness.Build(t)
	first := setting("CAMPAIGN_SEED", 1)
	for seed := first; seed < first+setting("CAMPAIGN_SEEDS", 8); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newVoyage(t, program, uint64(seed), setting("CAMPAIGN_RUNS", 2)).run()
		})
	}
}

// voyage is one seed.
type voyage struct {
	t       *testing.T
	r       *rand.Rand
	p       *harness.Process
	config  onefile.Config
	kill    bool
	history []string // the last operations

	mu     sync.Mutex // guards the fields below, and that nothing is killed while it is unmounted or mounted
	killed bool
	timer  *time.Timer
	chosen int // the operation in which the next kill comes, of those that were begun since the last
	begun  int
}

func newVoyage(t *testing.T, program string, seed uint64, runs int) *voyage {
	r := rand.New(rand.NewPCG(seed, 2))
	s := ossservertest.NewTest(t, ossserver.Options{Latency: time.Millisecond, Seed: seed})
	x := &voyage{t: t, r: r, p: harness.NewProcess(t, s, program), kill: seed&2 != 0}
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	delay, stage, limit := one("5ms", "50ms", "300ms", "1s", "off"), one("1MiB", "2MiB", "8MiB", ""), one("128KiB", "1MiB", "")
	fsync, memory := one("bucket", "bucket", "bucket", "local"), one("16MiB", "64MiB")
	x.p.Flags = []string{"--memory", memory, "--write-back", delay, "--fsync", fsync}
	if stage != "" {
		x.p.Flags = append(x.p.Flags, "--stage-size", stage)
	}
	if limit != "" {
		x.p.Flags = append(x.p.Flags, "--single-put", limit)
	}
	if seed&1 != 0 {
		s.SetFaults(someFaults()...)
	}
	const kib = 1 << 10
	x.config = onefile.Config{
		Dir: x.p.Dir, Seed: seed, Steps: runs * stepsOfARun,
		Most:  []int64{60 * kib, 300 * kib, 1500 * kib, 5000 * kib, 20000 * kib}[r.IntN(5)],
		Edges: []int64{4 * kib, 32 * kib, 128 * kib, 256 * kib, 1024 * kib},
		Write: 1 << 20, Nameless: math.MaxInt64,
		Local: fsync == "local", Through: delay == "off", Noise: r.IntN(3) == 0, Mapped: !kernelBefore(t, 6, 6),
	}
	if size, limited := strings.CutSuffix(stage, "MiB"); limited { // what has no name stays in the stage, and a write needs room for itself
		n, err := strconv.ParseInt(size, 10, 64)
		must(t, err)
		x.config.Nameless = max(n/2-1, 0) << 20
	}
	return x
}

// someFaults are those of which nobody who uses the mount may hear.
func someFaults() []ossserver.Fault {
	var list []ossserver.Fault
	for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.Error503, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody, ossserver.Stall} {
		list = append(list, ossserver.Fault{Kind: kind, Probability: 0.05, Stall: 100 * time.Millisecond})
	}
	for _, op := range []string{"PutObject", "UploadPart"} { // what is stored is wrong, and its checksum says so
		list = append(list, ossserver.Fault{Op: op, Kind: ossserver.FlipBit, Probability: 0.02})
	}
	return list
}

func (x *voyage) run() {
	x.p.Start()
	must(x.t, os.Mkdir(filepath.Join(x.p.Dir, "d"), 0o755))
	x.nextKill()
	driver, err := onefile.Start(x.t.Context(), x.config)
	must(x.t, err)
	err = x.follow(driver)
	if x.timer != nil {
		x.timer.Stop()
	}
	if errors.Is(err, onefile.ErrHang) {
		x.say("%s", driver.Waits())
		x.p.Quit()
	}
	if err := errors.Join(err, driver.End(err == nil)); err != nil {
		x.t.Fatalf("%v\n%s\nseed %d, kills: %v, flags %q, %+v", err, strings.Join(x.history[max(0, len(x.history)-400):], "\n"), x.config.Seed, x.kill, x.p.Flags, x.config)
	}
	x.p.Stop()
}

func (x *voyage) say(format string, args ...any) {
	x.history = append(x.history, fmt.Sprintf(format, args...))
}

// follow hears the driver out; nil: all was well.
func (x *voyage) follow(driver *onefile.Run) error {
	for {
		m, err := driver.Next(mostOfACall)
		switch {
		case err != nil:
			return err
		case m.Wrong != "":
			return errors.New(m.Wrong)
		case m.Done:
			return nil
		case m.Ask != "":
			x.say("%s %s", m.Ask, m.What)
			a := x.answer(m)
			if a.Died {
				x.say("the mount is gone")
			}
			if err := driver.Answer(a); err != nil {
				return err
			}
		default:
			x.say("%s", m.Op)
			x.begin()
		}
		if x.t.Failed() {
			return errors.New("as said")
		}
	}
}

// nextKill chooses when the mount is killed: at random in the middle of an operation, or a little later. It needs x.mu, or nobody else.
func (x *voyage) nextKill() { x.begun, x.chosen, x.killed = 0, 1+x.r.IntN(2*stepsOfARun), false }

func (x *voyage) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.begun++; !x.kill || x.begun != x.chosen {
		return
	}
	x.timer = time.AfterFunc(time.Duration(x.r.IntN(1<<x.r.IntN(16)))*time.Microsecond, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.p.Kill()
		x.killed = true
	})
}

func (x *voyage) answer(m onefile.Message) onefile.Answer {
	switch m.Ask { // the kill may come meanwhile
	case onefile.Flush:
		return x.flush(m)
	case onefile.Replace, onefile.Refresh:
		return x.theirs(m)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case m.Ask == onefile.InBucket:
		return onefile.Answer{Wrong: x.has(m)}
	case m.Ask == onefile.Died:
		if !x.killed {
			return onefile.Answer{Wrong: "the mount ended by itself"}
		}
		x.p.Clear()
	case x.killed:
		return onefile.Answer{Died: true}
	default:
		x.p.Stop()
		if wrong := x.hasJust(m); wrong != "" || x.t.Failed() {
			return onefile.Answer{Wrong: wrong}
		}
		if m.Ask == onefile.Afresh {
			x.p.State += "-afresh"
		}
	}
	x.p.Start()
	x.nextKill()
	return onefile.Answer{}
}

func (x *voyage) flush(m onefile.Message) onefile.Answer {
	if a := x.command("flush", x.p.Dir); a != (onefile.Answer{}) {
		return a
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	m.What = "flush"
	return onefile.Answer{Wrong: x.has(m)}
}

// theirs is what another client does, if it does anything, and then a refresh.
func (x *voyage) theirs(m onefile.Message) onefile.Answer {
	if m.Ask == onefile.Replace {
		if err := x.p.Server.Put(harness.Bucket, m.What, onefile.Theirs(m), nil); err != nil {
			return onefile.Answer{Wrong: err.Error()}
		}
	}
	return x.command("flush", "--refresh", x.p.Dir)
}

// command runs ossfs.
func (x *voyage) command(args ...string) onefile.Answer {
	hung := time.AfterFunc(mostOfACall, x.p.Quit) // the log says where
	out, err := x.p.Command(args...).CombinedOutput()
	hung.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.killed:
		return onefile.Answer{Died: true}
	case err != nil:
		return onefile.Answer{Wrong: fmt.Sprintf("%q: %v: %s", args, err, out)}
	}
	return onefile.Answer{}
}

// has says what is wrong with what the bucket has of files that it should have.
func (x *voyage) has(m onefile.Message) string {
	for name, want := range m.Files {
		o, ok := x.p.Server.Object(harness.Bucket, name)
		if !ok || o.Size != want.Size || o.CRC64 != want.Sum {
			return fmt.Sprintf("after %s the bucket has of %s (there: %v) %d bytes %016x, want %d bytes %016x", m.What, name, ok, o.Size, o.CRC64, want.Size, want.Sum)
		}
	}
	return ""
}

// hasJust says what is wrong with all that the bucket has.
func (x *voyage) hasJust(m onefile.Message) string {
	m.What = "the end"
	if wrong := x.has(m); wrong != "" {
		return wrong
	}
	for _, key := range x.p.Server.Keys(harness.Bucket) {
		if _, ok := m.Files[key]; !ok && key != "d/" {
			return fmt.Sprintf("the bucket has %s, and should not", key)
		}
	}
	if list := x.p.Server.Uploads(harness.Bucket); len(list) != 0 {
		return fmt.Sprintf("%d multipart uploads are left over: %v", len(list), list)
	}
	return ""
}
