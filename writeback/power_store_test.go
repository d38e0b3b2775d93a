package writeback

import (
	"context"
	"errors"
	"maps"
)

// compact writes a snapshot of the journal, which is durable.
func (m *powerModel) compact() bool {
	ok := m.step("compact", func(world) {}, m.s.compact)
	if ok {
		m.group()
	}
	return ok
}

// flush has everything sent.
func (m *powerModel) flush(ctx context.Context) bool {
	unsent := new(Unsent)
	ok := m.step("flush", func(w world) {
		for _, key := range modelKeys {
			m.commits(w, key)
		}
	}, func() error {
		err := m.s.Flush(ctx, "", nil)
		if errors.As(err, &unsent) && m.declined(err) {
			err = m.keptAll(ctx)
		}
		return err
	})
	if ok && unsent.Count == 0 {
		for _, key := range modelKeys {
			m.least[key], m.synced[key] = len(m.worlds)-1, len(m.worlds)-1
		}
	}
	return ok
}

// remount ends the process in peace, and begins another on the same disk.
func (m *powerModel) remount(ctx context.Context) bool {
	if m.peace {
		return true
	}
	files := m.files
	ok := m.step("remount", func(w world) {
		for _, o := range files {
			if o.key != "" {
				m.commits(w, o.key)
			}
		}
	}, func() error {
		for _, o := range files {
			if err := o.f.Commit(); err != nil {
				return err
			}
			for range o.handles {
				o.f.Release()
			}
		}
		if err := m.s.Close(ctx); err != nil {
			return err
		}
		s, err := Open(m.ctx, m.opt)
		if err != nil {
			return err
		}
		m.s = s
		return nil
	})
	m.files, m.holds = nil, nil
	if ok {
		m.group()
	}
	return ok
}

// survives begins another process after the one before was killed at a change of the disk. What it finds is what was closed, or what that step was
// just making. False: the disk stopped again before all was seen.
func (m *powerModel) survives() bool {
	m.end()
	m.stop()
	m.allowMoves()
	if err := m.s.lock.Close(); err != nil {
		m.fatal("%v", err)
	}
	m.b.say("killed")
	files := m.files
	if m.begin(1 + m.rng.IntN(600)) {
		if seen, ok := m.sees(); ok {
			for _, key := range modelKeys {
				if got, there := seen[key]; !m.unseen[key] && !m.mayBeFound(key, got, there) {
					m.fail("after a kill: %s has %d bytes (%v); %s", key, len(got), there, m.nearest(key, got))
				}
			}
			m.worlds = append(m.worlds, seen)
			m.files, m.holds = nil, nil
			clear(m.unseen)
			return true
		}
	}
	for _, o := range files {
		if o.dirty { // it was not looked at
			m.unseen[o.key] = true
		}
	}
	m.refused()
	return false
}

// mayBeFound says whether a process that follows one that was killed may find a content: what was closed, before or by the last step, or what was
// written since then.
func (m *powerModel) mayBeFound(key Key, got string, there bool) bool {
	for _, w := range m.worlds[len(m.worlds)-2:] {
		if content, in := w[key]; in == there && content == got {
			return true
		}
	}
	if !there {
		return false
	}
	return m.shaken[key] || m.passed(key, got) || mixed(m.before[key], m.now()[key], got)
}

// passed says whether a content is one that an open file had while it was written to.
func (m *powerModel) passed(key Key, got string) bool {
	if _, ok := m.partial[key][sumOfString(got)]; ok {
		return true
	}
	o := m.opened(key)
	return o != nil && o.dirty && (o.torn || mixed(o.was, o.live, got))
}

// mixed says whether a content is one between two.
func mixed(before, after, got string) bool {
	if len(got) > max(len(before), len(after)) {
		return false
	}
	for i := range len(got) {
		if (i >= len(before) || got[i] != before[i]) && (i >= len(after) || got[i] != after[i]) {
			return false
		}
	}
	return true
}

// seenBefore is what a program sees before a step.
func (m *powerModel) seenBefore() world {
	w := maps.Clone(m.now())
	for _, o := range m.files {
		if o.key != "" {
			w[o.key] = o.live
		}
	}
	return w
}
