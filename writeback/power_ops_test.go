package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// splice is content with data at off.
func splice(content, data string, off int) string {
	next := content[:off] + data
	if len(next) < len(content) {
		next += content[len(next):]
	}
	return next
}

// passes notes what a large file, or any when the stage is small, may be sent as while data is written to it piece by piece.
func (m *powerModel) passes(key Key, content, data string, off int) {
	for at := 0; (m.early || len(content)+len(data) > 256<<10) && at < len(data); at += 64 << 10 {
		m.mayHave(key, splice(content, data[:at], off))
	}
}

// writePieces writes what there is room for, and says how much that is.
func (m *powerModel) writePieces(ctx context.Context, f *File, data string, off int) (n int, err error) {
	for n < len(data) {
		k, err := f.WriteAt(ctx, []byte(data[n:min(n+64<<10, len(data))]), int64(off+n))
		if n += k; errors.Is(err, syscall.ENOSPC) && m.mayBeFull() {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// mayBeFull says whether the stage may have bytes that nobody can send: of what was removed, and is open.
func (m *powerModel) mayBeFull() bool {
	return m.tight && slices.ContainsFunc(m.files, func(o *fileModel) bool { return o.key == "" })
}

// fill writes data into content, through f, and commits. What there is no room for is not in the world that the step is to make.
func (m *powerModel) fill(ctx context.Context, f *File, key Key, content, data string, off int) error {
	n, err := m.writePieces(ctx, f, data, off)
	if err != nil {
		return err
	}
	if n < len(data) {
		m.closes(m.now(), key, splice(content, data[:n], off))
	}
	return f.Commit()
}

// change writes data into content, and says whether that overwrites bytes of it.
func (m *powerModel) change(content string) (next, data string, off int) {
	data = noise(m.size(), m.rng.Uint64())
	off = len(content)
	if m.rng.IntN(2) == 0 && (!m.moving || m.rng.IntN(4) == 0) {
		off = m.rng.IntN(len(content) + 1)
	}
	return splice(content, data, off), data, off
}

// resize is a new length for content, and what it then has.
func (m *powerModel) resize(content string) (next string, size int) {
	size = m.rng.IntN(len(content)*3/2 + 1)
	return content[:min(size, len(content))] + string(make([]byte, max(size-len(content), 0))), size
}

func (m *powerModel) write(ctx context.Context, key Key) bool {
	content, there := m.content(key)
	next, data, off := m.change(content)
	m.shake(key, off < len(content))
	m.passes(key, content, data, off)
	return m.step(fmt.Sprintf("write %d at %d of %s", len(data), off, key), func(w world) { m.closes(w, key, next) }, func() error {
		f, err := m.open(key, there)
		if err != nil {
			return err
		}
		defer f.Release()
		return m.fill(ctx, f, key, content, data, off)
	})
}

// closes notes that a key has a content that was closed; whoever has the file open has it, too.
func (m *powerModel) closes(w world, key Key, content string) {
	w[key] = content
	if o := m.opened(key); o != nil {
		o.live, o.dirty, o.torn = content, false, false
	}
}

func (m *powerModel) create(ctx context.Context, key Key) bool {
	data := noise(m.size(), m.rng.Uint64())
	_, there := m.now()[key]
	m.shake(key, there) // cut off, to be made anew
	m.passes(key, "", data, 0)
	return m.step(fmt.Sprintf("create %s of %d", key, len(data)), func(w world) {
		m.anew(key)
		w[key] = data
	}, func() error {
		f, err := m.s.Create(key, fileAttr(), m.version(key))
		if err != nil {
			return err
		}
		defer f.Release()
		return m.fill(ctx, f, key, "", data, 0)
	})
}

func (m *powerModel) truncate(ctx context.Context, key Key) bool {
	content, there := m.content(key)
	if !there {
		return true
	}
	next, size := m.resize(content)
	m.shake(key, size < len(content))
	m.mayHave(key, content)
	return m.step(fmt.Sprintf("truncate %s to %d", key, size), func(w world) { m.closes(w, key, next) }, func() error {
		f, err := m.open(key, true)
		if err != nil {
			return err
		}
		defer f.Release()
		if err := f.Truncate(ctx, int64(size)); err != nil {
			return err
		}
		return f.Commit()
	})
}

// openFile opens a file that stays open, or makes one.
func (m *powerModel) openFile(key Key) bool {
	if len(m.files) == 4 {
		return true
	}
	content, there := m.content(key)
	if there && m.rng.IntN(4) > 0 {
		return m.step("open "+string(key), func(world) {}, func() error {
			f, err := m.open(key, true)
			if err != nil {
				return err
			}
			if o := m.opened(key); o != nil {
				o.handles++
				if o.f != f {
					return fmt.Errorf("%s has two Files", key)
				}
				return nil
			}
			m.files = append(m.files, &fileModel{f: f, key: key, live: content, handles: 1})
			return nil
		})
	}
	_, closed := m.now()[key]
	m.shake(key, closed)
	if m.early {
		m.mayHave(key, "")
	}
	return m.step("create and keep open "+string(key), func(world) { m.anew(key) }, func() error {
		f, err := m.s.Create(key, fileAttr(), m.version(key))
		if err == nil {
			m.files = append(m.files, &fileModel{f: f, key: key, handles: 1, dirty: true, torn: closed})
		}
		return err
	})
}

// soils notes that an open file is written to; bytes of the last commit are overwritten, or not.
func (m *powerModel) soils(o *fileModel, next string, over bool) {
	if o.dirty = true; over {
		o.torn = true
		m.shake(o.key, o.key != "")
		for _, k := range o.homes { // of what was removed: a loss of power may undo that
			m.shaken[k] = true
		}
	}
	if o.was, o.live = o.live, next; m.early {
		m.mayHave(o.key, next)
	}
}

// use does something with a file that is open.
func (m *powerModel) use(ctx context.Context) bool {
	if len(m.files) == 0 {
		return true
	}
	i := m.rng.IntN(len(m.files))
	o := m.files[i]
	name := fmt.Sprintf("%s (open, %x)", o.key, o.f.stage)
	stale := func(err error) error {
		if o.key == "" && errors.Is(err, syscall.ESTALE) {
			return nil // what was given up for an upload is gone with it
		}
		return err
	}
	committed := len(m.now()[o.key])
	switch m.rng.IntN(8) {
	case 0, 1, 2:
		next, data, off := m.change(o.live)
		m.passes(o.key, o.live, data, off)
		content := o.live
		m.soils(o, next, off < committed || o.key == "")
		return m.step(fmt.Sprintf("write %d at %d of %s", len(data), off, name), func(world) {}, func() error {
			n, err := m.writePieces(ctx, o.f, data, off)
			if err == nil && n < len(data) { // when it failed, what follows may be written or not
				o.live = splice(content, data[:n], off)
				m.mayHaveFrom(len(m.worlds)-1, o.key, o.live)
			}
			return stale(err)
		})
	case 3:
		next, size := m.resize(o.live)
		m.mayHave(o.key, o.live)
		m.soils(o, next, size < committed || o.key == "")
		return m.step(fmt.Sprintf("truncate %s to %d", name, size), func(world) {}, func() error { return stale(o.f.Truncate(ctx, int64(size))) })
	case 4, 5:
		if o.key == "" {
			return true
		}
		m.mayHave(o.key, o.live)
		return m.step("read "+name, func(world) {}, func() error {
			got := make([]byte, len(o.live)+1)
			n, err := o.f.ReadAt(ctx, got, 0)
			if !errors.Is(err, io.EOF) {
				return err
			}
			if string(got[:n]) != o.live {
				return fmt.Errorf("%s reads as other bytes than were written", name)
			}
			return nil
		})
	}
	ok := m.step("close "+name, func(w world) {
		if o.key != "" {
			m.commits(w, o.key)
		}
	}, o.f.Commit)
	if o.handles--; o.handles == 0 {
		m.files = slices.Delete(m.files, i, i+1)
	}
	o.f.Release()
	return ok
}

// moves notes in the next world what has moved.
func (m *powerModel) moves(w world, keys map[Key]Key) {
	before, origins, shaken := maps.Clone(w), maps.Clone(m.origins), maps.Clone(m.shaken)
	var files []*fileModel
	oldest := make(map[Key]int)
	for from, to := range keys {
		oldest[from] = m.oldest(from)
		if _, both := keys[to]; !both {
			m.loses(to)
		}
		if o := m.opened(from); o != nil {
			files = append(files, o)
		}
	}
	for from := range keys {
		delete(w, from)
	}
	for from, to := range keys {
		content, there := before[from]
		if !there {
			continue
		}
		w[to] = content
		m.renames = append(m.renames, renamedModel{oldest[from], len(m.worlds), from, to})
		m.shaken[to] = m.shaken[to] || shaken[from]
		m.origins[to] = append(slices.Clone(origins[from]), from)
	}
	for _, o := range files {
		o.key = keys[o.key]
	}
}

func (m *powerModel) rename(ctx context.Context, from, to Key) bool {
	content, there := m.content(from)
	if !there || from == to {
		return true
	}
	m.mayHave(from, content)
	undo := m.mark()
	return m.step(fmt.Sprintf("rename %s to %s", from, to), func(w world) {
		m.commits(w, from)
		m.moves(w, map[Key]Key{from: to})
	}, func() error {
		err := m.s.Rename(ctx, from, to, RenameSource{Version: m.version(from), Attr: fileAttr()}, Seen{Version: m.version(to)})
		if m.declined(err) && !m.mem.Stopped() {
			undo(func(w world) { m.commits(w, from) })
			return nil
		}
		return err
	})
}

// renameTree gives the one of the two directories that has files the name of the other.
func (m *powerModel) renameTree(ctx context.Context) bool {
	if m.refusesTrees() || m.peace {
		return true
	}
	from, to := "d/", "e/"
	keys := make(map[Key]Key)
	for _, key := range modelKeys {
		if _, there := m.content(key); there && strings.HasPrefix(string(key), "e/") {
			if from, to = "e/", "d/"; len(keys) > 0 {
				return true // both
			}
		}
		if _, there := m.content(key); there && strings.HasPrefix(string(key), from) {
			keys[key] = Key(to) + key[len(from):]
		}
	}
	for key := range keys {
		content, _ := m.content(key)
		m.mayHave(key, content)
	}
	return m.step(fmt.Sprintf("rename %s to %s", from, to), func(w world) {
		for key := range keys {
			m.commits(w, key)
		}
		m.moves(w, keys)
	}, func() error { return m.s.RenameTree(ctx, Key(from), Key(to), Seen{}) })
}

// aside is where an exchange puts the first of the two.
const aside = "aside"

func (m *powerModel) exchange(ctx context.Context, a, b Key) bool {
	ca, there := m.content(a)
	cb, too := m.content(b)
	if !there || !too || a == b || m.refuses(a) || m.refuses(b) {
		return true
	}
	m.mayHave(a, ca)
	m.mayHave(b, cb)
	m.swapped[a] = swapModel{len(m.worlds), b, m.oldest(b)}
	m.swapped[b] = swapModel{len(m.worlds), a, m.oldest(a)}
	return m.step(fmt.Sprintf("exchange %s and %s", a, b), func(w world) {
		m.commits(w, a)
		m.commits(w, b)
		m.moves(w, map[Key]Key{a: b, b: a})
	}, func() error {
		return m.s.Exchange(ctx, m.side(a, b), m.side(b, a), aside, func(error) {})
	})
}

// side is one side of an exchange of files.
func (m *powerModel) side(from, to Key) Side {
	v := m.version(from)
	v.Key = from
	return Side{RenameSource{Version: v, Attr: fileAttr()}, to}
}

// exchangeTrees swaps the two directories.
func (m *powerModel) exchangeTrees(ctx context.Context) bool {
	if m.refusesTrees() || m.peace {
		return true
	}
	keys := make(map[Key]Key)
	for _, key := range modelKeys {
		other := Key(strings.NewReplacer("d/", "e/", "e/", "d/").Replace(string(key)))
		if other == key {
			continue
		}
		m.swapped[key] = swapModel{len(m.worlds), other, m.oldest(other)} // also of a key that has nothing now: it had something, or will
		if content, there := m.content(key); there {
			keys[key] = other
			m.mayHave(key, content)
		}
	}
	side := func(from, to Key) Side { return Side{RenameSource{Version: ossclient.Version{Key: from}}, to} }
	return m.step("exchange d/ and e/", func(w world) {
		for key := range keys {
			m.commits(w, key)
		}
		m.moves(w, keys)
	}, func() error {
		return m.s.Exchange(ctx, side("d/", "e/"), side("e/", "d/"), aside+"/", func(error) {})
	})
}

// hold has an object stay for a while, or lets one go.
func (m *powerModel) hold(key Key) bool {
	if m.peace {
		return true
	}
	if n := len(m.holds); n > 0 && m.rng.IntN(2) == 0 {
		m.holds[n-1]()
		m.holds = m.holds[:n-1]
		return m.step("let go", func(world) {}, func() error { return nil })
	}
	m.holds = append(m.holds, m.s.Hold(key))
	return m.step("hold "+string(key), func(world) {}, func() error { return nil })
}

func (m *powerModel) remove(key Key) bool {
	if _, there := m.content(key); !there {
		return true
	}
	return m.step(fmt.Sprintf("remove %s", key), func(w world) {
		m.loses(key)
		delete(w, key)
	}, func() error { return m.s.Remove(key, Seen{Version: m.version(key)}) })
}

func (m *powerModel) fsync(ctx context.Context, key Key) bool {
	if _, there := m.content(key); !there {
		return true // there is nothing to be opened
	}
	refused := false
	ok := m.step(fmt.Sprintf("fsync %s", key), func(w world) { m.commits(w, key) }, func() error {
		err := m.s.Sync(ctx, key)
		if refused = m.declined(err); refused {
			err = m.kept(ctx, key)
		}
		return err
	})
	switch {
	case refused:
	case ok && m.local:
		m.group()
	case ok:
		m.least[key], m.synced[key] = len(m.worlds)-1, len(m.worlds)-1
	}
	return ok
}

// fsyncDir is an fsync of a directory.
func (m *powerModel) fsyncDir(ctx context.Context, dir Key) bool {
	var below []Key
	for _, key := range modelKeys {
		if strings.HasPrefix(string(key), string(dir)) {
			below = append(below, key)
		}
	}
	refused := false
	ok := m.step("fsync "+string(dir), func(w world) {
		for _, key := range below {
			m.commits(w, key)
		}
	}, func() error {
		err := m.s.SyncTree(ctx, dir)
		if refused = m.declined(err); refused {
			err = nil
		}
		return err
	})
	if ok && !refused {
		m.group()
	}
	if ok && !refused && !m.local {
		for _, key := range below {
			m.synced[key] = m.grouped
		}
	}
	return ok
}

// group notes that all was made durable.
func (m *powerModel) group() {
	m.grouped = len(m.worlds) - 1
	for _, key := range modelKeys {
		m.least[key] = m.grouped
	}
	clear(m.shaken)
	clear(m.origins)
	for _, o := range m.files {
		if o.homes = nil; o.torn && o.key != "" {
			m.shaken[o.key] = true
		}
	}
}

// second is that a group is made durable.
func (m *powerModel) second() bool {
	ok := m.step("a second", func(world) {}, m.s.sync.flush)
	if ok {
		m.group()
	}
	return ok
}

// moveOrAdd adds to files, and moves them, with little else between.
func (m *powerModel) moveOrAdd(ctx context.Context, key Key) bool {
	switch m.rng.IntN(12) {
	case 0:
		return m.renameTree(ctx)
	case 1, 2:
		return m.exchange(ctx, key, m.name())
	case 3:
		return m.exchangeTrees(ctx)
	case 4:
		return m.second()
	case 5, 6, 7, 8:
		return m.rename(ctx, key, m.name())
	}
	return m.write(ctx, key)
}

func (m *powerModel) any(ctx context.Context) bool {
	key := m.name()
	if m.moving && m.rng.IntN(4) > 0 {
		return m.moveOrAdd(ctx, key)
	}
	switch m.rng.IntN(38) {
	case 0, 1, 2:
		return m.write(ctx, key)
	case 3, 4:
		return m.create(ctx, key)
	case 5:
		return m.truncate(ctx, key)
	case 6, 7:
		return m.remove(key)
	case 8:
		return m.rename(ctx, key, m.name())
	case 9, 10, 11:
		return m.fsync(ctx, key)
	case 12:
		return m.second()
	case 13:
		return m.fsyncDir(ctx, []Key{"d/", "e/"}[m.rng.IntN(2)])
	case 14:
		return m.renameTree(ctx)
	case 15:
		return m.exchange(ctx, key, m.name())
	case 16, 17, 18:
		return m.openFile(key)
	case 19, 20, 21, 22, 23:
		return m.use(ctx)
	case 24:
		return m.exchangeTrees(ctx)
	case 25, 26:
		return m.hold(key)
	case 27:
		return m.kill(ctx)
	case 28:
		return m.compact()
	case 29:
		return m.remount(ctx)
	case 30:
		return m.flush(ctx)
	case 31:
		return m.failSync()
	case 32:
		return m.full(ctx)
	case 33, 34, 35:
		return m.refuse(ctx)
	}
	return m.attributes(key)
}

func (m *powerModel) attributes(key Key) bool {
	a := fileAttr()
	a.SetMtime(time.Unix(m.rng.Int64N(1<<30), 0))
	if _, there := m.content(key); !there {
		return true
	}
	return m.step("attributes of "+string(key), func(world) {}, func() error { return m.s.SetAttr(key, Seen{Version: m.version(key)}, Rest{}, a) })
}
