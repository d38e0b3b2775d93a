package writeback

import (
	"errors"
	"path"
	"strconv"
	"syscall"

	"github.com/ossfs/ossfs/writeback/disk"
)

// noRoom says whether the local disk, or a quota on it, has no room: for bytes, or for one more file.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// full is called when the disk, or the stage, is full: what can be sent now makes room.
func (s *Store) full() {
	if !s.pressing.Swap(true) {
		s.loop.post(s.loop.pressure)
	}
}

// thrifty is a disk that has room for one more file as long as we keep one that nobody needs: a filesystem has only so many, and thousands of
// empty staged files may wait to be used again.
type thrifty struct {
	disk.FS
	spare func() bool // removes such files; false: there are none
}

func (t *thrifty) Create(name string) (disk.File, error) {
	for {
		f, err := t.FS.Create(name)
		if !noRoom(err) || !t.spare() {
			return f, err
		}
	}
}

func (t *thrifty) MkdirAll(dir string) error {
	for {
		err := t.FS.MkdirAll(dir)
		if !noRoom(err) || !t.spare() {
			return err
		}
	}
}

// spare removes a staged file that waits to be used again.
func (y *syncer) spare() bool {
	stage, ok := y.reuse()
	if ok {
		y.remove(stage)
	}
	return ok
}

// spare removes the staged files that waited to be used again when a process died: empty ones, of which nothing speaks that was read of the journal.
func (r *reader) spare() (some bool) {
	spoken := make(map[uint64]bool)
	note := func(e *entry) {
		if e != nil {
			spoken[e.stage] = true
		}
	}
	r.s.v.tree.Scan(func(_ Key, e *entry) bool {
		note(e)
		return true
	})
	for _, ops := range r.tail {
		for i := range ops {
			note(ops[i].entry)
		}
	}
	dirs, err := r.s.fs.List("staged")
	for _, dir := range dirs {
		names, lerr := r.s.fs.List(path.Join("staged", dir))
		err = errors.Join(err, lerr)
		for _, name := range names {
			file := path.Join("staged", dir, name)
			if n, perr := strconv.ParseUint(name, 16, 64); perr == nil && !spoken[n] && r.s.empty(file) {
				rerr := r.s.fs.Remove(file)
				some, err = some || rerr == nil, errors.Join(err, rerr)
			}
		}
	}
	if err != nil {
		r.s.log.Warn("the disk has no room for more files, and of the staged ones not all that are empty could be removed", "error", err)
	}
	return some
}
