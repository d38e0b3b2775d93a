package writeback

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/ossclient"
)

// metered is a Bucket that looks at the budget while requests with a body are on their way.
type metered struct {
	Bucket
	t       *testing.T
	memory  *budget.Budget
	running atomic.Int64
	most    atomic.Int64
}

func (m *metered) look(size int64) func() {
	n := m.running.Add(1)
	for most := m.most.Load(); n > most && !m.most.CompareAndSwap(most, n); most = m.most.Load() {
	}
	if used := m.memory.Used()[uploadClass]; used < bodyMemory(size) || used > m.memory.Total() {
		m.t.Errorf("a body of %d bytes is sent, and %d of %d bytes of the budget are taken", size, used, m.memory.Total())
	}
	return func() { m.running.Add(-1) }
}

func (m *metered) Put(ctx context.Context, p ossclient.PutRequest) (ossclient.PutResult, error) {
	defer m.look(p.Size)()
	return m.Bucket.Put(ctx, p)
}

func (m *metered) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	defer m.look(p.Size)()
	return m.Bucket.UploadPart(ctx, p)
}

// What the uploader holds is taken from the budget, and bounds how much is sent at once; all of it comes back.
// Invariant 8
func TestMemoryOfUploads(t *testing.T) {
	r := newRig(t)
	const atOnce = borrowShare // of the largest
	m := &metered{Bucket: r.bucket, t: t, memory: budget.New(atOnce * largeBody)}
	r.opt.Bucket, r.opt.Memory, r.opt.Delay = m, m.memory, time.Hour
	r.server.SetLatency(5 * time.Millisecond)
	s := r.open()
	const size = 700 << 10
	for i := range 3 * atOnce {
		key := fmt.Sprint("edit", i)
		f := must(s.Edit(Key(key), Seen{Version: r.put(key, noise(size, 1))}, fileAttr(), nil))(t)
		if _, err := f.WriteAt(t.Context(), []byte("EDIT"), 100); err != nil {
			t.Fatal(err)
		}
		r.close(f)
		r.write(s, fmt.Sprint("new", i), noise(size, 2))
	}
	r.write(s, "large", noise(6<<20, 3))
	r.flush(s)
	r.want("large", noise(6<<20, 3))
	if most := m.most.Load(); most > atOnce || most < 2 {
		t.Errorf("%d requests with a body at once, want at most %d", most, atOnce)
	}
	if used := m.memory.Used()[uploadClass]; used != 0 {
		t.Errorf("%d bytes did not come back", used)
	}
}
