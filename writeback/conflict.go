package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// ConflictError says that an object was changed by another client since the version a change is based on.
type ConflictError struct {
	Key  Key
	Base ossclient.Version // what the change was made of; ETag "": nothing
	Now  ossclient.Version // what the bucket has
}

// Error names both versions.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("writeback: %q was changed by another client: expected ETag %q, found %q", e.Key, e.Base.ETag, e.Now.ETag)
}

// Is makes it an ErrPrecondition.
func (e *ConflictError) Is(target error) bool { return target == ossclient.ErrPrecondition }

// mayOverwrite looks whether the bucket still has what the state is based on. Exclusive: there was
// nothing, and the request that stores the object shall see to it that there still is.
func (s *Store) mayOverwrite(ctx context.Context, e *entry) (exclusive bool, err error) {
	if !e.has(flagSuspect) && (s.opt.OnConflict == Overwrite || e.has(flagUnknown) && e.isDir()) {
		return false, nil
	}
	if !e.known() {
		return true, nil
	}
	now, err := s.bucket.Head(ctx, e.key)
	switch {
	case errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err):
		return true, nil
	case err != nil:
		return false, err
	case now.ETag != e.base.ETag:
		return false, &ConflictError{Key: e.key, Base: *e.base, Now: now.Version}
	}
	return false, nil
}

// lost looks at the error of sending a state: when the reason is that another client changed the object,
// it does what the Options say.
func (s *Store) lost(ctx context.Context, e *entry, f *File, err error) error {
	if _, stored := ossclient.StoredSum(err); stored || errors.Is(err, ossclient.ErrCorrupt) {
		return errors.Join(err, s.spoiled(e, f, err), s.rotten(e, f))
	}
	conflict := errors.As(err, new(*ConflictError)) || errors.Is(err, ossclient.ErrExist) || errors.Is(err, ossclient.ErrPrecondition) ||
		errors.As(err, new(*ossclient.Error)) && errors.Is(err, ossclient.ErrNotExist) && noSuchKey(err) // else it is a staged file
	if !conflict {
		return err
	}
	now, herr := s.bucket.Head(ctx, e.key)
	if errors.Is(herr, ossclient.ErrNotExist) && noSuchKey(herr) {
		return s.orphaned(ctx, e, f, err)
	}
	if herr != nil {
		return herr
	}
	s.mu.RLock()
	tried := s.tried[e.key]
	s.mu.RUnlock()
	if tried == nil {
		tried = e.trial
	}
	own, oerr := s.ours(e, f)
	switch {
	case oerr != nil:
		return oerr
	case own.is(&now), tried.is(&now) && tried.seq == e.seq: // the answer to an earlier request was lost; attributes may differ
		return s.confirmSame(ctx, e, f, now)
	case e.known() && e.base.ETag == now.ETag:
		return errors.Join(errUnchanged, err)
	case s.sentBefore(e, &now): // an earlier state of ours: this one may follow it
		return s.follow(e, f, now.Version)
	}
	switch {
	case s.opt.OnConflict == Fail:
		return &ConflictError{Key: e.key, Base: e.version(), Now: now.Version}
	case s.holed(e.stage):
		return s.keepTheirs(ctx, e, f, now)
	}
	return s.keepBoth(e, f, now)
}

// spoiled notes that the bucket has, instead of what was sent, bytes that came wrong to it. The next attempt knows
// them by their checksum, and overwrites them and nothing else.
func (s *Store) spoiled(e *entry, f *File, err error) error {
	sum, known := ossclient.StoredSum(err)
	if !known {
		return nil // refused: the bucket has what it had
	}
	whole := f == nil
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		whole = len(f.missingLocked(0, f.size)) == 0
	}
	s.change.Lock()
	defer s.change.Unlock()
	cur := s.get(e.key)
	if cur == nil {
		return nil
	}
	next := cur.clone()
	next.trial = (&trial{size: e.size, sum: sum}).over(next.trial)
	if whole && (f == nil || next.stage == f.stage) { // the base is gone, and not needed
		next.base, next.edit = nil, nil
		next.flags &^= flagPart
		if f != nil {
			f.withoutBaseLocked()
		}
	}
	return s.commitLocked(op{code: opSet, entry: next})
}

// rotten looks whether bytes came wrong to the bucket because the local disk gives back others than were written: sending them
// again would be no better.
func (s *Store) rotten(e *entry, f *File) error {
	if f == nil || !e.has(flagSum) {
		return nil
	}
	sum, err := sumOf(content{f, 0, f.sent}, e.size)
	if err != nil || sum == e.sum {
		return nil
	}
	s.log.Error("the local disk gives back other bytes than were written", "key", string(e.key), "file", stageName(e.stage))
	return errDamaged
}

// confirmSame ends the sending of content that the bucket has.
func (s *Store) confirmSame(ctx context.Context, e *entry, f *File, now ossclient.Object) error {
	var number uint64
	var ended []op
	if s.completedAs(e, &now) != nil { // in one record, as in completed; it may have been another that was completed, and this one be still there
		number, ended = s.unwanted(e.stage)
	}
	c := Confirmation{Key: e.key, Object: now, Exact: true}
	a := e.attributes()
	want := metadata(e.key, &a)
	if !stands(&now, want, a.StorageClass) {
		var err error
		if c, err = s.copyWith(ctx, now.Version, e.key, want, cmp.Or(a.StorageClass, now.StorageClass), false); err != nil {
			return err
		}
	}
	c.Attr, c.Target = a, e.body
	err := s.confirm(e, f, c, ended...)
	if err == nil && number != 0 {
		s.dropUpload(number)
	}
	return err
}

// stands says whether an object has what is to be stored with it, in the storage class that was asked for, if one was.
func stands(o *ossclient.Object, m ossclient.Metadata, class string) bool {
	return packOf(o.Metadata) == packOf(m) && (class == "" || class == o.StorageClass)
}

func packOf(m ossclient.Metadata) string {
	a := attr.FromMetadata(m)
	return packAttr(&a)
}

// ours is the content to be stored, when all of it is here.
func (s *Store) ours(e *entry, f *File) (*trial, error) {
	switch {
	case e.kind != Content:
		return nil, nil
	case f == nil:
		return &trial{seq: e.seq, size: e.size, sum: crc.Update(0, []byte(e.body))}, nil
	case e.has(flagSum):
		return &trial{seq: e.seq, size: e.size, sum: e.sum}, nil
	}
	f.mu.RLock()
	whole := len(f.missingLocked(0, e.size)) == 0 && f.f != nil
	f.mu.RUnlock()
	if !whole {
		return nil, nil
	}
	sum, err := sumOf(content{f, 0, f.sent}, e.size)
	return &trial{seq: e.seq, size: e.size, sum: sum}, err
}

// follow makes the state one that follows what the bucket has.
func (s *Store) follow(e *entry, f *File, v ossclient.Version) error {
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	s.change.Lock()
	defer s.change.Unlock()
	cur := s.get(e.key)
	if cur == nil {
		return nil
	}
	next := cur.clone()
	next.base, next.trial = baseOf(v), nil
	next.flags &^= next.settledBy()
	s.mu.Lock()
	delete(s.tried, e.key)
	s.mu.Unlock()
	if err := s.commitLocked(op{code: opSet, entry: next}); err != nil {
		return err
	}
	s.recent.note(e.key, cur.base, v) // who looked before comes with the one that it replaced
	if f != nil {
		f.base = next.base
	}
	return errAgain
}

// orphaned goes on after another client deleted the object that a state is based on. The bytes of an edit that were
// not staged are gone, and nothing can bring them back.
func (s *Store) orphaned(ctx context.Context, e *entry, f *File, err error) error {
	if e.edit != nil {
		return s.renewed(ctx, e, f, err)
	}
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	s.change.Lock()
	defer s.change.Unlock()
	cur := s.get(e.key)
	if cur == nil || cur.base == nil {
		return err
	}
	next := cur.clone()
	next.base = nil
	if err := s.commitLocked(op{code: opSet, entry: next}); err != nil {
		return errors.Join(errAgain, err)
	}
	if f != nil && next.stage == f.stage { // it was whole here, and what is written to it is no edit of what is gone
		f.withoutBaseLocked()
	}
	return errAgain
}

// renewed goes on with an edit that is kept beside the object that its other bytes are in, when that was changed once more: they are as in what
// is there now.
func (s *Store) renewed(ctx context.Context, e *entry, f *File, err error) error {
	if e.base == nil || e.known() {
		return err
	}
	now, herr := s.bucket.Head(ctx, e.base.Key)
	switch {
	case errors.Is(herr, ossclient.ErrNotExist) && noSuchKey(herr), herr == nil && now.ETag == e.base.ETag:
		return err
	case herr != nil:
		return herr
	}
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	s.change.Lock()
	defer s.change.Unlock()
	cur := s.get(e.key)
	if cur == nil || cur.edit == nil {
		return errAgain
	}
	next := cur.clone()
	if err := f.giveBaseLocked(next, now.Version); err != nil {
		return err
	}
	if err := s.commitLocked(op{code: opSet, entry: next}); err != nil {
		return err
	}
	f.takeBaseLocked(next)
	return errAgain
}

// giveBaseLocked makes a state, which is about to be journaled, one of which what was not written to is as in v. It needs f.mu.
func (f *File) giveBaseLocked(e *entry, v ossclient.Version) error {
	if e.edit == nil {
		return nil
	}
	e.base = &v
	e.edit = &edit{dirty: e.edit.dirty, limit: min(e.edit.limit, v.Size)} // the dirty bytes, and so their sum, stay
	if e.stage != f.number() {
		return nil
	}
	return f.dropCleanLocked(e.edit.limit)
}

// takeBaseLocked has the File be made of what its state, which was journaled, is. It needs f.mu.
func (f *File) takeBaseLocked(e *entry) {
	if f == nil {
		return
	}
	f.base, f.fill = e.base, nil
	if e.edit != nil {
		f.limit = e.edit.limit
		f.zeroLocked()
	}
}

// errUnchanged says that the bucket has the object that a state is based on, though it refused what was sent: another client changed it,
// and back. It passes.
var errUnchanged = errors.New("writeback: the object is as it was")

// errAgain says that the state was changed so that the next attempt can succeed.
var errAgain = errors.New("writeback: to be sent again")

// keepBoth leaves what the bucket has, and gives our state another key. Who has it open goes there with it.
func (s *Store) keepBoth(e *entry, f *File, now ossclient.Object) error {
	s.tell(Confirmation{Key: e.key, Object: now, Foreign: true, Exact: true, Attr: attr.FromMetadata(now.Metadata)})
	moved, err := s.giveWay(e, f, now)
	if moved != nil {
		s.opt.Beside(e.key, moved, moved.edits())
	}
	return err
}

// edits says whether bytes of the File are those of an object.
func (f *File) edits() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.base != nil
}

// giveWay has a state, and the File that is open of it, leave its key to what another client has stored there.
func (s *Store) giveWay(e *entry, f *File, now ossclient.Object) (moved *File, err error) {
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	s.change.Lock()
	defer s.change.Unlock()
	to := s.besideLocked(e.key)
	cur := s.get(e.key)
	if cur == nil || cur.kind != Content {
		return nil, nil
	}
	next := cur.under(to)
	next.seq, next.base, next.trial = s.nextSeqLocked(), nil, nil
	next.flags &^= flagUnknown | flagSuspect
	next.after = true // a loss of power would have it kept once more, under another name
	if err := f.giveBaseLocked(next, now.Version); err != nil {
		return nil, err
	}
	if err := s.commitLocked(op{code: opSet, entry: next}, op{code: opDel, key: e.key, moved: true}); err != nil {
		return nil, err
	}
	f.takeBaseLocked(next)
	s.mu.Lock()
	delete(s.tried, e.key) // nothing of ours is there: what is removed or made there next is of theirs
	s.mu.Unlock()
	moved = s.rekey(e.key, to)
	s.conflicts.Add(1)
	s.log.Warn("changed by another client; ours is kept beside it", "key", string(e.key), "ours", string(to))
	s.loop.changed(next, 0)
	return moved, nil
}

// keepTheirs gives what the bucket has another key, by a copy, and has our state take its place: parts of ours are in an upload alone,
// which can be completed under its own key and no other.
func (s *Store) keepTheirs(ctx context.Context, e *entry, f *File, now ossclient.Object) error {
	if err := s.keepAside(ctx, &now); err != nil {
		return err
	}
	return s.follow(e, f, now.Version)
}

// rekey gives the File of a key to another; nil when there is none. It needs change.
func (s *Store) rekey(from, to Key) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.live[to]; old != nil {
		old.detached = true
		delete(s.live, to)
	}
	f := s.live[from]
	if f != nil {
		f.key = to
		delete(s.live, from)
		s.live[to] = f
	}
	return f
}

// besideLocked is a key beside another that no state has, and none had. It needs change.
func (s *Store) besideLocked(key Key) Key {
	at := time.Now()
	if !at.After(s.aside) {
		at = s.aside
	}
	s.aside = at.Add(time.Millisecond) // what the name tells apart
	return conflictKey(key, s.opt.Host, at)
}

// conflictKey is name.conflict-HOST-TIME, shortened where the key would be longer than OSS takes.
func conflictKey(key Key, host string, now time.Time) Key {
	const longest = 1023
	host = strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, host)
	suffix := ".conflict-" + host + "-" + now.UTC().Format("20060102T150405.000Z")
	dir, name := path.Split(string(key))
	for len(name) > 1 && (len(dir)+len(name)+len(suffix) > longest || len(name)+len(suffix) > 255) {
		name = name[:len(name)-1]
	}
	return Key(dir + strings.ToValidUTF8(name, "") + suffix)
}

// noSuchKey says whether an ErrNotExist means the object, and not the bucket.
func noSuchKey(err error) bool {
	var e *ossclient.Error
	return !errors.As(err, &e) || e.Code != "NoSuchBucket" && e.Code != "NoSuchUpload"
}

// noSuchUpload says whether OSS does not know an upload any more.
func noSuchUpload(err error) bool { return hasCode(err, "NoSuchUpload") }

// invalidPart says whether a part of an upload is not the one that OSS was told of.
func invalidPart(err error) bool { return hasCode(err, "InvalidPart") }

func hasCode(err error, code string) bool {
	var e *ossclient.Error
	return errors.As(err, &e) && e.Code == code
}

// permanent says whether sending again cannot help by itself.
func permanent(err error) bool {
	if errors.Is(err, errUnchanged) {
		return false
	}
	for _, kind := range []error{errDamaged, ossclient.ErrPermission, ossclient.ErrInvalid, ossclient.ErrQuota, ossclient.ErrPrecondition, ossclient.ErrArchived,
		ossclient.ErrUnsupported, ossclient.ErrNotExist, ossclient.ErrExist, ossclient.ErrRange, ossclient.ErrNotAppendable} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
