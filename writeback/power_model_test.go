package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// traced is a patient Bucket that keeps what changed objects.
type traced struct {
	patient
	mu    sync.Mutex
	said  strings.Builder
	stops *rand.Rand // says after which requests the disk stops; nil: after none
	disk  *disktest.Mem
}

// stopsAfter has the disk stop after one in twelve of the requests that change objects, or after none: exactly before it is noted what
// was answered.
func (b *traced) stopsAfter(requests bool, seed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stops = nil; requests {
		b.stops = rand.New(rand.NewPCG(seed, 13))
	}
}

// on says what the disk is.
func (b *traced) on(disk *disktest.Mem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disk = disk
}

// did says what has changed objects.
func (b *traced) did(format string, args ...any) {
	b.say(format, args...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stops != nil && b.stops.IntN(12) == 0 {
		fmt.Fprintln(&b.said, "the disk stops")
		b.disk.StopNext()
	}
}

func (b *traced) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(&b.said, format+"\n", args...)
}

// Write takes the lines of a log.
func (b *traced) Write(p []byte) (int, error) {
	b.say("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func (b *traced) Put(ctx context.Context, q ossclient.PutRequest) (ossclient.PutResult, error) {
	r, err := b.patient.Put(ctx, q)
	b.did("put %s of %d (exclusive %v): %s %v", q.Key, q.Size, q.NoOverwrite, r.ETag, err)
	return r, err
}

func (b *traced) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error) {
	r, err := b.patient.CompleteUpload(ctx, c)
	b.did("complete %s of %d parts (exclusive %v): %s %v", c.Key, len(c.Parts), c.NoOverwrite, r.ETag, err)
	return r, err
}

func (b *traced) DeleteMany(ctx context.Context, keys []Key) error {
	err := b.patient.DeleteMany(ctx, keys)
	b.did("delete %q: %v", keys, err)
	return err
}

func (b *traced) Copy(ctx context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	r, err := b.patient.Copy(ctx, q)
	b.did("copy %s %s to %s: %s %v", q.Source.Key, q.Source.ETag, q.Key, r.ETag, err)
	return r, err
}

func (b *traced) Head(ctx context.Context, key Key) (ossclient.Object, error) {
	o, err := b.patient.Head(ctx, key)
	b.say("head %s: %s of %d %v", key, o.ETag, o.Size, err)
	return o, err
}

// powerModel does random operations on a Store until the power fails, and knows what each key may have afterwards.
type powerModel struct {
	t   *testing.T
	r   *rig
	mem *disktest.Mem
	b   *traced
	s   *Store
	opt Options
	rng *rand.Rand
	log []string

	seed   uint64
	faults []ossserver.Fault // of the server
	ctx    context.Context   // ends when the disk stops
	stop   context.CancelFunc

	before  world                  // what was seen before the last step
	worlds  []world                // after each step; the last is what the step that failed was to make
	least   map[Key]int            // the world before which no state of a key may come back
	synced  map[Key]int            // the same, by an fsync: not even when bytes are overwritten
	shaken  map[Key]bool           // bytes of a closed state were overwritten since the last group (SEMANTICS 1.2)
	partial map[Key]map[uint64]int // the step in whose middle a key had a content of this sum: it may be sent so (SEMANTICS 1.13)
	origins map[Key][]Key          // the keys that the content of a key had since then
	grouped int                    // the last world that a group made durable
	renames []renamedModel         // since the beginning
	files   []*fileModel           // open
	swapped map[Key]swapModel      // the last exchange of a key
	tight   bool                   // the stage is small
	early   bool                   // so, or the disk may be full: what is open may be sent at any moment (SEMANTICS 1.9)
	local   bool                   // fsync means the local disk
	denied  Key                    // what is under it cannot be stored; "": all can be
	peace   bool                   // no process ends, nothing is refused, and nothing waits so that what takes its place is sent early
	half    bool                   // a move was refused: it may have been begun
	moving  bool                   // most is moved, or added to, and seldom durable
	holds   []func()               // end those that hold an object
	sick    error                  // what the disk says now and then; nil: it is well
	unseen  map[Key]bool           // what was written to, and not closed, when the power failed after a kill
}

// fileModel is a file that stays open, by one handle or more. Worlds have what was closed; it has what was written.
type fileModel struct {
	f       *File
	key     Key // "": it was removed, or replaced
	live    string
	was     string // before it was written to last
	handles int
	dirty   bool  // written to since the last commit
	torn    bool  // so that committed bytes were overwritten or cut off
	homes   []Key // the keys that its committed content had since the last group
}

// swapModel is an exchange. What was not closed of a key, or was overwritten, may be lost (SEMANTICS 1.2) though it has moved: then the other
// key has what was there before, or nothing, when the bucket's has moved away.
type swapModel struct {
	step  int
	other Key
	from  int // the world before which no state of the other may come back
}

type renamedModel struct {
	since, step int // since: the world before which no state of what was renamed may come back
	from, to    Key
}

func (m *powerModel) trace() string {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	return m.b.said.String()
}

func (m *powerModel) now() world { return m.worlds[len(m.worlds)-1] }

// modelKeys are the keys of the model; those below e/ are of the directory d/ under its other name.
var modelKeys = []Key{"a", "b", "c", "d/a", "d/b", "e/a", "e/b"}

func (m *powerModel) name() Key { return modelKeys[m.rng.IntN(len(modelKeys))] }

// opened is the open file of a key.
func (m *powerModel) opened(key Key) *fileModel {
	for _, o := range m.files {
		if o.key == key {
			return o
		}
	}
	return nil
}

// content is what a program sees at a key.
func (m *powerModel) content(key Key) (string, bool) {
	if o := m.opened(key); o != nil {
		return o.live, true
	}
	content, there := m.now()[key]
	return content, there
}

// commits notes that what was written to the open file of a key is committed with the next step.
func (m *powerModel) commits(w world, key Key) {
	if o := m.opened(key); o != nil && o.dirty {
		w[key] = o.live
		o.dirty, o.torn = false, false
	}
}

// loses notes that the open file of a key loses it.
func (m *powerModel) loses(key Key) {
	if o := m.opened(key); o != nil {
		o.key, o.homes = "", append(slices.Clone(m.origins[key]), key)
	}
}

// anew notes that a key is made anew.
func (m *powerModel) anew(key Key) {
	m.loses(key)
	delete(m.origins, key)
}

// mayHave notes that a key may be found with a content that was not closed, from the next step on.
func (m *powerModel) mayHave(key Key, content string) { m.mayHaveFrom(len(m.worlds), key, content) }

func (m *powerModel) mayHaveFrom(step int, key Key, content string) {
	if m.partial[key] == nil {
		m.partial[key] = make(map[uint64]int)
	}
	m.partial[key][sumOfString(content)] = step
}

func sumOfString(s string) uint64 { return crc.Update(0, []byte(s)) }

// step notes what an operation is to make, and does it. False: the disk has stopped, or refused it.
func (m *powerModel) step(what string, change func(w world), do func() error) bool {
	m.before = m.seenBefore()
	next := maps.Clone(m.now())
	change(next)
	m.worlds = append(m.worlds, next)
	m.log = append(m.log, what)
	m.b.say("%d: %s", len(m.worlds)-1, what)
	err := do()
	switch {
	case err == nil || m.mem.Stopped():
	case m.mayFail(err):
		m.refused()
	default:
		m.fatal("%v on a sound disk", err)
	}
	return err == nil
}

func (m *powerModel) version(key Key) ossclient.Version {
	if st, ok := m.s.Lookup(key); ok {
		return st.Base
	}
	for {
		o, err := m.r.bucket.Head(context.Background(), key)
		if err == nil || errors.Is(err, ossclient.ErrNotExist) {
			return o.Version
		}
	}
}

// open is the File of a key, made anew when there is none.
func (m *powerModel) open(key Key, there bool) (*File, error) {
	if f, ok := m.s.OpenContent(key); ok {
		return f, nil
	}
	if there {
		return m.s.Edit(key, Seen{Version: m.version(key)}, fileAttr(), nil)
	}
	return m.s.Create(key, fileAttr(), m.version(key))
}

// size is of a write: mostly small, now and then in parts.
func (m *powerModel) size() int {
	return []int{m.rng.IntN(2000), m.rng.IntN(150 << 10), m.rng.IntN(150 << 10), m.rng.IntN(2 << 20)}[m.rng.IntN(4)]
}

// shake notes that bytes of a state of a key are overwritten.
func (m *powerModel) shake(key Key, really bool) {
	if really {
		for _, k := range append(m.origins[key], key) {
			m.shaken[k] = true
		}
	}
}

// matches are the worlds in which a key has what is found there.
func (m *powerModel) matches(key Key, got string, there bool) (steps []int) {
	for i, w := range m.worlds {
		if want, present := w[key]; present == there && want == got {
			steps = append(steps, i)
		}
	}
	if there {
		if step, ok := m.partial[key][sumOfString(got)]; ok {
			steps = append(steps, m.until(key, step)...)
		}
	} else if sw, ok := m.swapped[key]; ok && m.shaken[key] {
		steps = append(steps, m.until(key, sw.step)...)
	}
	if sw, ok := m.swapped[key]; ok {
		for _, w := range m.worlds[sw.from:sw.step] {
			if content, present := w[sw.other]; present == there && content == got {
				steps = append(steps, m.until(key, sw.step)...)
				break
			}
		}
		if step, ok := m.partial[sw.other][sumOfString(got)]; ok && there && step >= sw.from && step <= sw.step {
			steps = append(steps, m.until(key, sw.step)...)
		}
	}
	slices.Sort(steps)
	return steps
}

// oldest is the world before which no state of a key may come back.
func (m *powerModel) oldest(key Key) int {
	if m.shaken[key] {
		return m.synced[key]
	}
	return m.least[key]
}

// until are the worlds from one on in which a key has what it has there: what was not closed is as old as that.
func (m *powerModel) until(key Key, from int) (steps []int) {
	for i := from; i < len(m.worlds) && m.worlds[i][key] == m.worlds[from][key]; i++ {
		steps = append(steps, i)
	}
	return steps
}

func (m *powerModel) fail(format string, args ...any) {
	m.t.Errorf("seed %d: %s\nafter %s\n%s", m.seed, fmt.Sprintf(format, args...), strings.Join(m.log, "; "), m.trace())
}

func (m *powerModel) fatal(format string, args ...any) {
	m.fail(format, args...)
	m.t.FailNow()
}

// begins notes what the bucket has and what there is, durably, when a process begins.
func (m *powerModel) begins(stored, there world) {
	m.worlds, m.renames, m.files, m.holds, m.half = []world{stored, there}, nil, nil, nil, false
	m.least, m.synced, m.shaken, m.unseen = map[Key]int{}, map[Key]int{}, map[Key]bool{}, map[Key]bool{}
	m.partial, m.origins, m.swapped = map[Key]map[uint64]int{}, map[Key][]Key{}, map[Key]swapModel{}
	m.group()
}

// nearest says what a content that a key never had is like.
func (m *powerModel) nearest(key Key, got string) string {
	best, step := -1, 0
	for i, w := range m.worlds {
		same := 0
		for want := w[key]; same < min(len(want), len(got)) && want[same] == got[same]; same++ {
		}
		if same >= best {
			best, step = same, i
		}
	}
	zeros := 0
	for best+zeros < len(got) && got[best+zeros] == 0 {
		zeros++
	}
	return fmt.Sprintf("as after step %d to byte %d, then %d zeros", step, best, zeros)
}

// compare looks whether what each key has is what it may have after a loss of power.
func (m *powerModel) compare(where string, has func(Key) (content string, there bool)) {
	at, found := make(map[Key][]int), make(map[Key]uint64)
	for _, key := range modelKeys {
		got, there := has(key)
		found[key] = sumOfString(got)
		at[key] = m.matches(key, got, there)
		if m.unseen[key] {
			continue
		}
		if steps := at[key]; len(steps) == 0 {
			m.fail("%s: %s has %d bytes (%v) that it never had; %s", where, key, len(got), there, m.nearest(key, got))
		} else if last := steps[len(steps)-1]; last < m.oldest(key) {
			m.fail("%s: %s is as after step %d, and was durable at %d (fsync: %d)", where, key, last, m.least[key], m.synced[key])
		}
	}
	for _, r := range m.renames { // of what was added to as well: it is as it was closed last, under the one name or the other
		from, to := at[r.from], at[r.to]
		durable, there := m.worlds[r.since][r.from]
		grown := there && strings.HasPrefix(m.worlds[r.step][r.to], durable) && (durable != "" || m.worlds[r.step][r.to] == "")
		if len(from) == 0 || len(to) == 0 || m.unseen[r.from] || m.unseen[r.to] || m.shaken[r.to] || !grown {
			continue
		}
		passed, ok := m.partial[r.from][found[r.from]] // it was made durable to be moved, or sent
		before := ok && passed >= r.since && passed <= r.step || slices.ContainsFunc(from, func(step int) bool { return step >= r.since && step < r.step })
		if !before && to[len(to)-1] < r.step {
			m.fail("%s: the rename at %d from %s to %s took its content away (from: %v, to: %v)", where, r.step, r.from, r.to, from, to)
		}
	}
}
