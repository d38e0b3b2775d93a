package writeback

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/extent"
)

// Streaming. A new file that outgrows a single Put is sent in parts while it is still being written:
//
//  1. Its parts begin where partSize says, so that the same cuts come out whoever makes them. A part is
//     sent when it is settled.
//  2. A part that is written to again is forgotten, in the journal too before the write, and sent again.
//  3. Parts that were sent are punched out of the staged file when they are young (young.go), others when the stage is
//     full; the journal says so first. Reading or changing such a part first has the upload completed (a checkpoint): then the bucket
//     has the file as it was, and what is not staged is read from there.
//  4. sendParts adds what is missing and completes the upload.

// streamState is what is being sent of a file that is being written.
type streamState struct {
	on      bool  // an upload was begun by us, or is being begun
	ready   bool  // the upload has an id
	sealed  bool  // somebody waits for the file: sendParts takes over
	until   int64 // when sealed: what lies before is still streamed, its end too
	tail    int64 // how long the parts of the end are; 0: none of it was begun
	failed  bool  // a part was refused: it is left to sendParts
	stay    bool  // parts that were sent stay in the stage: it could not give space back
	age     age
	next    int                 // the number of the next part
	off     int64               // where it begins
	flying  map[int]*flyingPart // parts being sent
	settled chan struct{}
}

// flyingPart is a part on its way.
type flyingPart struct {
	piece
	begun time.Time // when its first byte was written; zero: not known
	stale bool      // written to meanwhile
}

// streamLocked is told that a file has grown beyond a single Put. It needs f.mu.
func (f *File) streamLocked() {
	st := &f.stream
	if st.sealed && !st.on || st.failed || f.base != nil || f.limit > 0 {
		return
	}
	f.s.mu.RLock()
	stop := f.detached || f.s.closed
	known := f.s.v.uploads[f.stage]
	f.s.mu.RUnlock()
	if stop || f.size < f.s.opt.SinglePut+f.s.partSize(0) || !st.on && known != nil {
		return // what an earlier process began is sendParts' to go on with
	}
	if !st.on {
		st.on, st.next, st.flying = true, 1, make(map[int]*flyingPart)
		st.age.reach(f.size, time.Time{}, f.s.partSize)
		st.on = f.send(f.beginStream)
		return
	}
	st.age.reach(f.size, time.Now(), f.s.partSize)
	for st.ready && len(st.flying) < partsAtOnce {
		n := f.nextPartLocked()
		if n == 0 {
			return
		}
		number, p := st.next, piece{off: st.off, n: n}
		st.next, st.off = number+1, st.off+n
		fp := &flyingPart{piece: p, begun: st.age.next()}
		st.flying[number] = fp
		if !f.send(func() { f.streamPart(number, fp) }) {
			delete(st.flying, number)
			return
		}
	}
}

// nextPartLocked is how long the part is that can be sent next, a settled one or, when the file is sealed, one of its end; 0:
// there is none. It needs f.mu.
func (f *File) nextPartLocked() int64 {
	s, st := f.s, &f.stream
	size := f.size
	if st.sealed {
		size = min(size, st.until)
	}
	if st.tail == 0 && st.next <= streamedParts && s.settled(st.off, size) {
		return s.partSize(st.off)
	}
	if !st.sealed || f.size < st.until || st.off >= size {
		return 0
	}
	if st.tail == 0 { // as planWhole cuts it
		st.tail = s.tailStep(size - st.off)
	}
	if st.tail > partMost {
		return 0
	}
	return min(st.tail, size-st.off)
}

// send runs a goroutine that sends of the file: who waits for space may hope, and looks again when it has ended.
func (f *File) send(do func()) bool {
	f.s.streaming.Add(1)
	if f.work(func() {
		do()
		f.s.streaming.Add(-1)
		f.s.space.poke()
	}) {
		return true
	}
	f.s.streaming.Add(-1)
	return false
}

// work runs a goroutine that uses the file.
func (f *File) work(do func()) bool {
	s := f.s
	s.mu.Lock()
	f.uses++
	s.mu.Unlock()
	if s.spawn(func() {
		defer f.unuse()
		do()
	}) {
		return true
	}
	s.mu.Lock()
	f.uses-- // not the last: the caller is one
	s.mu.Unlock()
	return false
}

// beginStream begins the upload, with the attributes of the moment: when others are committed at the end,
// they are set by a copy of the object onto itself.
func (f *File) beginStream() {
	s := f.s
	s.mu.RLock()
	e := &entry{key: f.key, attr: f.attr, stage: f.stage}
	s.mu.RUnlock()
	_, err := s.createUpload(s.ctx, e)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.stream.failed = true
	}
	f.stream.ready = err == nil
	f.streamLocked()
	f.landLocked()
}

// streamPart sends one part.
func (f *File) streamPart(number int, p *flyingPart) {
	s := f.s
	err := s.partToken(s.ctx)
	if err == nil {
		_, err = s.uploadPiece(s.ctx, f, number, p)
		s.partDone()
	}
	f.mu.Lock()
	switch landed := f.landedLocked(number, p); {
	case landed && err == nil:
		f.dropYoungLocked(number, p)
	case landed && !errors.Is(err, errAgain):
		f.stream.failed = true
	}
	f.streamLocked()
	f.landLocked()
	f.mu.Unlock()
	if s.space.full() {
		s.relieve()
	}
}

// landedLocked notes that a part is not on its way any more. False: it was sent for an upload that was given
// up meanwhile, and another part may have its number. It needs f.mu.
func (f *File) landedLocked(number int, p *flyingPart) bool {
	if f.stream.flying[number] != p {
		return false
	}
	delete(f.stream.flying, number)
	return true
}

// landLocked tells sendParts when nothing is being sent any more. It needs f.mu.
func (f *File) landLocked() {
	st := &f.stream
	if st.settled != nil && len(st.flying) == 0 && (st.ready || st.failed) {
		close(st.settled)
		st.settled = nil
	}
}

// seal streams the first size bytes, as fast as it goes, waits for it, and keeps further parts from being streamed. The
// caller has the turn.
func (f *File) seal(ctx context.Context, size int64) error {
	f.mu.Lock()
	st := &f.stream
	st.sealed, st.until = true, size
	f.streamLocked()
	var settled chan struct{}
	if st.on && (len(st.flying) > 0 || !st.ready && !st.failed) {
		if st.settled == nil {
			st.settled = make(chan struct{})
		}
		settled = st.settled
	}
	f.mu.Unlock()
	if settled == nil {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		st.sealed, st.settled = false, nil
		st.failed = st.failed || st.tail > 0 // a file that goes on is not cut there
		return ctx.Err()
	}
}

// unseal ends what seal began: nothing is on its way. After success there is no upload any more.
func (f *File) unseal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream = streamState{}
}

// uploadPart sends a part of an upload within the memory there is for it.
func (s *Store) uploadPart(ctx context.Context, u *upload, p ossclient.PartRequest) (ossclient.Part, error) {
	if err := s.name(u); err != nil {
		return ossclient.Part{}, err
	}
	p.Key, p.Upload = u.key, u.id
	giveBack, err := s.borrow(ctx, bodyMemory(p.Size))
	if err != nil {
		return ossclient.Part{}, err
	}
	defer giveBack()
	return s.bucket.UploadPart(ctx, p)
}

// uploadPiece sends staged bytes as a part of the file's upload, and journals it.
func (s *Store) uploadPiece(ctx context.Context, f *File, number int, p *flyingPart) (ossclient.Part, error) {
	s.mu.RLock()
	u := s.v.uploads[f.stage]
	s.mu.RUnlock()
	if u == nil {
		return ossclient.Part{}, errAgain
	}
	body := s.passing.begin(f.stage, content{f, p.off, nil})
	defer s.passing.end(f.stage, body)
	part, err := s.uploadPart(ctx, u, ossclient.PartRequest{Number: number, Body: body, Size: p.n})
	if err != nil {
		return part, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.stale {
		return part, errAgain // of two versions, nobody knows which
	}
	s.change.Lock()
	defer s.change.Unlock()
	if s.v.uploads[f.stage] != u {
		return part, errAgain // truncated meanwhile
	}
	return part, s.commitLocked(op{code: opPart, stage: f.stage, part: sentPart{Part: part, off: p.off}})
}

// fly sends a part for sendParts.
func (f *File) fly(ctx context.Context, number int, p piece) (ossclient.Part, error) {
	fp := &flyingPart{piece: p}
	f.mu.Lock()
	if p.off+p.n > f.size { // cut off meanwhile: what is appended again is no change of a part, and would not be noticed
		f.mu.Unlock()
		return ossclient.Part{}, errOvertaken
	}
	if f.stream.flying == nil {
		f.stream.flying = make(map[int]*flyingPart)
	}
	f.stream.flying[number] = fp
	f.mu.Unlock()
	part, err := f.s.uploadPiece(ctx, f, number, fp)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landedLocked(number, fp)
	f.landLocked()
	return part, err
}

// createUpload begins an upload for a staged file, and journals it.
func (s *Store) createUpload(ctx context.Context, e *entry) (*upload, error) {
	a := e.attributes()
	u := &upload{key: e.key, attr: e.attr, begun: e.when, parts: make(map[int]sentPart)}
	if e.edit != nil && e.base != nil {
		u.base = e.base.ETag
	}
	q := ossclient.UploadRequest{Key: e.key, Metadata: metadata(e.key, &a), Options: s.options(a.StorageClass)}
	err := s.beginUpload(ctx, q, func(id ossclient.UploadID, done []op) error {
		u.id = id
		return s.noteUpload(e, u, done)
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// noteUpload journals an upload, unless its content was removed, replaced or renamed meanwhile.
func (s *Store) noteUpload(e *entry, u *upload, done []op) error {
	s.change.Lock()
	defer s.change.Unlock()
	if cur := s.get(e.key); cur == nil || cur.stage != e.stage {
		return errAgain
	}
	return s.commitLocked(append(done, op{code: opUpload, stage: e.stage, upload: u})...)
}

// overlapping are the parts that were sent of [off, end).
func (s *Store) overlapping(stage uint64, off, end int64) []sentPart {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.v.uploads[stage]
	if u == nil {
		return nil
	}
	var list []sentPart
	for _, p := range u.parts {
		if p.off < end && p.off+p.Size > off {
			list = append(list, p)
		}
	}
	return list
}

// forgetLocked is called before bytes of a file change: parts that have them are to be sent again. False:
// some of their other bytes are nowhere but in the upload, which must be completed first. It needs f.mu.
func (f *File) forgetLocked(off, end int64) (bool, error) {
	for _, p := range f.stream.flying {
		p.stale = p.stale || p.off < end && p.off+p.n > off
	}
	parts := f.s.overlapping(f.stage, off, end)
	ops := make([]op, 0, len(parts))
	for _, p := range parts {
		if last := min(p.off+p.Size, f.size); p.off < last && !f.local.Contains(p.off, last) {
			return false, nil
		}
		ops = append(ops, op{code: opPart, stage: f.stage, part: sentPart{Part: ossclient.Part{Number: p.Number}}})
	}
	if len(ops) == 0 {
		return true, nil
	}
	f.s.change.Lock()
	defer f.s.change.Unlock()
	return true, f.s.commitLocked(ops...)
}

// emptied gives up the upload of a file that is truncated to nothing. What was committed may have bytes nowhere but there: the
// journal says first, durably, that it is being cut off, and then the staged file is empty before nothing speaks of the upload. It
// needs f.mu.
func (f *File) emptied() error {
	s := f.s
	s.mu.RLock()
	u := s.v.uploads[f.stage]
	s.mu.RUnlock()
	if u == nil || f.stream.sealed || f.stream.on && !f.stream.ready {
		return nil // beginStream has not seen it yet: nothing was sent
	}
	if !s.holed(f.stage) { // all of it is here until the journal has its new shape (shapeLocked)
		f.stream = streamState{}
		return s.disown(f.stage, u)
	}
	if err := f.soilLocked(); err != nil {
		return err
	}
	if err := f.tearLocked(0); err != nil {
		return err
	}
	f.sent.overtake(0)
	f.stream = streamState{}
	if err := f.f.Truncate(0); err != nil {
		return err
	}
	err := s.disown(f.stage, u)
	f.damaged = f.damaged || err != nil
	return err
}

// checkpoint has the bucket get the file as it is, so that bytes which are nowhere else can be read.
func (f *File) checkpoint(ctx context.Context) error {
	if err := f.commit(); err != nil {
		return err
	}
	f.s.mu.RLock()
	key, detached := f.key, f.detached
	f.s.mu.RUnlock()
	if detached {
		return syscall.ESTALE // unlinked, and the upload with it
	}
	return f.s.syncBucket(ctx, key)
}

// relieve punches out of the staged files what need not be there: parts that were sent, and bytes of
// versions that the bucket has.
func (s *Store) relieve() {
	s.mu.Lock()
	files := make([]*File, 0, len(s.files))
	for _, f := range s.files {
		f.uses++ // whoever ends the last use holds Store.change, and waits for File.mu
		files = append(files, f)
	}
	s.mu.Unlock()
	for i, f := range files {
		if i == 0 || s.space.full() {
			if err := f.relieve(); err != nil && !s.solid.Load() {
				s.log.Warn("a staged file did not give space back", "file", stageName(f.stage), "error", err)
			}
		}
		f.unuse()
	}
}

func (f *File) relieve() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil || f.sent != nil { // what is being sent must be here
		return nil
	}
	if f.base == nil {
		return f.punchPartsLocked()
	}
	if e := f.s.get(f.Key()); e != nil && e.stage == f.stage && e.edit == nil {
		return nil // the journal says that all of it is staged: a crash would take holes for its bytes
	}
	clean := f.local.Clone()
	for _, r := range f.changed.Ranges() {
		clean.Remove(r.Off, r.End)
	}
	if clean.Len() == 0 {
		return nil
	}
	// What says that the bucket has them must be durable: a loss of power brings back the state before, whose bytes they are.
	if err := f.s.journal.Ahead(); err != nil {
		return err
	}
	var err error
	for _, r := range clean.Within(0, min(f.limit, f.size)) {
		err = errors.Join(err, f.punchLocked(r))
	}
	return err
}

func (f *File) punchPartsLocked() error {
	if f.stream.sealed {
		return nil // sendParts decides
	}
	var err error
	for _, p := range f.s.overlapping(f.stage, 0, f.size) {
		err = errors.Join(err, f.punchPartLocked(p))
	}
	return err
}

// punchPartLocked gives up a part in the stage that was sent. It needs f.mu.
func (f *File) punchPartLocked(p sentPart) error {
	r := extent.Range{Off: p.off, End: p.off + p.Size}
	switch {
	case p.punched || f.s.solid.Load() || !f.local.Contains(r.Off, r.End):
		return nil
	case p.Number > streamedParts || p.Size != f.s.partSize(p.off) || !f.s.settled(p.off, f.size):
		return nil // sent as the end of the file, which may grow: then it is cut otherwise, and sent again
	case r.Off < f.kept && (r.End > f.kept || f.s.journal.Synced() < f.keptByLocked()):
		return nil // a state that a loss of power may bring back may end within it: in the upload are more bytes than it has
	}
	if ok, err := f.s.notePunched(f, p); !ok || err != nil {
		return err
	}
	if r.Off < f.kept {
		// A state that is committed counts after a loss of power. That its bytes are gone may then be on the disk already,
		// and the record that says where they are must be, too.
		if err := f.s.journal.Ahead(); err != nil {
			return err
		}
	}
	err := f.punchLocked(r)
	if errors.Is(err, errors.ErrUnsupported) { // all of it is still here
		return errors.Join(err, f.s.noteKept(f.stage, p))
	}
	return err
}

// keptByLocked is the record of what is committed, or of what gave it the key that it has. It needs f.mu.
func (f *File) keptByLocked() uint64 {
	if e := f.s.get(f.Key()); !f.dirty && e != nil && e.stage == f.stage {
		return e.rec
	}
	return f.keptBy
}

// notePunched journals that a part is only in the bucket; false: it must stay here, since the upload is to another
// key than the file has by now.
func (s *Store) notePunched(f *File, p sentPart) (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	u, key, detached := s.v.uploads[f.stage], f.key, f.detached
	s.mu.RUnlock()
	if u == nil || u.key != key || detached || u.parts[p.Number] == (sentPart{}) {
		return false, nil
	}
	p.punched = true
	return true, s.commitLocked(op{code: opPart, stage: f.stage, part: p})
}

// noteKept journals that a part is in the stage after all.
func (s *Store) noteKept(stage uint64, p sentPart) error {
	s.change.Lock()
	defer s.change.Unlock()
	p.punched = false
	return s.commitLocked(op{code: opPart, stage: stage, part: p})
}

// punchLocked gives up a range in the stage. What a disk says of a failure is not believed: some of it may be gone. It needs f.mu.
func (f *File) punchLocked(r extent.Range) error {
	if f.s.solid.Load() {
		return errors.ErrUnsupported
	}
	err := f.f.Punch(r.Off, r.Len())
	if errors.Is(err, errors.ErrUnsupported) {
		if !f.s.solid.Swap(true) {
			f.s.log.Warn("the local disk has no holes: what was sent of a file stays staged until all of it was sent", "error", err)
		}
		return err
	}
	f.local.Remove(r.Off, r.End)
	f.countLocked()
	return err
}
