package writeback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

var othersKeys = []Key{"a", "b", "d/a", "d/b", "e/a", "e/b"}

func (m *othersModel) name() Key { return othersKeys[m.rng.IntN(len(othersKeys))] }

// step does something that may find what the other client has done. False: the disk has stopped.
func (m *othersModel) step(what string, do func() error) bool {
	m.done++
	m.b.say("%d: %s", m.done, what)
	m.b.settled(func(key Key) bool {
		_, pending := m.s.Lookup(key)
		return pending
	})
	err := do()
	if err != nil && !m.mem.Stopped() && !tolerable(err) && !(errors.Is(err, syscall.ENOSPC) && m.mayBeFull()) {
		m.fatal("%v", err)
	}
	if err != nil {
		m.b.say("%d: %v", m.done, err)
	}
	return !m.mem.Stopped()
}

// mayBeFull says whether the stage is small, and may have bytes that cannot be sent, or that nobody can send.
func (m *othersModel) mayBeFull() bool {
	return m.opt.StageBudget < 1<<30 && (m.s.Status().Failed > 0 || slices.ContainsFunc(m.files, m.lost))
}

// theirs is a change by the other client.
func (m *othersModel) theirs(key Key) bool {
	if m.rng.IntN(4) == 0 {
		return m.step("they remove "+string(key), func() error {
			m.b.other(key, -1, func() { m.r.server.Delete(ossservertest.Bucket, string(key)) })
			return nil
		})
	}
	n, text := m.line(true)
	return m.step(fmt.Sprintf("they put line %d to %s", n, key), func() (err error) {
		if m.opt.OnConflict == Overwrite {
			m.goes([]int{n}, "conflicts are not looked at")
		}
		m.b.other(key, n, func() { err = m.r.server.Put(ossservertest.Bucket, string(key), []byte(text), http.Header{}) })
		return err
	})
}

// create makes a key anew, with one line.
func (m *othersModel) create(ctx context.Context, key Key) bool {
	n, text := m.line(false)
	return m.step(fmt.Sprintf("create %s with line %d", key, n), func() error {
		v := m.version(key)
		m.doom("created anew", key, v)
		f, err := m.s.Create(key, fileAttr(), v.Version)
		if err != nil {
			m.goes([]int{n}, "not made")
			return err
		}
		defer f.Release()
		return m.add(ctx, f, n, text)
	})
}

// add writes a line to the end of a file, and commits it.
func (m *othersModel) add(ctx context.Context, f *File, n int, text string) error {
	_, err := f.WriteAt(ctx, []byte(text), f.Size())
	if err == nil {
		err = f.Commit()
	}
	if err != nil || m.lost(f) {
		m.goes([]int{n}, "not written: %v", err)
		return err
	}
	m.closes([]int{n})
	return nil
}

// lost says whether a file has no name any more.
func (m *othersModel) lost(f *File) bool {
	m.s.mu.RLock()
	defer m.s.mu.RUnlock()
	return f.detached
}

// open is the File of a key.
func (m *othersModel) open(key Key) (*File, error) {
	if f, ok := m.s.OpenContent(key); ok {
		return f, nil
	}
	v, there := m.there(key)
	if there {
		return m.s.Edit(key, v, fileAttr(), nil)
	}
	return m.s.Create(key, fileAttr(), v.Version)
}

// write adds a line to a key.
func (m *othersModel) write(ctx context.Context, key Key) bool {
	n, text := m.line(false)
	return m.step(fmt.Sprintf("add line %d to %s", n, key), func() error {
		f, err := m.open(key)
		if err != nil {
			m.goes([]int{n}, "not written: %v", err)
			return err
		}
		defer f.Release()
		return m.add(ctx, f, n, text)
	})
}

// openFile opens a file that stays open.
func (m *othersModel) openFile(key Key) bool {
	if len(m.files) == 3 {
		return true
	}
	return m.step(fmt.Sprintf("open %s", key), func() error {
		f, err := m.open(key)
		if err == nil {
			m.files = append(m.files, f)
		}
		return err
	})
}

// use adds a line to a file that is open, or closes it.
func (m *othersModel) use(ctx context.Context) bool {
	if len(m.files) == 0 {
		return true
	}
	i := m.rng.IntN(len(m.files))
	f := m.files[i]
	if m.rng.IntN(3) > 0 {
		n, text := m.line(false)
		return m.step(fmt.Sprintf("add line %d to %s (open)", n, f.Key()), func() error { return m.add(ctx, f, n, text) })
	}
	m.files = append(m.files[:i], m.files[i+1:]...)
	return m.step(fmt.Sprintf("close %s", f.Key()), func() error {
		defer f.Release()
		return f.Commit()
	})
}

func (m *othersModel) remove(key Key) bool {
	if _, there := m.there(key); !there {
		return true
	}
	return m.step("remove "+string(key), func() error {
		v := m.version(key)
		m.doom("removed", key, v)
		if m.opt.Believe > 0 || m.opt.OnConflict == Overwrite {
			m.b.takes(key)
		}
		return m.s.Remove(key, v)
	})
}

func (m *othersModel) rename(ctx context.Context, from, to Key) bool {
	v, there := m.there(from)
	if !there || from == to {
		return true
	}
	return m.step(fmt.Sprintf("rename %s to %s", from, to), func() error {
		m.moved = true
		over := m.version(to)
		m.doom("replaced", to, over)
		return m.s.Rename(ctx, from, to, RenameSource{Version: v.Version, At: v.At, Attr: fileAttr()}, over)
	})
}

// below says whether a directory has something, or had when the bucket was looked at.
func (m *othersModel) below(dir Key) bool {
	for _, key := range m.r.server.Keys(ossservertest.Bucket) {
		if strings.HasPrefix(key, string(dir)) {
			return true
		}
	}
	present, _ := m.s.Below(dir)
	return present > 0
}

// renameTree renames one of the two directories, when the other is empty.
func (m *othersModel) renameTree(ctx context.Context) bool {
	from, to := Key("d/"), Key("e/")
	if m.rng.IntN(2) == 0 {
		from, to = to, from
	}
	if m.below(to) {
		return true
	}
	return m.step(fmt.Sprintf("rename %s to %s", from, to), func() error {
		m.moved = true
		return m.s.RenameTree(ctx, from, to, Seen{})
	})
}

func (m *othersModel) exchange(ctx context.Context, a, b Key) bool {
	va, there := m.there(a)
	vb, too := m.there(b)
	if !there || !too || a == b {
		return true
	}
	va.Key, vb.Key = a, b
	side := func(seen Seen, to Key) Side {
		return Side{RenameSource{Version: seen.Version, At: seen.At, Attr: fileAttr()}, to}
	}
	return m.step(fmt.Sprintf("exchange %s and %s", a, b), func() error {
		m.moved = true
		return m.s.Exchange(ctx, side(va, b), side(vb, a), Key(fmt.Sprint(aside, m.done)), func(error) {})
	})
}

func (m *othersModel) fsync(ctx context.Context, key Key) bool {
	return m.step("fsync "+string(key), func() error {
		content, err := m.pending(key)
		if err != nil {
			return err
		}
		list, _ := m.linesOf(content)
		if err := m.s.Sync(ctx, key); err != nil {
			return err
		}
		if m.opt.LocalFsync {
			list = nil
		} else if len(list) == 0 {
			return nil
		}
		m.durable(list)
		return nil
	})
}

func (m *othersModel) flush(ctx context.Context) bool {
	return m.step("flush", func() error {
		err := m.s.Flush(ctx, "", nil)
		if err == nil {
			m.durable(nil)
		}
		return err
	})
}

func (m *othersModel) second() bool {
	return m.step("a second", func() error {
		err := m.s.sync.flush()
		if err == nil {
			m.durable(nil)
		}
		return err
	})
}

func (m *othersModel) attributes(key Key) bool {
	v, there := m.there(key)
	if !there {
		return true
	}
	a := fileAttr()
	a.SetMtime(time.Unix(m.rng.Int64N(1<<30), 0))
	return m.step("attributes of "+string(key), func() error { return m.s.SetAttr(key, v, Rest{}, a) })
}

// hold has an object stay for a while, or lets one go.
func (m *othersModel) hold(key Key) bool {
	if n := len(m.holds); n > 0 && m.rng.IntN(2) == 0 {
		m.holds[n-1]()
		m.holds = m.holds[:n-1]
		return true
	}
	m.holds = append(m.holds, m.s.Hold(key))
	return true
}

func (m *othersModel) any(ctx context.Context) bool {
	key := m.name()
	switch m.rng.IntN(32) {
	case 0, 1, 2, 3, 4, 5, 6:
		return m.theirs(key)
	case 7, 8, 9, 10, 11:
		return m.write(ctx, key)
	case 12, 13:
		return m.create(ctx, key)
	case 14, 15:
		return m.remove(key)
	case 16, 17:
		return m.rename(ctx, key, m.name())
	case 18:
		return m.renameTree(ctx)
	case 19:
		return m.exchange(ctx, key, m.name())
	case 20, 21:
		return m.openFile(key)
	case 22, 23, 24:
		return m.use(ctx)
	case 25:
		return m.fsync(ctx, key)
	case 26:
		return m.flush(ctx)
	case 27:
		return m.second()
	case 28:
		return m.attributes(key)
	case 29:
		return m.hold(key)
	case 30:
		return m.kill()
	}
	m.look(key)
	return true
}
