package disktest

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"syscall"
)

// ErrSync is the error of a sync that FailSync asked for.
var ErrSync = fmt.Errorf("disktest: a sync has failed: %w", syscall.EIO)

// FailSync makes the n-th sync from now, of a file or of all, fail. What was to be written by it never will be, and only that one tells: later ones
// do nothing, and succeed. A sync of all tells again for each file.
func (m *Mem) FailSync(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failSync = n
}

// syncFailsLocked counts a sync.
func (m *Mem) syncFailsLocked() bool {
	if m.failSync > 0 {
		m.failSync--
		return m.failSync == 0
	}
	return false
}

func (m *Mem) syncNamesLocked(in func(name string) bool) {
	for name := range m.durable {
		if in(name) && m.names[name] == nil {
			delete(m.durable, name)
		}
	}
	for name, i := range m.names {
		if in(name) {
			m.durable[name] = i
		}
	}
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.changeLocked(); err != nil {
		return err
	}
	m.syncNamesLocked(func(name string) bool { return path.Dir(name) == dir })
	return nil
}

func (m *Mem) SyncAll() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.changeLocked(); err != nil {
		return err
	}
	if m.syncFailsLocked() {
		for _, i := range m.names {
			i.untold = i.untold || !bytes.Equal(i.data, i.durable)
		}
		return ErrSync
	}
	m.syncNamesLocked(func(string) bool { return true })
	for _, i := range m.names {
		i.syncLocked()
	}
	return nil
}

func (f *file) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.changeLocked(); err != nil {
		return err
	}
	if f.m.syncFailsLocked() || f.i.untold {
		f.i.untold, f.i.lost = false, true
		return ErrSync
	}
	f.i.syncLocked()
	return nil
}

func (i *inode) syncLocked() {
	if !i.lost && !i.untold {
		i.durable = slices.Clone(i.data)
	}
}
