package writeback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// model does random operations on a Store and on a plain map.
type model struct {
	t     *testing.T
	r     *rig
	s     *Store
	rng   *rand.Rand
	files map[string][]byte
	log   []string
}

func (m *model) name() string { return []string{"a", "b", "c", "d/a", "d/b", "e/a"}[m.rng.IntN(6)] }

func (m *model) fatal(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter %s", fmt.Sprintf(format, args...), strings.Join(m.log, "; "))
}

// version is what a caller would know of a key.
func (m *model) version(name string) ossclient.Version {
	if st, ok := m.s.Lookup(Key(name)); ok {
		return st.Base
	}
	for {
		o, err := m.r.bucket.Head(context.Background(), Key(name))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return o.Version
		}
	}
}

func (m *model) open(name string) *File {
	_, there := m.files[name]
	if f, ok := m.s.OpenContent(Key(name)); ok {
		return f
	}
	var f *File
	var err error
	if there {
		f, err = m.s.Edit(Key(name), Seen{Version: m.version(name)}, fileAttr(), nil)
	} else {
		m.files[name] = nil
		f, err = m.s.Create(Key(name), fileAttr(), m.version(name))
	}
	if err != nil {
		m.fatal("open %s: %v", name, err)
	}
	return f
}

func (m *model) write(ctx context.Context, name string) {
	if _, there := m.files[name]; !there {
		f := must(m.s.Create(Key(name), fileAttr(), m.version(name)))(m.t)
		m.files[name] = nil
		f.Release()
	}
	f := m.open(name)
	for range 1 + m.rng.IntN(3) {
		data := []byte(noise(m.rng.IntN(150<<10), m.rng.Uint64()))
		off := m.rng.IntN(len(m.files[name]) + 1)
		if m.rng.IntN(3) == 0 {
			off = len(m.files[name]) // append
		}
		if _, err := f.WriteAt(ctx, data, int64(off)); err != nil {
			m.fatal("write %s: %v", name, err)
		}
		content := m.files[name]
		if n := off + len(data); n > len(content) {
			content = append(content, make([]byte, n-len(content))...)
		}
		copy(content[off:], data)
		m.files[name] = content
	}
	m.finish(f, name)
}

func (m *model) finish(f *File, name string) {
	if got := f.Size(); got != int64(len(m.files[name])) {
		m.fatal("size of %s: %d, want %d", name, got, len(m.files[name]))
	}
	if err := f.Commit(); err != nil {
		m.fatal("commit %s: %v", name, err)
	}
	f.Release()
}

func (m *model) truncate(ctx context.Context, name string) {
	if _, there := m.files[name]; !there {
		return
	}
	f := m.open(name)
	size := m.rng.IntN(len(m.files[name])*2 + 1)
	if err := f.Truncate(ctx, int64(size)); err != nil {
		m.fatal("truncate %s: %v", name, err)
	}
	content := m.files[name]
	if size > len(content) {
		content = append(content, make([]byte, size-len(content))...)
	}
	m.files[name] = content[:size:size]
	m.finish(f, name)
}

func (m *model) read(ctx context.Context, name string) {
	want, there := m.files[name]
	f, ok := m.s.OpenContent(Key(name))
	if !ok {
		return
	}
	defer f.Release()
	if !there {
		m.fatal("%s has content, and should not be there", name)
	}
	got := make([]byte, len(want))
	n, err := f.ReadAt(ctx, got, 0)
	if string(got[:n]) != string(want) {
		m.fatal("read %s: %d bytes (%v) of %d differ", name, n, err, len(want))
	}
}

func (m *model) rename(ctx context.Context, from, to string) {
	content, there := m.files[from]
	if !there || from == to {
		return
	}
	if err := m.s.Rename(ctx, Key(from), Key(to), RenameSource{Version: m.version(from)}, Seen{Version: m.version(to)}); err != nil {
		m.fatal("rename %s to %s: %v", from, to, err)
	}
	delete(m.files, from)
	m.files[to] = content
}

func (m *model) renameTree(ctx context.Context, from, to string) {
	for name := range m.files {
		if strings.HasPrefix(name, to) {
			return
		}
	}
	if err := m.s.RenameTree(ctx, Key(from), Key(to), Seen{}); err != nil {
		m.fatal("rename %s to %s: %v", from, to, err)
	}
	for name, content := range m.files {
		if rest, ok := strings.CutPrefix(name, from); ok {
			delete(m.files, name)
			m.files[to+rest] = content
		}
	}
}

func (m *model) step(ctx context.Context) {
	name := m.name()
	op := m.rng.IntN(12)
	m.log = append(m.log, fmt.Sprintf("%d %s", op, name))
	switch op {
	case 0, 1, 2, 3:
		m.write(ctx, name)
	case 4:
		m.truncate(ctx, name)
	case 5:
		if _, there := m.files[name]; there {
			if err := m.s.Remove(Key(name), Seen{Version: m.version(name)}); err != nil {
				m.fatal("remove %s: %v", name, err)
			}
			delete(m.files, name)
		}
	case 6:
		to := m.name()
		m.log = append(m.log, "to "+to)
		m.rename(ctx, name, to)
	case 7:
		m.read(ctx, name)
	case 8:
		if err := m.s.Sync(ctx, Key(name)); err != nil {
			m.fatal("sync %s: %v; %+v", name, err, m.s.Status())
		}
		m.check(name)
	case 9:
		if _, there := m.files[name]; there {
			if err := m.s.SetAttr(Key(name), Seen{Version: m.version(name)}, Rest{}, fileAttr()); err != nil {
				m.fatal("attributes of %s: %v", name, err)
			}
		}
	case 10:
		m.renameTree(ctx, "d/", "e/")
	case 11:
		m.renameTree(ctx, "e/", "d/")
	}
}

// check compares a key in the bucket.
func (m *model) check(name string) {
	got, ok := m.r.body(name)
	want, there := m.files[name]
	if ok != there || got != string(want) {
		m.fatal("the bucket has %d bytes at %s (%v), want %d (%v); equal %v", len(got), name, ok, len(want), there, got == string(want))
	}
}

func runModel(t *testing.T, seed uint64, faults bool, delay time.Duration) {
	r := newRig(t)
	r.opt.Delay = delay
	r.opt.smallMost = []int64{-1, 1000, 0}[seed%3]
	r.opt.SinglePut, r.opt.partFirst, r.opt.cell = 256<<10, 128<<10, 128<<10
	m := &model{t: t, r: r, rng: rand.New(rand.NewPCG(seed, 9)), files: make(map[string][]byte)}
	if faults {
		var list []ossserver.Fault
		for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.Error503, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
			list = append(list, ossserver.Fault{Kind: kind, Probability: 0.03})
		}
		r.server.SetFaults(list...)
	}
	m.s = r.open()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	for range 60 {
		m.step(ctx)
	}
	if err := m.s.Flush(ctx, "", nil); err != nil {
		m.fatal("flush: %v; %+v", err, m.s.Status())
	}
	r.server.SetFaults()
	for name := range m.files {
		m.check(name)
	}
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != len(m.files) {
		m.fatal("the bucket has %q, want %d", keys, len(m.files))
	}
	if st := m.s.Status(); st.Conflicts != 0 || st.Failed != 0 {
		m.fatal("status: %+v", st)
	}
	if faults {
		return // the answer to an InitiateMultipartUpload may be lost: nobody knows that upload
	}
	deadline := time.Now().Add(enough) // the sweep comes with the next group
	for len(r.server.Uploads(ossservertest.Bucket)) > 0 && time.Now().Before(deadline) {
		m.s.sync.wake()
		time.Sleep(10 * time.Millisecond)
	}
	if n := len(r.server.Uploads(ossservertest.Bucket)); n > 0 {
		m.fatal("%d uploads left over", n)
	}
}

// Random operations give the bucket what they give a map, with a faulty server too. What is sent is sent
// by Sync, Rename and Flush; with a short delay, so that everything is sent while it changes, set
// OSSFS_MODEL_DELAY=1ms.
func TestModel(t *testing.T) {
	delay := time.Hour
	if d, err := time.ParseDuration(os.Getenv("OSSFS_MODEL_DELAY")); err == nil {
		delay = d
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("sound%d", seed), func(t *testing.T) { runModel(t, seed, false, delay) })
		t.Run(fmt.Sprintf("faulty%d", seed), func(t *testing.T) { runModel(t, seed, true, delay) })
	}
}
