package writeback

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// send makes the bucket match the state of a key. The loop sees to it that no two run for one key. Urgent: somebody waits for it.
func (s *Store) send(ctx context.Context, key Key, urgent bool) outcome {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := s.use(key)
	if f != nil {
		defer f.unuse()
		if err := f.turn.take(ctx); err != nil {
			return outcome{err: err}
		}
		defer f.turn.give()
	}
	e, err := s.begin(key, f, urgent, cancel)
	if e == nil {
		return outcome{err: err}
	}
	defer s.end(key)
	err = s.outlast(e)
	switch {
	case err != nil:
	case e.kind == Attributes:
		err = s.sendAttributes(ctx, e)
	case e.kind == Content && (e.size > s.opt.SinglePut || s.holed(e.stage)): // what was cut may be short, and in the upload alone
		err = s.sendParts(ctx, e, f)
	case e.kind == Content:
		err = s.sendPut(ctx, e, f)
	}
	out := outcome{seq: e.seq, err: err}
	if f != nil {
		f.endSent(err)
	}
	if e.kind == Content {
		out.bytes = e.size
	}
	return out
}

// begin takes the state that is to be sent, and notes that it is. What is written to an open file so far is committed first when
// somebody waits for it: otherwise it was written to since it was taken out of its queue, and its close has it sent.
func (s *Store) begin(key Key, f *File, urgent bool, cancel context.CancelFunc) (*entry, error) {
	if f != nil {
		f.mu.Lock() // nothing is written between the commit and the note
		defer f.mu.Unlock()
		if f.dirty && !urgent {
			return nil, errAgain
		}
		if err := f.commitLocked(); err != nil {
			return nil, err
		}
		if f.damaged {
			return nil, errDamaged
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	e := s.get(key)
	switch {
	case e == nil || e.kind == Absent:
		return nil, nil
	case e.has(flagDirty), e.kind == Content && f.number() != e.stage:
		return nil, errAgain // replaced in between: by another file, or by what is no file
	}
	s.mu.Lock()
	s.inflight[key] = flight{e.seq, cancel, make(chan struct{})}
	s.mu.Unlock()
	if f != nil && e.kind == Content {
		f.sent = &sentState{size: e.size, done: make(chan struct{})}
	}
	return e, nil
}

// outlast sees to it that a loss of power brings no older state back than the one that is about to be sent, or that one's end: it
// would find in the bucket what it does not know, and be kept beside it, or delete it.
func (s *Store) outlast(e *entry) error {
	if s.journal.Synced() >= e.rec {
		return nil
	}
	if e.after {
		return s.sync.durable(e.rec)
	}
	s.change.Lock()
	_, changed := s.recent.find(e.key)
	s.change.Unlock()
	if !changed {
		return nil
	}
	return s.sync.ahead()
}

// number is that of the staged file; 0 of no File, as of content that is no file.
func (f *File) number() uint64 {
	if f == nil {
		return 0
	}
	return f.stage
}

func (s *Store) use(key Key) *File {
	s.change.Lock()
	defer s.change.Unlock()
	return s.useLocked(key)
}

func (s *Store) end(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.inflight[key].done)
	delete(s.inflight, key)
}

// turn is held by the one who sends a File.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// options of the object to be stored.
func (s *Store) options(class string) ossclient.ObjectOptions {
	o := s.opt.NewObjects
	if class != "" {
		o.StorageClass = class
	}
	return o
}

// copyOptions are those of a copy. OSS copies an object's tags by itself; its encryption, its ACL and its storage class not.
func (s *Store) copyOptions(class string) ossclient.ObjectOptions {
	o := s.options(class)
	o.Tags = nil
	return o
}

// sendPut stores content with one request.
func (s *Store) sendPut(ctx context.Context, e *entry, f *File) error {
	if f != nil {
		if err := f.complete(ctx, 0, e.size); err != nil {
			return s.lost(ctx, e, f, err)
		}
	}
	exclusive, err := s.mayOverwrite(ctx, e)
	if err != nil {
		return s.lost(ctx, e, f, err)
	}
	sum, err := s.try(e, f)
	if err != nil {
		return err
	}
	a := e.attributes()
	put := ossclient.PutRequest{Key: e.key, Size: e.size, Metadata: metadata(e.key, &a), Options: s.options(a.StorageClass), NoOverwrite: exclusive}
	if f != nil {
		body := s.passing.begin(e.stage, content{f, 0, f.sent})
		defer s.passing.end(e.stage, body)
		put.Body = body
	} else {
		put.Body = stringReader(e.body)
	}
	put.CRC64 = func() (uint64, bool) { return sum, true }
	giveBack, err := s.borrow(ctx, bodyMemory(e.size))
	if err != nil {
		return err
	}
	defer giveBack()
	r, err := s.bucket.Put(ctx, put)
	if err != nil {
		return s.lost(ctx, e, f, err)
	}
	return s.stored(e, f, r, ossclient.Normal, put.Metadata)
}

// try notes what is about to be sent: should the answer be lost, what the bucket has is known by it. It
// returns the checksum, made while the file was written, or of what is staged.
func (s *Store) try(e *entry, f *File) (uint64, error) {
	sum := e.sum
	var err error
	switch {
	case f == nil:
		sum = crc.Update(0, []byte(e.body))
	case !e.has(flagSum):
		sum, err = sumOf(content{f, 0, f.sent}, e.size)
	}
	if err != nil {
		return 0, err
	}
	return sum, s.noteTrial(e, &trial{seq: e.seq, size: e.size, sum: sum})
}

// noteTrial journals, for content that cannot be summed again after a crash, what is about to be sent;
// other content is its own witness. A state that comes after this one takes the note over. A loss of power must not take
// it: the object would be taken for another client's, and what is nowhere but in it for lost.
func (s *Store) noteTrial(e *entry, t *trial, more ...op) error {
	if noted, err := s.journalTrial(e, t, more); !noted || err != nil {
		return err
	}
	return s.sync.ahead()
}

// journalTrial says whether there was anything to journal.
func (s *Store) journalTrial(e *entry, t *trial, more []op) (noted bool, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	s.tried[e.key] = t
	s.mu.Unlock()
	cur := s.get(e.key)
	if cur != nil && (cur.seq != e.seq || e.edit != nil || e.size > s.opt.SinglePut) {
		next := cur.clone()
		next.trial = t.over(next.trial)
		more = append(more, op{code: opSet, entry: next})
	}
	if len(more) == 0 {
		return false, nil
	}
	return true, s.commitLocked(more...)
}

// stored confirms content that a Put or a completed upload has stored.
func (s *Store) stored(e *entry, f *File, r ossclient.PutResult, typ ossclient.ObjectType, m ossclient.Metadata, more ...op) error {
	o := ossclient.Object{Version: r.Version, LastModified: r.Date, Type: typ, Metadata: m,
		CRC64: r.CRC64, HasCRC64: true, VersionID: r.VersionID}
	a := e.attributes()
	o.StorageClass = s.options(a.StorageClass).StorageClass // "": the bucket's, which may be any
	return s.confirm(e, f, Confirmation{Key: e.key, Object: o, Attr: a, Target: e.body}, more...)
}

// sendAttributes replaces an object's metadata by a copy onto itself.
func (s *Store) sendAttributes(ctx context.Context, e *entry) error {
	a := e.attributes()
	m := metadata(e.key, &a)
	source, target := e.version(), e.body
	class, err := s.classOf(ctx, source, a.StorageClass, e.class)
	if err != nil {
		return s.vanished(e, err)
	}
	c, err := s.copyWith(ctx, source, e.key, m, class, false)
	if errors.Is(err, ossclient.ErrPrecondition) {
		now, herr := s.bucket.Head(ctx, e.key)
		switch {
		case herr != nil:
			return s.vanished(e, herr)
		case !stands(&now, m, a.StorageClass):
			return s.ontoTheirs(e, &now)
		}
		c, err = Confirmation{Key: e.key, Object: now, Exact: true}, nil // the answer to an earlier request was lost, or nothing is left to be done
		if !e.mayBe(&now) {
			c.Foreign, e, target = true, e.onto(now.Version), ""
		}
	}
	if err != nil {
		return s.vanished(e, err)
	}
	c.Attr, c.Target, c.Foreign = a, target, c.Foreign || s.onAnother(e)
	return s.confirm(e, nil, c)
}

// mayBe says whether an object that has the attributes may be a copy of the one that they were to be set on. What they are set on instead is
// journaled as that before (ontoTheirs), and the time of the change is one of them, so that it is the copy unless others have kept them with other bytes.
func (e *entry) mayBe(o *ossclient.Object) bool {
	return o.Size == e.version().Size && (e.baseSum == nil || !o.HasCRC64 || o.CRC64 == *e.baseSum)
}

// ontoTheirs has attributes set, from the next attempt on, on what another client has put where the object was that they were to be set on. That is told,
// and noted durably, before they are: what is found there with these attributes would be taken for the object that was seen here. Who sees it from now on has seen what
// they are set on.
func (s *Store) ontoTheirs(e *entry, now *ossclient.Object) error {
	if s.opt.OnConflict == Fail {
		return &ConflictError{Key: e.key, Base: e.version(), Now: now.Version}
	}
	theirs := Confirmation{Key: e.key, Object: *now, Foreign: true, Exact: true, Attr: attr.FromMetadata(now.Metadata)}
	if a := e.attributes(); e.kindOf(&a, "") != e.kindOf(&theirs.Attr, now.Type) {
		s.log.Warn("attributes not stored: another client has put something of another kind there", "key", string(e.key))
		return s.confirm(e.onto(now.Version), nil, theirs)
	}
	s.tell(theirs)
	s.change.Lock()
	defer s.change.Unlock()
	s.recent.forget(e.key)
	s.mu.Lock()
	delete(s.tried, e.key)
	s.mu.Unlock()
	cur := s.get(e.key)
	if cur == nil || cur.seq != e.seq { // what came after it is compared when it is sent
		return errAgain
	}
	next := cur.clone()
	next.base, next.trial, next.baseSum = baseOf(now.Version), nil, nil
	next.size, next.class, next.body = now.Size, now.StorageClass, ""
	next.flags &^= next.settledBy()
	next.after = true
	if now.HasCRC64 {
		next.baseSum = &now.CRC64
	}
	if err := s.commitLocked(op{code: opSet, entry: next}); err != nil {
		return err
	}
	return errAgain
}

// kindOf is what attributes say that an object of the key is: a file, or a directory, when they do not.
func (e *entry) kindOf(a *attr.Attr, typ ossclient.ObjectType) uint32 {
	switch {
	case typ == ossclient.Symlink:
		return attr.TypeLink
	case e.isDir():
		return attr.TypeDir
	}
	return cmp.Or(a.Type(), attr.TypeFile)
}

// onAnother says whether what waits at a key, or is open, is made of another object than the one that attributes were set on: others have put that one
// in its place.
func (s *Store) onAnother(e *entry) bool {
	if e.kind != Attributes || e.base == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	other := func(v *ossclient.Version) bool { return v != nil && v.ETag != e.base.ETag }
	cur, _ := s.v.tree.Get(e.key)
	f := s.live[e.key]
	return f != nil && other(f.confirmed) || cur != nil && cur.seq != e.seq && other(cur.base)
}

// vanished ends a change of attributes of an object that is not there any more: somebody deleted it, and
// nothing of ours is lost.
func (s *Store) vanished(e *entry, err error) error {
	if !errors.Is(err, ossclient.ErrNotExist) || !noSuchKey(err) {
		return err
	}
	s.log.Warn("attributes not stored: the object was deleted by another client", "key", string(e.key))
	return s.confirm(e, nil, Confirmation{Key: e.key, Deleted: true})
}

// confirm tells that the bucket has a state, and then takes it out of the map; what changed meanwhile
// stays, on top of what the bucket has now. more happens with it.
func (s *Store) confirm(e *entry, f *File, c Confirmation, more ...op) error {
	if c.Object.LastModified.IsZero() && !c.Deleted {
		c.Object.LastModified = time.Now()
	}
	s.tell(c)
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	delete(s.tried, e.key)
	s.mu.Unlock()
	c.Foreign = c.Foreign || s.onAnother(e)
	theirs := c.Foreign || c.Deleted // another client has put it there, or taken it away
	if theirs {                      // who knows what was there before knows nothing of this
		s.recent.forget(e.key)
	}
	defer s.recent.note(e.key, e.base, c.Object.Version)
	cur := s.get(e.key)
	s.confirmFileLocked(e, cur, f, &c)
	switch {
	case cur == nil && len(more) == 0:
		return nil
	case cur == nil:
		return s.commitLocked(more...)
	case cur.seq == e.seq:
		return s.commitLocked(append(more, op{code: opDel, key: e.key})...)
	}
	next := cur.clone()
	next.since = max(next.since, e.seq+1)
	next.when = time.Now().UnixNano()
	if !theirs { // else its other bytes are not there, and that is to be seen when it is sent
		next.base = baseOf(c.Object.Version)
		next.trial, next.begins = nil, nil // the bucket has what is not older
		next.flags &^= next.settledBy()
	}
	if e.kind == Attributes && next.kind == Attributes {
		next.body = c.Target // of what is there now
	}
	if f != nil && next.stage == f.stage {
		next.edit = f.editLocked()
		next.flags &^= flagPart // it was of other ranges
	}
	return s.commitLocked(append(more, op{code: opStored, key: e.key, seq: e.seq}, op{code: opSet, entry: next})...)
}

// confirmFileLocked tells the File of a key what the bucket has: f, whose content was sent, or one that is open, unless its bytes are not there. It needs
// change, and f.mu.
func (s *Store) confirmFileLocked(e, cur *entry, f *File, c *Confirmation) {
	if f != nil {
		f.confirmLocked(e, cur, c.Object.Version)
		return
	}
	live := s.liveFile(e.key)
	switch {
	case live == nil || c.Foreign || c.Deleted:
	case e.kind == Attributes:
		s.rebaseLocked(live, c.Object.Version) // the same bytes, by another ETag
	default:
		s.mu.Lock()
		live.confirmed = baseOf(c.Object.Version)
		s.mu.Unlock()
	}
}

// confirmLocked notes that the bucket has what e says. It needs f.mu and change.
func (f *File) confirmLocked(e, cur *entry, v ossclient.Version) {
	s := f.s
	s.mu.Lock()
	same := f.key == e.key && !f.detached
	if same {
		f.confirmed = baseOf(v)
	}
	s.mu.Unlock()
	if !same {
		return
	}
	f.base, f.fill = baseOf(v), nil
	f.limit = min(e.size, f.size)
	if cur != nil && cur.seq == e.seq {
		f.changed.Clear()
		return
	}
	// Written to meanwhile: which bytes were sent before and which after is not known. What is staged
	// counts as changed; the rest is in the version that was stored.
	f.changed = f.local.Clone()
}

// sendAbsent deletes objects.
func (s *Store) sendAbsent(ctx context.Context, keys []Key) outcome {
	s.change.Lock()
	list := make([]*entry, 0, len(keys))
	send := make([]Key, 0, len(keys))
	s.mu.Lock()
	for _, key := range keys {
		e, _ := s.v.tree.Get(key)
		if e != nil && e.kind == Absent {
			list = append(list, e)
			send = append(send, key)
			s.inflight[key] = flight{seq: e.seq}
		}
	}
	s.mu.Unlock()
	s.change.Unlock()
	if len(send) == 0 {
		return outcome{}
	}
	last := uint64(0)
	for _, e := range list {
		last = max(last, e.rec)
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, key := range send {
			delete(s.inflight, key)
		}
	}()
	// A delete cannot be taken back: a loss of power must not bring back the state before it.
	if err := s.sync.durable(last); err != nil {
		return outcome{err: err}
	}
	may, theirs, err := s.mayDelete(ctx, list)
	if err != nil {
		return outcome{err: err}
	}
	if err := s.notRemoved(theirs); err != nil {
		return outcome{err: err}
	}
	if err := s.bucket.DeleteMany(ctx, keysOf(may)); err != nil {
		return outcome{err: err}
	}
	for _, e := range may {
		s.tell(Confirmation{Key: e.key, Deleted: true})
	}
	return outcome{err: s.deleted(may)}
}

// deleted takes states out of the map that the bucket has confirmed, with one record.
func (s *Store) deleted(list []*entry) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	for _, e := range list {
		delete(s.tried, e.key)
	}
	s.mu.Unlock()
	defer func() {
		for _, e := range list {
			s.recent.note(e.key, e.base, ossclient.Version{Key: e.key})
		}
	}()
	ops := make([]op, 0, len(list))
	for _, e := range list {
		cur := s.get(e.key)
		switch {
		case cur == nil:
		case cur.seq == e.seq:
			ops = append(ops, op{code: opDel, key: e.key})
		default:
			next := cur.clone()
			next.base, next.trial = nil, nil
			next.since = max(next.since, e.seq+1)
			next.flags &^= flagUnknown | flagSuspect
			ops = append(ops, op{code: opStored, key: e.key, seq: e.seq}, op{code: opSet, entry: next})
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return s.commitLocked(ops...)
}
