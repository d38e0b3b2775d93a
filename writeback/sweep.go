package writeback

import (
	"errors"
	"io/fs"
)

// idleMost is how many empty staged files are kept: what a burst of small files needs between the creation
// of one and the group that makes its confirmation durable.
const idleMost = 8192

// sweep takes back the staged files whose last mention is durably gone, and that nobody uses.
func (y *syncer) sweep(upto uint64) {
	free, sent := y.unspoken(upto)
	for _, stage := range sent { // an upload is known by the number: it is not used again
		y.s.dropUpload(stage)
		y.remove(stage)
	}
	for _, stage := range free {
		if !y.keep(stage) {
			y.remove(stage)
		}
	}
}

// unspoken takes the orphans of the records up to one, those with an upload apart.
func (y *syncer) unspoken(upto uint64) (free, sent []uint64) {
	y.s.mu.RLock()
	defer y.s.mu.RUnlock()
	y.mu.Lock()
	defer y.mu.Unlock()
	for stage, rec := range y.orphans {
		if rec > upto || y.s.files[stage] != nil {
			continue
		}
		delete(y.orphans, stage)
		if _, known := y.idle[stage]; known {
			continue // its last user said so late
		}
		if y.s.v.uploads[stage] != nil {
			sent = append(sent, stage)
		} else {
			free = append(free, stage)
		}
	}
	return free, sent
}

// keep empties a staged file for the next content; false: it is to be removed.
func (y *syncer) keep(stage uint64) bool {
	y.mu.Lock()
	room := len(y.idle) < idleMost
	y.mu.Unlock()
	if !room {
		return false
	}
	f, err := y.s.fs.Open(stageName(stage))
	if err != nil {
		return false
	}
	if errors.Join(f.Truncate(0), f.Close()) != nil {
		return false
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.idle[stage] = struct{}{}
	return true
}

// reuse gives a staged file that is empty and nobody's. The caller holds Store.change, as does everybody
// who ends the use of one: what the last user said of it too late is forgotten here.
func (y *syncer) reuse() (stage uint64, ok bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for stage := range y.idle {
		delete(y.idle, stage)
		delete(y.orphans, stage)
		return stage, true
	}
	return 0, false
}

// clear removes the idle files at the end of the Store.
func (y *syncer) clear() {
	y.mu.Lock()
	idle := y.idle
	y.idle = make(map[uint64]struct{})
	y.mu.Unlock()
	for stage := range idle {
		y.remove(stage)
	}
}

// remove removes a staged file; when that fails, the next Open does it.
func (y *syncer) remove(stage uint64) {
	if err := y.s.fs.Remove(stageName(stage)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		y.s.log.Warn("a staged file was not removed", "file", stageName(stage), "error", err)
	}
}
