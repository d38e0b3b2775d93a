package writeback

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// newOthersModel has an empty bucket, and Options as the seed says.
func newOthersModel(t *testing.T, seed uint64) *othersModel {
	r := newRig(t)
	m := &othersModel{t: t, r: r, seed: seed, mem: disktest.New(), rng: rand.New(rand.NewPCG(seed, 12)),
		inside: map[ossclient.ETag][]int{}, seen: map[Key]Seen{}}
	m.b = &shared{traced: traced{patient: patient{r.bucket}}, m: m, looks: map[look]int{}, taken: map[Key]bool{}, late: map[Key]bool{}, copied: map[Key]int{}}
	m.b.stopsAfter(m.rng.IntN(2) == 0, seed)
	o := r.opt
	o.Bucket, o.Logger, o.Confirmed = m.b, slog.New(slog.NewTextHandler(m.b, nil)), m.confirmed
	o.Delay = []time.Duration{time.Hour, time.Millisecond, 20 * time.Millisecond}[seed%3]
	o.smallMost = []int64{-1, 1000, 0}[m.rng.IntN(3)]
	o.OnConflict = []Conflict{KeepBoth, KeepBoth, Fail, Overwrite}[m.rng.IntN(4)]
	o.Believe = []time.Duration{0, time.Hour}[m.rng.IntN(2)]
	o.SinglePut, o.partFirst, o.cell = 256<<10, 128<<10, 128<<10
	o.Young = []time.Duration{0, time.Hour}[m.rng.IntN(2)]
	if m.rng.IntN(2) == 0 {
		o.StageBudget = int64(2+m.rng.IntN(3)) << 20
	}
	o.LocalFsync = m.rng.IntN(4) == 0
	m.opt = o
	m.b.say("on conflict %d, a removal holds for %v, local fsync %v", o.OnConflict, o.Believe, o.LocalFsync)
	return m
}

// begin begins a process, whose disk stops at the n-th change. False: it stopped before the process could begin.
func (m *othersModel) begin(n int) bool {
	m.ctx, m.stop = context.WithTimeout(m.t.Context(), time.Minute)
	m.mem.StopAt(n, m.stop)
	m.b.on(m.mem)
	m.opt.Disk, m.s = m.mem, nil
	s, err := Open(m.ctx, m.opt)
	if err != nil {
		if !m.mem.Stopped() {
			m.fatal("open: %v", err)
		}
		return false
	}
	m.s = s
	return true
}

func (m *othersModel) end() {
	if m.s != nil {
		m.s.cancel()
		m.s.wg.Wait()
	}
}

// kill ends the process, and begins another on the same disk.
func (m *othersModel) kill() bool {
	return m.step("kill", func() error {
		m.end()
		m.dies(false)
		if err := m.s.lock.Close(); err != nil {
			return err
		}
		s, err := Open(m.t.Context(), m.opt)
		if err == nil {
			m.s = s
		}
		return err
	})
}

// cut has the power fail, and another process begin.
func (m *othersModel) cut() {
	m.end()
	m.stop()
	m.dies(true)
	m.mem = m.mem.PowerCut(m.rng)
	m.b.say("the power is back")
}

// survives begins another process after a kill at a change of the disk.
func (m *othersModel) survives() bool {
	m.end()
	m.stop()
	m.dies(false)
	if m.s == nil {
		return false
	}
	if err := m.s.lock.Close(); err != nil {
		m.fatal("%v", err)
	}
	m.b.say("killed")
	return m.begin(1 + m.rng.IntN(600))
}

func (m *othersModel) works() {
	for range 60 {
		if !m.any(m.ctx) {
			return
		}
	}
}

// ends has all sent on a sound disk, and looks for all lines.
func (m *othersModel) ends() {
	m.r.server.SetFaults()
	m.b.stopsAfter(false, 0)
	if !m.begin(-1) {
		return
	}
	flush, cancel := context.WithTimeout(m.t.Context(), enough)
	defer cancel()
	err := m.s.Flush(flush, "", nil)
	if unsent := new(Unsent); err != nil && !errors.As(err, &unsent) {
		m.fail("flush: %v; %+v", err, m.s.Status())
	}
	found := m.found()
	m.failures(found)
	for n, l := range m.lines {
		if l.gone == "" && len(found[n]) == 0 {
			m.fail("line %d is nowhere (theirs: %v)", n, l.theirs)
		}
		if !m.twice && !l.theirs && l.gone == "" && len(found[n]) > 1 && !beside(found[n]) {
			m.fail("line %d is in %q", n, found[n])
		}
	}
	if err := m.s.Close(context.Background()); err != nil {
		m.fail("close: %v", err)
	}
	m.stop()
}

// found is where the bucket has each line.
func (m *othersModel) found() map[int][]string {
	found := make(map[int][]string)
	for _, key := range m.r.server.Keys(ossservertest.Bucket) {
		name, _, beside := strings.Cut(key, ".conflict-")
		if !slices.Contains(othersKeys, Key(name)) {
			m.fail("left over: %s", key)
		}
		content, _ := m.r.body(key)
		list, whole := m.linesOf(content)
		if !whole && !beside {
			m.fail("%s has bytes of no line, beside %d", key, list)
		}
		for _, n := range list {
			found[n] = append(found[n], key)
		}
	}
	return found
}

// failures looks at what cannot be sent: it is kept, and told of.
func (m *othersModel) failures(found map[int][]string) {
	for _, failure := range m.s.Status().Failures {
		e := m.s.get(failure.Key)
		if !failure.Permanent || e == nil || m.opt.OnConflict != Fail && e.edit == nil {
			m.fail("%s is not sent: %v", failure.Key, failure.Err)
		}
		if e == nil {
			continue
		}
		content, err := m.staged(failure.Key)
		if err != nil {
			m.fail("%s cannot be read: %v", failure.Key, err)
		}
		list, _ := m.linesOf(content)
		for _, n := range list {
			found[n] = append(found[n], string(failure.Key)+" (staged)")
		}
	}
}

func runOthersModel(t *testing.T, seed uint64) {
	m := newOthersModel(t, seed)
	if m.rng.IntN(2) == 0 {
		var faults []ossserver.Fault
		for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
			faults = append(faults, ossserver.Fault{Kind: kind, Probability: 0.05})
		}
		m.r.server.SetFaults(faults...)
	}
	n := func() int { return []int{-1, 1 + m.rng.IntN(600)}[m.rng.IntN(2)] }
	begun := m.begin(n())
	for lives := 1 + m.rng.IntN(3); lives > 0; lives-- {
		if begun {
			m.works()
		}
		if begun = m.rng.IntN(2) == 0 && m.survives(); !begun {
			m.cut()
			begun = m.begin(n())
		}
	}
	m.cut()
	m.ends()
}

// beside says whether all that have a line are an object and what is kept beside it. An edit that is kept so is over what the name has when it is sent,
// which may be ours again by then.
func beside(keys []string) bool {
	slices.Sort(keys)
	return !slices.ContainsFunc(keys[1:], func(key string) bool { return !strings.HasPrefix(key, keys[0]+".conflict-") })
}

// Another client changes the objects that are written here, with the power failing, and the process killed, at any time: nothing is lost that nobody
// who knew of it has taken away. OSSFS_POWER_SEED and OSSFS_POWER_SEEDS choose other runs.
// SEMANTICS 5.2
func TestPowerOthers(t *testing.T) { powerSeeds(t, 30, runOthersModel) }
