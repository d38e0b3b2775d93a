package tests

import (
	"bufio"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// databaseProgram works on a database until it fails, saying which transactions were committed, or looks whether the database is sound and
// has them.
//
//go:embed database_test.py
var databaseProgram string

// A database that is written to while the mount is killed is sound at the next mount, and has each transaction that was committed. So it is on another
// machine, which has nothing but what is in the bucket. OSSFS_TEST_CAMPAIGN_SEED repeats a seed, _SEEDS and _RUNS ask for more.
// SEMANTICS 1.1, 1.3
func TestCampaignDatabase(t *testing.T) {
	if exec.Command("python3", "-c", "import sqlite3").Run() != nil {
		t.Skip("python3 has no sqlite3 here")
	}
	program := harness.Build(t)
	first := setting("CAMPAIGN_SEED", 1)
	for seed := first; seed < first+setting("CAMPAIGN_SEEDS", 2); seed++ {
		for _, mode := range []string{"delete", "truncate", "persist", "wal"} {
			t.Run(fmt.Sprintf("seed %d %s", seed, mode), func(t *testing.T) {
				t.Parallel()
				newDatabase(t, program, uint64(seed), mode).run(setting("CAMPAIGN_RUNS", 3))
			})
		}
	}
}

// database is one that is written to through mounts that are killed.
type database struct {
	t         *testing.T
	r         *rand.Rand
	s         *ossservertest.Server
	p         *harness.Process
	program   string
	mode      string
	committed int // transactions, as the program heard
	seen      int // as this machine has shown: of the last, fsync has not confirmed the end
}

func newDatabase(t *testing.T, program string, seed uint64, mode string) *database {
	d := &database{t: t, program: program, mode: mode, r: rand.New(rand.NewPCG(seed, 1))}
	d.s = ossservertest.NewTest(t, ossserver.Options{Latency: time.Millisecond, Seed: seed})
	if d.r.IntN(2) == 0 {
		var faults []ossserver.Fault
		for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
			faults = append(faults, ossserver.Fault{Kind: kind, Probability: 0.02})
		}
		d.s.SetFaults(faults...)
	}
	d.p = harness.NewProcess(t, d.s, program)
	d.p.Flags = []string{
		"--write-back", []string{"1ms", "100ms", "1h"}[d.r.IntN(3)], "--single-put", []string{"100KiB", "16MiB"}[d.r.IntN(2)],
		"--stage-size", []string{"4MiB", "1GiB"}[d.r.IntN(2)],
	}
	return d
}

func (d *database) run(lives int) {
	for range lives {
		d.p.Start()
		d.seen = d.looksAt(d.p, max(d.seen, d.committed))
		d.works()
		d.p.Clear()
	}
	other := harness.NewProcess(d.t, d.s, d.program)
	other.Start()
	d.looksAt(other, d.committed)
	other.Stop()
}

// works has transactions done until the mount is killed.
func (d *database) works() {
	writer := d.python(d.p, "write")
	out, err := writer.StdoutPipe()
	must(d.t, err)
	must(d.t, writer.Start())
	kill := time.AfterFunc(time.Duration(d.r.Int64N(int64(time.Second)))+50*time.Millisecond, d.p.Kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		must(d.t, err)
		d.committed = n
	}
	if writer.Wait() == nil || kill.Stop() {
		d.t.Errorf("the program ended before the mount was killed:\n%s", writer.Stderr)
	}
	d.p.Kill() // it may be under way
}

// looksAt looks whether the database is sound, and has so many transactions at least.
func (d *database) looksAt(p *harness.Process, least int) int {
	d.t.Helper()
	got, err := d.python(p, "look").Output()
	if err != nil {
		d.t.Fatalf("flags %q, %d transactions: %v\n%s", d.p.Flags, least, err, got)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(got)))
	if err != nil || n < least {
		d.t.Fatalf("flags %q: the database has %q transactions, and had %d", d.p.Flags, got, least)
	}
	return n
}

func (d *database) python(p *harness.Process, what string) *exec.Cmd {
	cmd := exec.Command("python3", "-c", databaseProgram, what, d.mode, filepath.Join(p.Dir, "db"), fmt.Sprint(d.r.Int32()))
	if what == "write" {
		cmd.Stderr = new(strings.Builder)
	}
	return cmd
}
