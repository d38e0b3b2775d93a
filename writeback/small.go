package writeback

import (
	"io"
	"sync"

	"github.com/ossfs/ossfs/writeback/disk"
)

// Small content has no file of its own: it is in memory while it is written, and in the journal, under the number
// its staged file would have, from the commit on. So a small file costs one write at the end of the log, and a
// thousand of them are made durable by one sync of it; a file of its own costs a filesystem many times that to
// make, to sync and to remove. What outgrows smallMost, or comes when much small content waits already, gets a
// staged file.
const (
	smallMost   = 32 << 10 // bytes of one content
	smallBudget = 32 << 20 // bytes of all that are journaled: they are kept in memory, too
	smallOpen   = 1024     // files in use beyond which new ones are staged
)

// smallFile is content in memory, in the place of a staged file.
type smallFile struct {
	mu   sync.RWMutex // guards data
	data []byte
}

var _ disk.File = (*smallFile)(nil)

func (m *smallFile) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if off >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *smallFile) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resizeLocked(max(off+int64(len(p)), int64(len(m.data))))
	return copy(m.data[off:], p), nil
}

func (m *smallFile) Size() (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.data)), nil
}

func (m *smallFile) Truncate(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resizeLocked(size)
	return nil
}

func (m *smallFile) resizeLocked(size int64) {
	old := len(m.data)
	if size > int64(cap(m.data)) {
		grown := make([]byte, size, max(size, min(2*int64(cap(m.data)), smallMost)))
		copy(grown, m.data)
		m.data = grown
		return
	}
	m.data = m.data[:size]
	if len(m.data) > old {
		clear(m.data[old:]) // bytes that were cut off do not come back
	}
}

func (m *smallFile) Punch(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := int64(len(m.data))
	clear(m.data[min(off, size):min(off+n, size)])
	return nil
}

// content is a copy of the bytes.
func (m *smallFile) content() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return string(m.data)
}

func (m *smallFile) Reserve(int64, int64) error { return nil }
func (m *smallFile) Sync() error                { return nil }
func (m *smallFile) Close() error               { return nil }

// mayBeSmall says whether new content begins as small. It needs change.
func (s *Store) mayBeSmall() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.v.smallBytes < smallBudget && len(s.files) < smallOpen && s.opt.smallMost > 0
}

// growLocked gives small content a staged file before it becomes larger than small. It needs f.mu.
func (f *File) growLocked(size int64) error {
	m, small := f.f.(*smallFile)
	if !small || size <= f.s.opt.smallMost {
		return nil
	}
	df, err := f.s.createStage(f.stage)
	if err != nil {
		return err
	}
	if data := m.content(); data != "" {
		if _, err := df.WriteAt([]byte(data), 0); err != nil {
			_ = df.Close() // nothing speaks of it, and what it has is in memory
			f.s.sync.remove(f.stage)
			return err
		}
	}
	f.f, f.made, f.kept = df, true, 0 // what is committed is in the journal
	return nil
}

// bytesLocked are the ops that go before a state of the file: they journal small content, or say that it is in the
// staged file from now on. It needs f.mu and change.
func (f *File) bytesLocked() []op {
	if m, small := f.f.(*smallFile); small {
		return []op{{code: opBytes, stage: f.stage, bytes: m.content()}}
	}
	if _, was := f.s.small(f.stage); was {
		return []op{{code: opNoBytes, stage: f.stage}}
	}
	return nil
}

// small is the journaled small content of a number.
func (s *Store) small(stage uint64) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.v.small[stage]
	return b, ok
}

// withDrops adds to ops what takes away the small content that they speak of no more. It needs change.
func (s *Store) withDrops(ops []op) []op {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.v.small) == 0 {
		return ops
	}
	for _, o := range ops { // those added below take away no entry
		if old := s.unspokenLocked(&o); old != nil {
			if _, small := s.v.small[old.stage]; small {
				ops = append(ops, op{code: opNoBytes, stage: old.stage})
			}
		}
	}
	return ops
}

// openStage opens the content of a recovered entry: small, or a staged file.
func (s *Store) openStage(stage uint64) (disk.File, error) {
	if b, small := s.small(stage); small {
		return &smallFile{data: []byte(b)}, nil
	}
	return s.openFile(stage)
}

func (s *Store) openFile(stage uint64) (disk.File, error) { return s.fs.Open(stageName(stage)) }
