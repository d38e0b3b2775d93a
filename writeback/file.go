package writeback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/extent"
)

// Filler reads clean bytes of the version that is being edited.
type Filler func(ctx context.Context, p []byte, off int64) error

// File is content that is, or may become, pending: one for each inode, shared by its handles.
type File struct {
	s     *Store
	stage uint64 // the number of its staged file
	turn  turn   // of those who send it: after a rename it may still be on its way to the old key

	// Guarded by Store.mu, written with Store.change held too.
	key       Key
	detached  bool               // unlinked or replaced: its content is nobody's any more
	users     int                // Create, Edit and OpenContent, less Release
	uses      int                // users, and those of this package
	attr      string             // packAttr
	confirmed *ossclient.Version // what the bucket has of it, when known

	wasRead atomic.Bool // by its users

	mu      sync.RWMutex // guards the fields below
	f       disk.File    // nil: not opened, or not even made
	made    bool         // the staged file exists
	size    int64
	dirty   bool   // written to since the last commit
	kept    int64  // the staged bytes before it are of a committed state: see tearLocked
	keptBy  uint64 // when it is written to: the record of that state, or of what moved it since
	base    *ossclient.Version
	limit   int64      // bytes before it that are not local are those of base
	local   extent.Set // bytes the staged file has
	changed extent.Set // bytes that differ from base; all that count, when there is no base
	fill    Filler
	sum     uint64 // CRC-64 of the first sumEnd bytes; sumEnd < 0: not known
	sumEnd  int64
	ahead   extent.Set // written beyond sumEnd: writes come in any order, almost
	closed  bool
	stream  streamState
	sent    *sentState // what is being sent; nil: nothing
	damaged bool       // the local disk lost bytes of it
	late    int        // how often in a row it was written to while it was sent
}

func stageName(n uint64) string { return fmt.Sprintf("%s/%016x", stageDir(n), n) }
func stageDir(n uint64) string  { return fmt.Sprintf("staged/%02x", n&0xff) }

// newFileLocked is new content: small, or with a staged file, which is an empty one that was used before or a
// new one. It needs change.
func (s *Store) newFileLocked() (*File, error) {
	if s.mayBeSmall() {
		s.lastStage++
		return &File{s: s, stage: s.lastStage, turn: newTurn(), f: new(smallFile)}, nil
	}
	if stage, ok := s.sync.reuse(); ok {
		f := &File{s: s, stage: stage, turn: newTurn(), made: true}
		if _, err := f.openLocked(); err == nil {
			return f, nil
		}
		s.sync.remove(stage)
	}
	s.lastStage++
	f := &File{s: s, stage: s.lastStage, turn: newTurn()}
	if err := f.makeLocked(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) makeLocked() error {
	df, err := f.s.createStage(f.stage)
	if err != nil {
		return err
	}
	f.f, f.made = df, true
	return nil
}

// createStage makes a staged file, and its directory with the first in it.
func (s *Store) createStage(n uint64) (disk.File, error) {
	df, err := s.fs.Create(stageName(n))
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.fs.MkdirAll(stageDir(n)); err == nil {
			df, err = s.fs.Create(stageName(n))
		}
	}
	return df, err
}

// discard removes a staged file that nothing speaks of.
func (f *File) discard() error {
	if !f.made {
		return nil
	}
	return errors.Join(f.f.Close(), f.s.fs.Remove(stageName(f.stage)))
}

// attach makes f the File of a key. It needs change.
func (s *Store) attach(f *File, key Key) {
	s.detach(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.key, f.uses = key, f.users
	s.live[key] = f
	s.files[f.stage] = f
}

// detach takes the File of a key away from it: its content is nobody's any more. It needs change.
func (s *Store) detach(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.live[key]; f != nil {
		f.detached = true
		delete(s.live, key)
	}
}

func (s *Store) liveFile(key Key) *File {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live[key]
}

// OpenContent opens the pending content of a key, for reading or writing. It counts as one use. Content
// made by Put is no file; neither is an object of which only the attributes change.
func (s *Store) OpenContent(key Key) (*File, bool) {
	s.change.Lock()
	defer s.change.Unlock()
	if s.usable() != nil {
		return nil, false
	}
	f := s.useLocked(key)
	if f == nil {
		return nil, false
	}
	s.mu.Lock()
	f.users++
	s.mu.Unlock()
	return f, true
}

// useLocked is the File of a key, made when its content is pending; nil when there is none. It counts as a
// use. It needs change.
func (s *Store) useLocked(key Key) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.live[key]; f != nil {
		f.uses++
		return f
	}
	e, _ := s.v.tree.Get(key)
	if e == nil || e.stage == 0 {
		return nil
	}
	f := &File{s: s, stage: e.stage, turn: newTurn(), key: key, uses: 1, attr: e.attr, made: true, size: e.size, base: e.base, sumEnd: -1}
	f.local = s.localLocked(e)
	if e.edit != nil {
		f.limit, f.changed = e.edit.limit, e.edit.dirty.Clone()
	} else {
		f.changed = extent.Of(extent.Range{End: e.size})
	}
	if b, small := s.v.small[e.stage]; small {
		f.f, f.made = &smallFile{data: []byte(b)}, false
	}
	f.confirmed = e.base
	if e.has(flagSum) && !e.has(flagDirty) {
		f.sum, f.sumEnd = e.sum, e.size
	}
	if f.dirty = e.has(flagDirty); !f.dirty {
		f.kept = e.size
	}
	f.countLocked()
	s.live[key], s.files[e.stage] = f, f
	return f
}

// localLocked are the bytes of an entry that its staged file has; what lies behind the base, and was never written, are
// zeros there. It needs mu.
func (s *Store) localLocked(e *entry) extent.Set {
	local := extent.Of(extent.Range{End: e.size})
	if e.edit != nil {
		local = e.edit.dirty.Clone()
		for _, r := range local.Missing(e.edit.limit, e.size) {
			local.Add(r.Off, r.End)
		}
	}
	if u := s.v.uploads[e.stage]; u != nil {
		for _, p := range u.parts {
			if p.punched {
				local.Remove(p.off, p.off+p.Size)
			}
		}
	}
	return local
}

// zeroLocked makes what lies behind the base, and was never written, bytes of the staged file: its holes are zeros. It
// needs f.mu.
func (f *File) zeroLocked() {
	for _, r := range f.missingLocked(f.limit, f.size) {
		f.local.Add(r.Off, r.End)
	}
	f.countLocked()
}

// Edit opens an existing object, the one that was seen, for changes: only what is written is staged. When the key has
// pending content already, it is that File. Nothing is pending until something is written. fill reads
// clean bytes for ReadAt; nil: the bucket is asked.
func (s *Store) Edit(key Key, seen Seen, a attr.Attr, fill Filler) (*File, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	if f := s.useLocked(key); f != nil {
		s.mu.Lock()
		f.users++
		s.mu.Unlock()
		return f, nil
	}
	if seen.Key == "" { // it was nowhere but here: nobody edits what is not there
		seen.Key = key
	}
	base := s.recent.now(key, seen)
	e := s.get(key)
	switch {
	case e != nil && e.kind == Attributes:
		if a = e.attributes(); seen.ETag == "" {
			base = e.version()
		}
	case e != nil, base.ETag == "":
		return nil, fmt.Errorf("writeback: edit %q: %w", key, ossclient.ErrNotExist)
	}
	if base.ETag != seen.ETag {
		fill = nil // the caller looked before a state of ours was confirmed
	}
	s.lastStage++
	f := &File{s: s, stage: s.lastStage, turn: newTurn(), size: base.Size, base: baseOf(base), limit: base.Size, fill: fill, users: 1,
		attr: packAttr(&a), confirmed: baseOf(base), sumEnd: -1}
	s.attach(f, key)
	return f, nil
}

// Key is the key the content is, or will be, stored at.
func (f *File) Key() Key {
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	return f.key
}

// Size is the length in bytes, uncommitted writes included.
func (f *File) Size() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size
}

// Attr is what will be stored with the content.
func (f *File) Attr() attr.Attr {
	f.s.mu.RLock()
	packed := f.attr
	f.s.mu.RUnlock()
	a, err := unpackAttr(packed)
	if err != nil {
		panic(err) // packed by us, in memory
	}
	return a
}

// SetAttr changes the attributes; of a File that lost its key, for its users alone.
func (f *File) SetAttr(a attr.Attr) error {
	f.s.mu.Lock()
	key, detached := f.key, f.detached
	if detached {
		f.attr = packAttr(&a)
	}
	f.s.mu.Unlock()
	if detached {
		return nil
	}
	return f.s.SetAttr(key, Seen{}, Rest{}, a)
}

// openLocked gives the staged file's handle. It needs f.mu.
func (f *File) openLocked() (disk.File, error) {
	if f.f != nil {
		return f.f, nil
	}
	if f.closed {
		return nil, ErrClosed
	}
	if !f.made {
		err := f.makeLocked()
		return f.f, err
	}
	df, err := f.s.fs.Open(stageName(f.stage))
	if errors.Is(err, fs.ErrNotExist) && f.size == 0 { // it need not have come to the disk
		df, err = f.s.createStage(f.stage)
	}
	if err != nil {
		return nil, err
	}
	f.f = df
	return df, nil
}

// WriteAt writes into the staged file. Over the budget of the stage it waits, with ctx, until something
// was sent; the disk's own errors (ENOSPC) are the caller's, and change nothing else.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.s.space.wait(ctx, int64(len(p))); err != nil {
		return 0, err
	}
	end := off + int64(len(p))
	if err := f.lockUnsent(ctx, off); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if err := f.readyLocked(ctx, off, end); err != nil {
		return 0, err
	}
	n := 0
	err := f.growLocked(end)
	if err == nil {
		n, err = f.f.WriteAt(p, off)
	}
	if n > 0 {
		f.wroteLocked(p[:n], off)
	}
	if err == nil && f.size > f.s.opt.SinglePut {
		f.streamLocked()
	}
	if noRoom(err) {
		f.s.full()
	}
	return n, err
}

// readyLocked prepares a change of [off, end). It gives f.mu up for a while when bytes beside them must be
// saved first, or the journal written anew.
func (f *File) readyLocked(ctx context.Context, off, end int64) error {
	for healed := false; ; {
		if err := f.soilLocked(); err != nil {
			return err
		}
		err := f.tearLocked(off)
		if err != nil && !healed && f.s.journal.Doubtful() {
			healed = true
			f.mu.Unlock()
			ferr := f.s.sync.flush()
			f.mu.Lock()
			if ferr == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		f.sent.overtake(off)
		if off >= f.size {
			return nil
		}
		ready, err := f.forgetLocked(off, end)
		if ready || err != nil {
			return err
		}
		f.mu.Unlock()
		err = f.checkpoint(ctx)
		f.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// countLocked tells the stage how much of it the file takes. It needs f.mu.
func (f *File) countLocked() { f.s.space.set(f.stage, f.local.Len()) }

func (f *File) wroteLocked(p []byte, off int64) {
	end := off + int64(len(p))
	f.sumWrite(p, off)
	if off > f.size { // the hole reads as zeros
		off = f.size
	}
	f.local.Add(off, end)
	f.changed.Add(off, end)
	f.countLocked()
	f.size = max(f.size, end)
}

// Truncate sets the length; what is added reads as zeros.
func (f *File) Truncate(ctx context.Context, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.lockUnsent(ctx, size); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if size == f.size {
		return nil
	}
	if size == 0 {
		if err := f.emptied(); err != nil {
			return err
		}
	}
	if err := f.readyLocked(ctx, min(size, f.size), max(size, f.size)); err != nil {
		return err
	}
	if err := f.growLocked(size); err != nil {
		return err
	}
	if err := f.shapeLocked(size); err != nil {
		return err
	}
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.ahead.Remove(size, math.MaxInt64)
	if size < f.size {
		f.local.Remove(size, f.size)
		f.changed.Remove(size, f.size)
		f.limit = min(f.limit, size)
		switch {
		case size == 0:
			f.sum, f.sumEnd = 0, 0
			f.ahead.Clear()
		case f.sumEnd > size:
			f.sumEnd = -1
		}
	} else { // a hole: it takes no space on the disk
		f.local.Add(f.size, size)
		f.changed.Add(f.size, size)
	}
	f.size = size
	f.countLocked()
	return nil
}

// openFactor is how many times the delay a committed file rests unchanged before it is sent although
// somebody still has it open.
const openFactor = 10

// Release ends one use. After the last, what was written is committed, and the delay begins. When that fails, as on a
// full disk, the file stays open, and it is tried again.
func (f *File) Release() {
	s := f.s
	if err := f.commit(); err != nil {
		s.log.Error("a file was not committed; it is tried again", "key", string(f.Key()), "error", err)
		f.work(f.recommit)
	}
	s.mu.Lock()
	f.users--
	last := f.users == 0 && !f.detached
	key := f.key
	s.mu.Unlock()
	if last {
		if e := s.get(key); e != nil && e.stage == f.stage {
			s.loop.changed(e, s.opt.Delay)
		}
	}
	f.unuse()
}

// unuse ends one use; the last closes the staged file.
func (f *File) unuse() {
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	f.uses--
	if f.uses > 0 {
		s.mu.Unlock()
		return
	}
	delete(s.files, f.stage)
	if s.live[f.key] == f {
		delete(s.live, f.key)
	}
	e, _ := s.v.tree.Get(f.key)
	pending := !f.detached && e != nil && e.stage == f.stage
	s.mu.Unlock()
	f.shut(pending)
}

// shut closes the handle of a file that nobody uses. Whether its bytes stay is the map's business.
func (f *File) shut(pending bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		if err := f.f.Close(); err != nil {
			f.s.log.Warn("closing a staged file", "file", stageName(f.stage), "error", err)
		}
		f.f = nil
	}
	if !pending {
		f.s.space.set(f.stage, 0)
		if f.made {
			f.s.sync.free(f.stage)
		}
	}
}

// rebase has clean bytes read from the version that the bucket is known to have, the same bytes by another key or ETag. Which
// that is, is looked up now: whoever told of it may come late. It needs f.mu.
func (f *File) rebase() {
	f.s.mu.RLock()
	v, key := f.confirmed, f.key
	f.s.mu.RUnlock()
	if v != nil && v.Key == key && f.base != nil && *f.base != *v {
		f.base, f.fill = v, nil
	}
}

// abandon closes the handle at the end of the Store.
func (f *File) abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}
