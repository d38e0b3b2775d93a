package writeback

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// stranger begins an upload as another client does.
func (r *rig) stranger(key Key, part string) ossclient.UploadID {
	r.t.Helper()
	id := must(r.bucket.CreateUpload(r.t.Context(), ossclient.UploadRequest{Key: key}))(r.t)
	if part != "" {
		must(r.bucket.UploadPart(r.t.Context(), ossclient.PartRequest{Key: key, Upload: id, Number: 1, Body: stringReader(part), Size: int64(len(part))}))(r.t)
	}
	return id
}

func (r *rig) uploads() []ossclient.UploadID {
	var list []ossclient.UploadID
	for _, u := range r.server.Uploads(ossservertest.Bucket) {
		list = append(list, ossclient.UploadID(u.ID))
	}
	return list
}

// clocked is a Bucket with a clock of its own, that the test sets.
type clocked struct {
	Bucket
	now func() time.Time
}

func (c *clocked) Now() time.Time { return c.now() }

// An upload that was being begun when the process died is given up by the next; those of others are not: to other
// keys, with parts, or begun at another time.
func TestUploadBegunAtTheKill(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	u := newSlowUploads(r)
	s := r.open()
	answered := sync.OnceFunc(func() { close(u.answer) })
	t.Cleanup(answered) // before the Store is closed, which waits for it
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte(noise(3<<20, 1)), 0); err != nil {
		t.Fatal(err)
	}
	<-u.made
	killed := mem.Killed()
	orphan := r.uploads()
	others := []ossclient.UploadID{r.stranger("big", "a part"), r.stranger("bigger", ""), r.stranger("bi", "")}
	r.opt.Disk, r.opt.Bucket = killed, r.bucket
	next, err := Open(t.Context(), r.opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(orphan) != 1 {
		t.Fatalf("the bucket has the uploads %q", orphan)
	}
	r.until("the upload is given up", func() bool { return !slices.Contains(r.uploads(), orphan[0]) })
	late := r.stranger("big", "") // the request was repeated, and OSS got to it only now
	if err := next.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := r.uploads()
	if slices.Contains(left, late) {
		t.Errorf("the upload of the request's repetition is still there: %q", left)
	}
	for _, id := range others {
		if !slices.Contains(left, id) {
			t.Errorf("another client's upload %s was given up", id)
		}
	}
	answered()
	f.Release()
}

// Another client's upload without parts, begun long after the process died, is left alone; and after some time
// the intent is forgotten.
func TestUploadBegunLater(t *testing.T) {
	r := newRig(t)
	past := &clocked{r.bucket, func() time.Time { return time.Now().Add(-time.Hour) }}
	mem := disktest.New()
	r.opt.Disk, r.opt.Bucket = mem, past
	s := r.open()
	must(s.intend("big"))(t)
	r.opt.Disk, r.opt.Bucket = mem.Killed(), r.bucket
	other := r.stranger("big", "")
	r.open().waitIntents(t)
	if left := r.uploads(); !slices.Contains(left, other) {
		t.Error("another client's upload was given up")
	}
}

// waitIntents returns when none is left: Open looks in the background.
func (s *Store) waitIntents(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	for {
		s.mu.RLock()
		n := len(s.v.intents)
		s.mu.RUnlock()
		if n == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d intents are left", n)
		}
		runtime.Gosched()
	}
}

// doubtful is a Bucket whose answers to InitiateMultipartUpload are lost once.
type doubtful struct {
	Bucket
	made chan ossclient.UploadID
}

func (d *doubtful) CreateUpload(ctx context.Context, q ossclient.UploadRequest) (ossclient.UploadID, error) {
	id, err := d.Bucket.CreateUpload(ctx, q)
	select {
	case d.made <- id:
		q.Doubt()
		return d.Bucket.CreateUpload(ctx, q)
	default:
		return id, err
	}
}

// An upload whose answer was lost in a living process is given up, and the one that was begun instead is used.
func TestUploadWhoseAnswerWasLost(t *testing.T) {
	r := newRig(t)
	d := &doubtful{r.bucket, make(chan ossclient.UploadID, 1)}
	r.opt.Bucket, r.opt.Delay = d, time.Hour
	s := r.open()
	content := noise(3<<20, 1)
	r.write(s, "big", content)
	r.flush(s)
	r.want("big", content)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.made) != 1 {
		t.Error("no answer was lost")
	}
	r.noUploads()
}

// meanwhile is a Bucket in which something happens before the uploads are listed.
type meanwhile struct {
	Bucket
	once sync.Once
	do   func()
}

func (m *meanwhile) ListUploads(ctx context.Context, prefix Key) iter.Seq2[ossclient.Upload, error] {
	m.once.Do(m.do)
	return m.Bucket.ListUploads(ctx, prefix)
}

// An upload to the same key that is begun while it is looked for one whose answer was lost is not given up: neither
// one that the journal knows, nor one that is just getting its name.
func TestUploadBegunWhileLookedFor(t *testing.T) {
	for _, named := range []bool{true, false} {
		r := newRig(t)
		m := &meanwhile{Bucket: r.bucket}
		r.opt.Bucket = m
		s := r.open()
		in := must(s.intend("big"))(t)
		var begun ossclient.UploadID
		m.do = func() {
			if begun = r.stranger("big", ""); named {
				if err := s.commitOps(op{code: opUpload, stage: 99, upload: &upload{key: "big", id: begun, parts: make(map[int]sentPart)}}); err != nil {
					t.Error(err)
				}
				return
			}
			must(s.intend("big"))(t)
		}
		s.mu.Lock()
		in.busy, in.until = false, time.Now().UnixNano()
		s.mu.Unlock()
		s.settleIntent(t.Context(), in)
		if left := r.uploads(); !slices.Contains(left, begun) {
			t.Errorf("known to the journal: %v: it was given up", named)
		}
	}
}

// As long as an upload of the same key is just getting its name it cannot be said which is whose: it is looked again, and then the one whose answer
// was lost is given up.
func TestUploadIsLookedForAgain(t *testing.T) {
	r := newRig(t)
	b := &listed{Bucket: r.bucket}
	r.opt.Bucket = b
	s := r.open()
	lost := r.stranger("big", "")
	in, other := must(s.intend("big"))(t), must(s.intend("big"))(t)
	s.mu.Lock()
	in.busy, in.until = false, time.Now().UnixNano()
	s.mu.Unlock()
	b.before = func(n int32) {
		if n < 2 {
			return
		}
		s.mu.Lock()
		other.busy = false
		s.mu.Unlock()
	}
	s.settleIntents(t.Context(), []*intent{in})
	if left := r.uploads(); slices.Contains(left, lost) {
		t.Errorf("looked %d times, and it is still there: %q", b.n.Load(), left)
	}
}

// listed is a Bucket in which something happens before uploads are listed for the n-th time; a Store that is closed lists for
// several keys at once.
type listed struct {
	Bucket
	n      atomic.Int32
	before func(n int32)
}

func (b *listed) ListUploads(ctx context.Context, prefix Key) iter.Seq2[ossclient.Upload, error] {
	b.before(b.n.Add(1))
	return b.Bucket.ListUploads(ctx, prefix)
}
