package writeback

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// sendParts stores content with a multipart upload: the one that was begun while the file was written, or by
// an earlier attempt, as far as it is still of use.
func (s *Store) sendParts(ctx context.Context, e *entry, f *File) error {
	if err := f.seal(ctx, e.size); err != nil {
		return err
	}
	defer f.unseal()
	if e.edit != nil {
		defer s.passing.forget(e.stage)
	}
	exclusive, err := s.mayOverwrite(ctx, e)
	if err != nil {
		return s.lost(ctx, e, f, err)
	}
	u, err := s.uploadFor(ctx, e)
	if err != nil {
		return err
	}
	parts, err := s.sendPieces(ctx, e, f, u)
	var r ossclient.PutResult
	if err == nil {
		err = f.sent.overtaken()
	}
	if err == nil {
		if sum, size, known := sumOfParts(parts); known {
			err = s.noteCompletion(e, u, &trial{seq: e.seq, size: size, sum: sum})
		}
	}
	if err == nil {
		r, err = s.bucket.CompleteUpload(ctx, ossclient.CompleteRequest{Key: u.key, Upload: u.id, Parts: parts, NoOverwrite: exclusive, ACL: s.opt.NewObjects.ACL})
	}
	if err != nil {
		return s.partsFailed(ctx, e, f, u, err)
	}
	return s.completed(ctx, e, f, u, r)
}

// uploadFor is the upload that the parts of a state belong to.
func (s *Store) uploadFor(ctx context.Context, e *entry) (*upload, error) {
	s.mu.RLock()
	u := s.v.uploads[e.stage]
	s.mu.RUnlock()
	if u != nil && e.edit == nil && u.base == "" && u.key == e.key {
		return u, nil
	}
	if u != nil && s.holed(e.stage) {
		return nil, ErrLost // cannot be: content with holes is not renamed
	}
	if u != nil {
		if err := s.disown(e.stage, u); err != nil {
			return nil, err
		}
	}
	return s.createUpload(ctx, e)
}

// sendPieces sends what the upload does not have yet.
func (s *Store) sendPieces(ctx context.Context, e *entry, f *File, u *upload) ([]ossclient.Part, error) {
	s.mu.RLock()
	pieces := s.plan(e.size, e.edit, u.parts)
	s.mu.RUnlock()
	parts := make([]ossclient.Part, len(pieces))
	g, gctx := errgroup.WithContext(ctx)
	for i, p := range pieces {
		s.mu.RLock()
		sent, ok := u.parts[i+1]
		s.mu.RUnlock()
		if ok && sent.off == p.off && sent.Size == p.n && s.trusted(e, f, sent) {
			parts[i] = sent.Part
			continue
		}
		if s.partToken(gctx) != nil {
			break
		}
		g.Go(func() error {
			defer s.partDone()
			var err error
			parts[i], err = s.sendPiece(gctx, e, f, u, i+1, p)
			return err
		})
	}
	return parts, errors.Join(g.Wait(), ctx.Err())
}

// trusted says whether a part that was sent has the bytes that are staged: after a loss of power that is
// not sure.
func (s *Store) trusted(e *entry, f *File, p sentPart) bool {
	if !e.has(flagSuspect) || p.punched {
		return true
	}
	sum, err := sumOf(content{f, p.off, nil}, p.Size)
	return err == nil && p.HasCRC64 && sum == p.CRC64
}

// sendPiece makes one part.
func (s *Store) sendPiece(ctx context.Context, e *entry, f *File, u *upload, number int, p piece) (ossclient.Part, error) {
	if p.copied && e.base == nil {
		return ossclient.Part{}, ErrLost
	}
	if p.copied {
		return s.copyPart(ctx, u, ossclient.CopyPartRequest{Number: number, Source: *e.base, Offset: p.off, Length: p.n})
	}
	if err := f.complete(ctx, p.off, p.off+p.n); err != nil {
		return ossclient.Part{}, err
	}
	if e.edit == nil {
		return f.fly(ctx, number, p)
	}
	// Another attempt may cut it otherwise: the part is not journaled, and passes until all have arrived.
	body := s.passing.begin(e.stage, content{f, p.off, f.sent})
	part, err := s.uploadPart(ctx, u, ossclient.PartRequest{Number: number, Body: body, Size: p.n})
	if err != nil {
		s.passing.end(e.stage, body)
	}
	return part, err
}

// sumOfParts is the checksum and the size of the object they make.
func sumOfParts(parts []ossclient.Part) (sum uint64, size int64, known bool) {
	known = true
	for _, p := range parts {
		known = known && p.HasCRC64
		sum = crc.Combine(sum, p.CRC64, p.Size)
		size += p.Size
	}
	return sum, size, known
}

// partsFailed decides what becomes of an upload that was not completed.
func (s *Store) partsFailed(ctx context.Context, e *entry, f *File, u *upload, err error) error {
	if noSuchUpload(err) { // it has expired, or was completed: then the bucket has what was tried
		now, herr := s.bucket.Head(ctx, e.key)
		var past *trial
		if herr == nil {
			past = s.completedAs(e, &now)
		}
		switch {
		case herr == nil && s.wasTried(e, &now):
			return s.confirmSame(ctx, e, f, now)
		case past != nil:
			return s.confirmPast(e, f, now, past)
		case herr != nil && !errors.Is(herr, ossclient.ErrNotExist):
			return herr // it may have all that was sent
		}
		if s.holed(e.stage) {
			return errors.Join(ErrLost, err)
		}
		return errors.Join(errAgain, s.noteUploaded(e.stage))
	}
	if invalidPart(err) { // a late request of an attempt that was cut off has replaced one
		if !s.holed(e.stage) {
			return errors.Join(errAgain, s.disown(e.stage, u))
		}
		if again, jerr := s.distrust(e.stage, u); again || jerr != nil {
			return errors.Join(errAgain, jerr)
		}
	}
	transient := !permanent(err) || errors.Is(err, ossclient.ErrCanceled)
	if transient && e.edit == nil && !errors.Is(err, ossclient.ErrCorrupt) {
		return err // the parts are used by the next attempt
	}
	lerr := s.lost(ctx, e, f, err)
	if s.get(e.key) == nil || !s.holed(e.stage) {
		if derr := s.disown(e.stage, u); derr != nil {
			return errors.Join(lerr, derr)
		}
	}
	return lerr
}

// distrust forgets, once, the parts of an upload that can be sent again, where it cannot be given up. What is nowhere but in
// the upload was never written to again, so that a late request can only have had the same bytes.
func (s *Store) distrust(stage uint64, u *upload) (again bool, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	var ops []op
	if s.v.uploads[stage] == u && !u.distrusted {
		for _, p := range u.parts {
			if !p.punched {
				ops = append(ops, op{code: opPart, stage: stage, part: sentPart{Part: ossclient.Part{Number: p.Number}}})
			}
		}
	}
	s.mu.RUnlock()
	if len(ops) == 0 {
		return false, nil
	}
	if err := s.commitLocked(ops...); err != nil {
		return false, err
	}
	u.distrusted = true
	return true, nil
}

// noteCompletion journals what an upload is about to be completed as.
func (s *Store) noteCompletion(e *entry, u *upload, t *trial) error {
	s.mu.RLock()
	tried := t.over(u.tried)
	s.mu.RUnlock()
	return s.noteTrial(e, t, op{code: opTried, stage: e.stage, tried: tried})
}

// completedAs is the state that an object was made of by the upload of a staged file; nil: it is another's.
func (s *Store) completedAs(e *entry, o *ossclient.Object) *trial {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.v.uploads[e.stage]
	if u == nil || u.key != e.key {
		return nil
	}
	t := u.tried.find(o)
	for _, p := range u.parts {
		if t != nil && p.punched && p.off+p.Size > t.size {
			return nil // sent after it: a late request has left it out
		}
	}
	return t
}

// confirmPast goes on with a state whose upload was completed as an earlier one, of which nobody heard: it is a change of the
// object so made, which has what was given up in the stage.
func (s *Store) confirmPast(e *entry, f *File, now ossclient.Object, t *trial) error {
	past := e.clone()
	past.seq, past.size = t.seq, t.size
	c := Confirmation{Key: e.key, Object: now, Exact: true, Attr: attr.FromMetadata(now.Metadata)}
	return errors.Join(errAgain, s.confirm(past, f, c, op{code: opUploaded, stage: e.stage}))
}

// wasTried says whether an object is what this very state was sent as.
func (s *Store) wasTried(e *entry, o *ossclient.Object) bool {
	s.mu.RLock()
	tried := s.tried[e.key]
	s.mu.RUnlock()
	if tried == nil {
		tried = e.trial
	}
	return tried.is(o) && tried.seq == e.seq
}

// holed says whether bytes of a staged file are nowhere but in its upload.
func (s *Store) holed(stage uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.holedLocked(stage)
}

func (s *Store) holedLocked(stage uint64) bool {
	if u := s.v.uploads[stage]; u != nil {
		for _, p := range u.parts {
			if p.punched {
				return true
			}
		}
	}
	return false
}

// disown takes an upload away from a staged file, which may begin another. It is known, by a number that no file has, until
// it was given up.
func (s *Store) disown(stage uint64, u *upload) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	current := s.v.uploads[stage]
	s.mu.RUnlock()
	if current != u {
		return nil // ended by somebody else
	}
	number, ops := s.unwantedLocked(stage, u)
	if err := s.commitLocked(ops...); err != nil {
		return err
	}
	s.dropUpload(number)
	return nil
}

// unwantedLocked are the ops that give an upload of a staged file a number that no file has. It needs change.
func (s *Store) unwantedLocked(stage uint64, u *upload) (number uint64, ops []op) {
	s.lastStage++
	unwanted := &upload{key: u.key, id: u.id, attr: u.attr, begun: u.begun, base: u.base, tried: u.tried, parts: make(map[int]sentPart)}
	return s.lastStage, []op{{code: opUploaded, stage: stage}, {code: opUpload, stage: s.lastStage, upload: unwanted}}
}

// unwanted is unwantedLocked for the upload of a staged file, if it has one.
func (s *Store) unwanted(stage uint64) (number uint64, ops []op) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	u := s.v.uploads[stage]
	s.mu.RUnlock()
	if u == nil {
		return 0, nil
	}
	return s.unwantedLocked(stage, u)
}

// How long it takes until an upload that could not be given up is tried again; each time it is twice as long.
const (
	dropAgain = time.Second
	dropMost  = 10 * time.Minute
)

// dropUpload has the upload of a number that is of no file, or of none that is wanted, given up in the background.
func (s *Store) dropUpload(number uint64) {
	s.spawn(func() {
		for wait := dropAgain; s.abandon(s.ctx, number) != nil; wait = min(2*wait, dropMost) {
			select {
			case <-time.After(wait):
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// abandon gives up the upload of a number. What remains known after an error is tried again by Close, and by the next Open.
func (s *Store) abandon(ctx context.Context, number uint64) error {
	s.mu.RLock()
	u := s.v.uploads[number]
	s.mu.RUnlock()
	if u == nil {
		return nil
	}
	if err := s.abort(ctx, u); err != nil {
		s.log.Warn("a multipart upload was not given up; it is tried again, by the next mount too", "key", string(u.key), "upload", string(u.id), "error", err)
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	current := s.v.uploads[number]
	s.mu.RUnlock()
	if current != u {
		return nil // ended by somebody else
	}
	if err := s.commitLocked(op{code: opUploaded, stage: number}); err != nil {
		s.log.Error("the end of an upload was not journaled", "key", string(u.key), "error", err)
	}
	return nil
}

// abortWithin is how long it is tried to give an upload up: Close waits for it.
const abortWithin = 5 * time.Second

// abort gives an upload up, also when ctx has ended.
func (s *Store) abort(ctx context.Context, u *upload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	return s.bucket.AbortUpload(ctx, u.key, u.id)
}

// forgotten are the staged files whose upload is known, and whose content is not pending any more. The
// uploads of pending content are gone on with, by the next process if need be.
func (s *Store) forgotten() []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	used := make(map[uint64]bool)
	s.v.tree.Scan(func(_ Key, e *entry) bool {
		used[e.stage] = true
		return true
	})
	var stages []uint64
	for stage := range s.v.uploads {
		if !used[stage] {
			stages = append(stages, stage)
		}
	}
	return stages
}

// abandonAll gives up the uploads of some staged files; after abortWithin it begins with no more of them.
func (s *Store) abandonAll(stages []uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), abortWithin)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(partsAtOnce)
	for _, stage := range stages {
		g.Go(func() error {
			if ctx.Err() == nil {
				_ = s.abandon(ctx, stage) // it has told what it could not do
			}
			return nil
		})
	}
	_ = g.Wait() // no error is returned
}

func (s *Store) noteUploaded(stage uint64) error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.commitLocked(op{code: opUploaded, stage: stage})
}

// completed goes on after the upload has become an object: it may have been begun with other attributes.
func (s *Store) completed(ctx context.Context, e *entry, f *File, u *upload, r ossclient.PutResult) error {
	a := e.attributes()
	m := metadata(e.key, &a)
	ended := op{code: opUploaded, stage: e.stage}
	if u.attr != e.attr {
		c, err := s.copyWith(ctx, r.Version, e.key, m, a.StorageClass, false)
		if err != nil {
			return err
		}
		c.Attr = a
		return s.confirm(e, f, c, ended)
	}
	// In one record: where nothing says that parts are in the upload alone, holes would be taken for bytes of the file.
	return s.stored(e, f, r, ossclient.Multipart, m, ended)
}

func (s *Store) partToken(ctx context.Context) error {
	select {
	case s.parts <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) partDone() { <-s.parts }
