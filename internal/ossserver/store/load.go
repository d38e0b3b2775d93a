package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// maxWords bounds how many strings are shared while the log is read.
const maxWords = 1 << 16

// loader rebuilds a store from its log.
type loader struct {
	store *Store
	files map[uint64]*blob
	small map[packed]*blob
	words map[string]string
}

// packed is where a blob in a pack lies.
type packed struct {
	pack uint64
	at   int64
}

func newLoader(s *Store) *loader {
	return &loader{store: s, files: map[uint64]*blob{}, small: map[packed]*blob{}, words: map[string]string{}}
}

// frame applies one transaction.
func (l *loader) frame(payload []byte) error {
	d := decoder{buf: payload, load: l}
	for len(d.buf) > 0 {
		c, err := d.change()
		if err != nil {
			return err
		}
		l.store.apply(c)
	}
	return nil
}

// blob returns the one blob that lies where b says.
func (l *loader) blob(b *blob) (*blob, error) {
	switch b.place {
	case inFile:
		if known := l.files[b.id]; known != nil {
			return known, nil
		}
		l.files[b.id] = b
	case inPack:
		at := packed{b.id, b.at}
		if known := l.small[at]; known != nil && known.size == b.size {
			return known, nil
		}
		l.small[at] = b
	case inMemory, synthetic:
	}
	return b, nil
}

// finish opens packs, writes the log anew when most of it is history, copies packs together that are mostly
// dead, and removes files that nothing mentions.
func (l *loader) finish() error {
	s := l.store
	if err := l.findLastID(); err != nil {
		return err
	}
	for at, b := range l.small {
		if b.refs.Load() == 0 {
			continue
		}
		k, err := s.disk.openPack(at.pack)
		if err != nil {
			return err
		}
		b.pack = k
		k.live += b.size
	}
	moved, err := l.repack()
	if err != nil {
		return err
	}
	if moved || s.log.records > 2*s.liveRecords()+1000 {
		if err := s.rewriteLog(); err != nil {
			return err
		}
	}
	for id, k := range s.disk.packs {
		if k.live == 0 {
			delete(s.disk.packs, id)
			_ = k.f.Close() // nothing in it is wanted
		}
	}
	for id, b := range l.files {
		if b.refs.Load() == 0 {
			delete(l.files, id)
		}
	}
	return s.disk.sweep(l.files)
}

// findLastID makes sure that no number is given out twice, not even a number whose file is about to be removed.
func (l *loader) findLastID() error {
	var last uint64
	for id := range l.files {
		last = max(last, id)
	}
	for at := range l.small {
		last = max(last, at.pack)
	}
	for _, pattern := range []string{"blobs/*", "packs"} {
		dirs, err := filepath.Glob(filepath.Join(l.store.disk.dir, pattern))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			id, err := lastName(dir)
			if err != nil {
				return err
			}
			last = max(last, id)
		}
	}
	l.store.disk.nextID.Store(last)
	return nil
}

func lastName(dir string) (uint64, error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return 0, err
	}
	var last uint64
	for _, name := range names {
		if id, err := strconv.ParseUint(name, 16, 64); err == nil {
			last = max(last, id)
		}
	}
	return last, nil
}

// repack copies the live blobs of packs that are more than half dead into new packs.
func (l *loader) repack() (moved bool, err error) {
	d := l.store.disk
	poor := map[*pack]bool{}
	for _, k := range d.packs {
		info, err := k.f.Stat()
		if err != nil {
			return false, err
		}
		k.size = info.Size()
		poor[k] = k.live < k.size/2
	}
	for _, b := range l.small {
		if b.refs.Load() == 0 || !poor[b.pack] {
			continue
		}
		p := make([]byte, b.size)
		if _, err := b.pack.f.ReadAt(p, b.at); err != nil {
			return moved, fmt.Errorf("pack %x at %d: %w", b.pack.id, b.at, err)
		}
		b.pack.live -= b.size
		if err := d.pack(b, p); err != nil {
			return moved, err
		}
		moved = true
	}
	return moved, nil
}
