package fs

import (
	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// Status is what a mount is doing.
type Status struct {
	Source     string
	Mountpoint string
	StateDir   string
	Writeback  writeback.Status
	Bucket     ossclient.Stats
	Reads      stream.Stats
	Listings   namespace.Stats
	Records    Hits             // of the attribute index
	Memory     map[string]int64 // bytes in use by class of use; together never more than MemoryAll
	MemoryAll  int64            // bytes, the budget
	Inodes     int              // live
}

// Hits counts what was found in a cache, and what was not.
type Hits struct{ Hits, Misses int64 }

// rangesClass is the class of the budget under which the store of ranges has its whole capacity reserved.
const rangesClass = "ranges"

// Status asks every part; it does not wait for the network.
func (m *Mount) Status() Status {
	st := Status{
		Source: m.options.Source, Mountpoint: m.options.Mountpoint, StateDir: m.options.StateDir,
		Writeback: m.store.Status(), Bucket: m.options.Bucket.Stats(), Reads: m.pool.Stats(), Listings: m.tree.Stats(),
		Memory: m.memory.Used(), MemoryAll: m.memory.Total(), Inodes: m.nodes.count(),
	}
	st.Records.Hits, st.Records.Misses = m.index.Stats()
	if _, reserved := st.Memory[rangesClass]; reserved {
		st.Memory[rangesClass] = m.ranges.Stats().Held
	}
	return st
}
