package writeback

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"syscall"

	"github.com/ossfs/ossfs/ossclient/crc"
	"github.com/ossfs/ossfs/writeback/disk"
)

// Doubted staged files. When the sync of a file fails the operating system may have dropped what it could not
// write, and tells so once: a later success of the same file, or of the whole filesystem, says nothing of it. Such
// a file is written anew, from what is still in memory, to another inode, and compared with its checksum where
// there is one. Until that is durable no marker is written that speaks for it.

// errDamaged says that the local disk has lost bytes which the bucket does not have.
var errDamaged = fmt.Errorf("writeback: the local disk lost bytes of the staged file: %w", syscall.EIO)

// doubt notes a staged file of which a sync has failed.
func (y *syncer) doubt(stage uint64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.doubted[stage] = struct{}{}
}

// doubtAll notes that a sync of all staged files has failed, those included that are still being written.
func (y *syncer) doubtAll() {
	y.s.mu.RLock()
	defer y.s.mu.RUnlock()
	y.mu.Lock()
	defer y.mu.Unlock()
	y.s.v.tree.Scan(func(_ Key, e *entry) bool {
		if e.stage != 0 {
			y.doubted[e.stage] = struct{}{}
		}
		return true
	})
}

// doubtful says whether some staged files are in doubt.
func (y *syncer) doubtful() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.doubted) > 0
}

// rewrite writes the doubted files anew. Those that nothing speaks of any more are forgotten.
func (y *syncer) rewrite() error {
	y.mu.Lock()
	doubted := maps.Clone(y.doubted)
	y.mu.Unlock()
	if len(doubted) == 0 {
		return nil
	}
	keys := make(map[uint64]Key)
	y.s.mu.RLock()
	y.s.v.tree.Scan(func(_ Key, e *entry) bool {
		if _, in := doubted[e.stage]; in {
			keys[e.stage] = e.key
		}
		return true
	})
	y.s.mu.RUnlock()
	for stage := range doubted {
		if key, ok := keys[stage]; ok {
			if err := y.s.rewrite(key, stage); err != nil {
				return err
			}
		}
		y.mu.Lock()
		delete(y.doubted, stage)
		y.mu.Unlock()
	}
	return nil
}

// rewrite gives a staged file another inode with the same bytes, durably.
func (s *Store) rewrite(key Key, stage uint64) error {
	f := s.use(key)
	if f == nil {
		return nil
	}
	defer f.unuse()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stage != stage {
		return nil // replaced meanwhile
	}
	if _, err := f.openLocked(); err != nil {
		return err
	}
	if !f.made {
		return nil // small: the journal has it
	}
	s.change.Lock()
	s.lastStage++
	temp := s.lastStage
	s.change.Unlock()
	fresh, err := s.createStage(temp)
	if err != nil {
		return err
	}
	sum, err := copyFile(fresh, f.f)
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil {
		err = s.fs.Rename(stageName(temp), stageName(stage))
	}
	if err != nil {
		return errors.Join(err, fresh.Close(), s.fs.Remove(stageName(temp)))
	}
	old := f.f
	f.f = fresh
	if f.differsLocked(s.get(key), sum) {
		f.damaged = true
		s.log.Error("the local disk lost bytes that the bucket does not have", "key", string(key), "file", stageName(stage))
	}
	return errors.Join(old.Close(), s.fs.SyncDir(stageDir(stage)))
}

// differsLocked says whether a staged file, of this sum, is not what was written to it, as far as there is a checksum
// to tell. It needs f.mu.
func (f *File) differsLocked(e *entry, sum uint64) bool {
	switch {
	case f.sumEnd == f.size && f.local.Contains(0, f.size):
		return sum != f.sum
	case e != nil && !f.dirty && e.has(flagPart) && e.stage == f.stage:
		part, err := sumRanges(f.f, e.edit.dirty.Ranges())
		return err != nil || part != e.sum
	}
	return false
}

// copyFile copies a file and leaves holes where it has zeros.
func copyFile(to, from disk.File) (sum uint64, err error) {
	size, err := from.Size()
	if err != nil {
		return 0, err
	}
	zeros := make([]byte, 64<<10)
	p := make([]byte, len(zeros))
	var d crc.Digest
	for off := int64(0); off < size; off += int64(len(p)) {
		q := p[:min(int64(len(p)), size-off)]
		if _, err := readZero(from, q, off); err != nil {
			return 0, err
		}
		_, _ = d.Write(q) // never fails
		if bytes.Equal(q, zeros[:len(q)]) {
			continue
		}
		if _, err := to.WriteAt(q, off); err != nil {
			return 0, err
		}
	}
	return d.Sum64(), to.Truncate(size)
}
