package writeback

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// newPowerModel has a bucket with two objects, and Options as the seed says.
func newPowerModel(t *testing.T, seed uint64) *powerModel {
	r := newRig(t)
	m := &powerModel{t: t, r: r, seed: seed, mem: disktest.New(), rng: rand.New(rand.NewPCG(seed, 11))}
	m.b = &traced{patient: patient{r.bucket}}
	o := r.opt
	o.Bucket, o.Logger = m.b, slog.New(slog.NewTextHandler(m.b, nil))
	o.Delay = []time.Duration{time.Hour, time.Millisecond, 20 * time.Millisecond}[seed%3]
	o.smallMost = []int64{-1, 1000, 0}[m.rng.IntN(3)]
	o.OnConflict = []Conflict{KeepBoth, Overwrite}[m.rng.IntN(2)]
	o.SinglePut, o.partFirst, o.cell = 256<<10, 128<<10, 128<<10
	o.Young = []time.Duration{0, time.Hour}[m.rng.IntN(2)]
	if m.tight = m.rng.IntN(2) == 0; m.tight {
		o.StageBudget = int64(1+m.rng.IntN(3)) << 20
	}
	m.sick = []error{nil, nil, syscall.EIO, syscall.ENOSPC}[m.rng.IntN(4)]
	m.early = m.tight || m.sick == syscall.ENOSPC
	m.local = m.rng.IntN(4) == 0
	o.LocalFsync = m.local
	m.moving = m.rng.IntN(3) == 0
	m.opt = o
	first := world{}
	for _, key := range []Key{"a", "d/a"} {
		content := noise(m.size(), m.rng.Uint64())
		r.put(string(key), content)
		first[key] = content
	}
	m.begins(first, first)
	if m.rng.IntN(2) == 0 {
		for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
			m.faults = append(m.faults, ossserver.Fault{Kind: kind, Probability: 0.05})
		}
		r.server.SetFaults(m.faults...)
	}
	return m
}

// begin begins a process, whose disk stops at the n-th change. False: it stopped before the process could begin.
func (m *powerModel) begin(n int) bool {
	m.ctx, m.stop = context.WithTimeout(m.t.Context(), time.Minute)
	m.mem.StopAt(n, m.stop)
	m.opt.Disk, m.s = m.mem, nil
	s, err := Open(m.ctx, m.opt)
	if err != nil {
		if !m.mem.Stopped() && !m.mayFail(err) {
			m.fatal("open: %v", err)
		}
		return false
	}
	m.s = s
	return true
}

// works does random operations until the disk stops, or it is enough.
func (m *powerModel) works() {
	for range 80 {
		if !m.any(m.ctx) {
			return
		}
	}
}

// end ends the process.
func (m *powerModel) end() {
	if m.s != nil {
		m.s.cancel()
		m.s.wg.Wait()
	}
}

// cut has the power fail.
func (m *powerModel) cut() {
	m.end()
	m.stop()
	m.allowMoves()
	m.mem = m.mem.PowerCut(m.rng)
	m.b.say("the power is back")
}

// outlives begins another process after a loss of power, perhaps after more of them; what it finds is what there is from now on.
func (m *powerModel) outlives() {
	for again := false; ; again = true {
		n := 1 + m.rng.IntN(60) // it fails again while the journal is read, or soon after
		if again || m.rng.IntN(2) == 0 {
			n = 1 + m.rng.IntN(600)
		}
		if m.begin(n) {
			stored := m.stored()
			if seen, ok := m.sees(); ok {
				m.compare("what is seen", func(key Key) (string, bool) { content, there := seen[key]; return content, there })
				m.begins(stored, seen)
				return
			}
		}
		m.cut()
	}
}

// ends has all sent on a sound disk, and looks at what the bucket has.
func (m *powerModel) ends() {
	m.r.server.SetFaults()
	if !m.begin(-1) {
		return
	}
	flush, cancel := context.WithTimeout(m.t.Context(), enough)
	defer cancel()
	if err := m.s.Flush(flush, "", nil); err != nil {
		m.fail("flush: %v; %+v", err, m.s.Status())
	}
	m.compare("the bucket", func(key Key) (string, bool) { return m.r.body(string(key)) })
	m.leftover()
	m.unmount()
	if len(m.uploads()) > 0 { // one was begun by a request of a process that had died when it was answered: the next who looks finds it
		if m.begin(-1) {
			m.unmount()
		}
	}
	if left := m.uploads(); len(left) > 0 {
		m.fail("left over: %+v", left)
	}
}

// unmount ends the last process.
func (m *powerModel) unmount() {
	if err := m.s.Close(context.Background()); err != nil {
		m.fail("close: %v", err)
	}
	m.stop()
}

func (m *powerModel) uploads() []ossserver.UploadInfo {
	return m.r.server.Uploads(ossservertest.Bucket)
}

// leftover looks at what nobody needs any more.
func (m *powerModel) leftover() {
	for _, key := range m.r.server.Keys(ossservertest.Bucket) {
		switch {
		case strings.HasPrefix(key, aside):
			m.fail("an exchange was left in the middle: %s", key)
		case strings.Contains(key, ".conflict-"):
			m.fail("kept twice: %s", key)
		}
	}
	m.r.until("no bytes of the stage are taken, since everything was sent", m.s.unused)
}

func runPowerModel(t *testing.T, seed uint64) {
	m := newPowerModel(t, seed)
	lives := 1 + m.rng.IntN(3)
	if m.begin(1 + m.rng.IntN(600)) {
		m.works()
	}
	for ; lives > 1; lives-- {
		if m.s == nil || m.sick == syscall.EIO || m.rng.IntN(2) == 0 || !m.survives() {
			m.cut()
			m.outlives()
		}
		m.works()
	}
	m.cut()
	m.ends()
}

// Whenever the power fails, each key has afterwards one of the states that it had since it was last durable, whole, and none
// older than what fsync confirmed; a rename takes nothing away. OSSFS_POWER_SEED and OSSFS_POWER_SEEDS choose other runs.
// SEMANTICS 1.2, 1.3
func TestPowerModel(t *testing.T) { powerSeeds(t, 30, runPowerModel) }

// powerSeeds does random work, by as many seeds, or by those that the environment says.
func powerSeeds(t *testing.T, most uint64, run func(t *testing.T, seed uint64)) {
	number := func(name string, or uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return or
	}
	first := number("OSSFS_POWER_SEED", 1)
	for seed := first; seed < first+number("OSSFS_POWER_SEEDS", most); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // it mostly waits
			run(t, seed)
		})
	}
}

// stored is what the bucket has at each key.
func (m *powerModel) stored() world {
	w := world{}
	for _, key := range modelKeys {
		if content, there := m.r.body(string(key)); there {
			w[key] = content
		}
	}
	return w
}

// sees is what a program sees at each key. False: the disk stopped before all was seen, or before an exchange was carried on.
func (m *powerModel) sees() (world, bool) {
	seen := world{}
	for _, key := range modelKeys {
		content, there, err := m.found(m.ctx, key)
		if m.mem.Stopped() {
			return nil, false
		}
		if err != nil {
			m.fatal("%s: %v", key, err)
		}
		if there {
			seen[key] = content
		}
	}
	return seen, !m.mem.Stopped()
}
