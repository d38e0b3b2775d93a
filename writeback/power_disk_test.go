package writeback

import (
	"context"
	"errors"
	"syscall"

	"github.com/ossfs/ossfs/writeback/journal"
)

// mayFail says whether the disk is one that refuses things. The operation may be done in part; the process, or the power, does not last longer.
func (m *powerModel) mayFail(err error) bool {
	doubtful := m.sick == syscall.EIO && (errors.Is(err, errDoubtful) || errors.Is(err, journal.ErrDoubtful))
	return doubtful || m.sick != nil && errors.Is(err, m.sick)
}

// refused notes that it is not known of what the last step was to change how much of it is done.
func (m *powerModel) refused() {
	for _, key := range modelKeys {
		before, had := m.before[key]
		after, has := m.now()[key]
		m.unseen[key] = m.unseen[key] || had != has || before != after
	}
}

// failSync has one of the next syncs fail. A process that is killed before it has written anew what that has lost leaves that to nobody, so that such
// a disk has none.
func (m *powerModel) failSync() bool {
	if m.sick == syscall.EIO {
		m.mem.FailSync(1 + m.rng.IntN(4))
	}
	return true
}

// full does some things while the disk is full, or nearly.
func (m *powerModel) full(ctx context.Context) bool {
	if m.sick != syscall.ENOSPC {
		return true
	}
	m.b.say("the disk is full")
	m.mem.Fill(m.rng.Int64N(200 << 10))
	for range 1 + m.rng.IntN(6) {
		if !m.small(ctx) {
			if m.rng.IntN(2) == 0 {
				m.mem.Fill(-1)
			}
			return false
		}
	}
	m.mem.Fill(-1)
	m.b.say("the disk has room")
	return true
}

// small does something that does not wait for room.
func (m *powerModel) small(ctx context.Context) bool {
	key := m.name()
	switch m.rng.IntN(8) {
	case 0:
		return m.write(ctx, key)
	case 1:
		return m.create(ctx, key)
	case 2:
		return m.truncate(ctx, key)
	case 3:
		return m.remove(key)
	case 4:
		return m.openFile(key)
	case 5:
		return m.attributes(key)
	}
	return m.use(ctx)
}
