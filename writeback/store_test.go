package writeback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// enough is how long is waited for what comes at once on a machine that has nothing else to do.
const enough = time.Minute

type static struct{}

func (static) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}, nil
}

// rig is a server, a client and the options of Stores.
type rig struct {
	t      testing.TB
	server *ossservertest.Server
	bucket *ossclient.Bucket
	opt    Options

	mu        sync.Mutex
	confirmed []Confirmation
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, server: ossservertest.NewTest(t, ossserver.Options{})}
	b, err := ossclient.Open(t.Context(), ossclient.Config{Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: r.server.Endpoint,
		Addressing: "path", Credentials: static{}, RetryBudget: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	r.bucket = b
	r.opt = Options{Dir: t.TempDir(), Bucket: b, Delay: 10 * time.Millisecond, StageBudget: 1 << 30, SinglePut: 1 << 20, partFirst: 512 << 10, cell: 128 << 10, Host: "host", Confirmed: func(c Confirmation) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.confirmed = append(r.confirmed, c)
	}}
	if testing.Verbose() {
		r.opt.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

func (r *rig) open() *Store {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			r.t.Errorf("close: %v", err)
		}
	})
	return s
}

func (r *rig) body(key string) (string, bool) {
	r.t.Helper()
	b, ok, err := r.server.Content(ossservertest.Bucket, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b), ok
}

func (r *rig) want(key, content string) {
	r.t.Helper()
	got, ok := r.body(key)
	if !ok || got != content {
		r.t.Errorf("%s: the bucket has %d bytes (%v, %.40q), want %d bytes (%.40q)", key, len(got), ok, got, len(content), content)
	}
}

func (r *rig) version(key string) ossclient.Version {
	r.t.Helper()
	o, err := r.bucket.Head(r.t.Context(), Key(key))
	if err != nil {
		r.t.Fatal(err)
	}
	return o.Version
}

func (r *rig) put(key, content string) ossclient.Version {
	r.t.Helper()
	if err := r.server.Put(ossservertest.Bucket, key, []byte(content), http.Header{}); err != nil {
		r.t.Fatal(err)
	}
	return r.version(key)
}

func (r *rig) counts(want map[string]int64) {
	r.t.Helper()
	got := r.server.Counts()
	for op, n := range want {
		if got[op] != n {
			r.t.Errorf("%s: %d requests, want %d", op, got[op], n)
		}
	}
	for op, n := range got {
		if want[op] == 0 && n != 0 {
			r.t.Errorf("%s: %d requests, want none", op, n)
		}
	}
}

// write gives a key a content, in the place of what the Store has stored there, if anything.
func (r *rig) write(s *Store, key, content string) {
	r.t.Helper()
	f := must(s.Create(Key(key), fileAttr(), ossclient.Version{Key: Key(key)}))(r.t)
	if _, err := f.WriteAt(r.t.Context(), []byte(content), 0); err != nil {
		r.t.Fatal(err)
	}
	r.close(f)
}

func (r *rig) close(f *File) {
	r.t.Helper()
	if err := f.Commit(); err != nil {
		r.t.Fatal(err)
	}
	f.Release()
}

func (r *rig) flush(s *Store) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), enough)
	defer cancel()
	if err := s.Flush(ctx, "", nil); err != nil {
		r.t.Fatalf("flush: %v; status %+v", err, s.Status())
	}
}

// refuse has the bucket take nothing, so that what is recovered stays to be looked at.
func (r *rig) refuse() {
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func fileAttr() attr.Attr {
	var a attr.Attr
	a.SetMode(attr.TypeFile | 0o644)
	a.SetOwner(1, 2)
	a.SetMtime(time.Unix(1700000000, 5))
	return a
}

func noise(n int, seed uint64) string {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(b)
	return string(b)
}

// What rsync does to each file is one PutObject to the last name with the last attributes.
func TestOnePutAFile(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	f := must(s.Create("d/.f.XXXX", fileAttr(), ossclient.Version{}))(t)
	for i, part := range []string{"hello, ", "world"} {
		if _, err := f.WriteAt(t.Context(), []byte(part), int64(i*7)); err != nil {
			t.Fatal(err)
		}
	}
	r.close(f)
	if err := s.Rename(t.Context(), "d/.f.XXXX", "d/f.txt", RenameSource{}, Seen{}); err != nil {
		t.Fatal(err)
	}
	a := fileAttr()
	a.SetMode(attr.TypeFile | 0o600)
	if err := s.SetAttr("d/f.txt", Seen{}, Rest{}, a); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("d/", fileAttr(), "", ossclient.Version{}); err != nil {
		t.Fatal(err)
	}
	st, ok := s.Lookup("d/f.txt")
	if !ok || st.Size != 12 || st.Attr.Mode != attr.TypeFile|0o600 {
		t.Errorf("lookup: %+v, %v", st, ok)
	}
	if items := s.Overlay("d/", "", 0); len(items) != 1 || items[0].Name != "f.txt" {
		t.Errorf("overlay: %+v", items)
	}
	r.flush(s)
	r.want("d/f.txt", "hello, world")
	r.counts(map[string]int64{"PutObject": 2})
	o, err := r.bucket.Head(t.Context(), "d/f.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := attr.FromMetadata(o.Metadata); got.Mode != a.Mode || !got.Mtime.Equal(a.Mtime) || got.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("stored attributes: %+v", got)
	}
	if _, ok := s.Lookup("d/f.txt"); ok {
		t.Error("still pending after the flush")
	}
	if len(r.confirmed) != 2 {
		t.Errorf("%d confirmations, want 2", len(r.confirmed))
	}
}

// Everything that was committed is there after the process died, and is sent.
func TestReopen(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	r.write(s, "a", "content of a")
	r.write(s, "gone", "x")
	if err := s.Remove("gone", Seen{}); err != nil {
		t.Fatal(err)
	}
	v := r.put("old", "old")
	if err := s.Remove("old", Seen{Version: v}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.opt.Delay = 0
	s = r.open()
	r.flush(s)
	r.want("a", "content of a")
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 1 {
		t.Errorf("the bucket has %q, want only a", keys)
	}
}

func TestTwoStoresOneDirectory(t *testing.T) {
	r := newRig(t)
	r.open()
	if _, err := Open(t.Context(), r.opt); err == nil {
		t.Error("a second store opened the directory")
	} else {
		t.Log(err)
	}
}

func TestEditSmall(t *testing.T) {
	r := newRig(t)
	s := r.open()
	v := r.put("f", "0123456789")
	r.server.ResetCounts()
	f := must(s.Edit("f", Seen{Version: v}, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte("ab"), 3); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 20)
	n, err := f.ReadAt(t.Context(), p, 0)
	if string(p[:n]) != "012ab56789" || err != io.EOF {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if err := f.Truncate(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("f", "012ab567")
}

func TestEditLarge(t *testing.T) {
	r := newRig(t)
	s := r.open()
	content := noise(4<<20, 1)
	v := r.put("f", content)
	r.server.ResetCounts()
	f := must(s.Edit("f", Seen{Version: v}, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte("abc"), 2<<20); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("f", content[:2<<20]+"abc"+content[2<<20+3:])
	in, out := r.server.Bytes()
	if in > 256<<10 || out > 256<<10 {
		t.Errorf("%d bytes sent, %d fetched", in, out)
	}
	t.Log(r.server.Counts())
}

func TestLarge(t *testing.T) {
	r := newRig(t)
	s := r.open()
	content := noise(5<<20, 1)
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	for off := 0; off < len(content); off += 1 << 16 {
		if _, err := f.WriteAt(t.Context(), []byte(content[off:off+1<<16]), int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	r.close(f)
	r.flush(s)
	r.want("big", content)
	r.counts(map[string]int64{"InitiateMultipartUpload": 1, "UploadPart": 10, "CompleteMultipartUpload": 1})
	if n := len(r.server.Uploads(ossservertest.Bucket)); n > 0 {
		t.Errorf("%d uploads left over", n)
	}
}

func TestRenameObject(t *testing.T) {
	r := newRig(t)
	s := r.open()
	v := r.put("a", "content")
	if err := s.Rename(t.Context(), "a", "b", RenameSource{Version: v}, Seen{}); err != nil {
		t.Fatal(err)
	}
	r.want("b", "content")
	if _, ok := r.body("a"); ok {
		t.Error("a is still there")
	}
}

func TestRenameTree(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	s := r.open()
	for _, name := range []string{"", "a", "b/c", "gone"} {
		r.put("d/"+name, "x"+name)
	}
	r.write(s, "d/new", "new")
	if err := s.Remove("d/gone", Seen{Version: r.version("d/gone")}); err != nil {
		t.Fatal(err)
	}
	if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); err != nil {
		t.Fatal(err)
	}
	r.want("e/", "x")
	r.want("e/b/c", "xb/c")
	r.flush(s)
	r.want("e/new", "new")
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 4 {
		t.Errorf("the bucket has %q", keys)
	}
}

// A directory that replaces an empty one does so whole, whenever the process is killed: there is always one of the name.
// SEMANTICS 6.2
func TestRenameTreeOverAnother(t *testing.T) {
	for _, pending := range []bool{false, true} {
		for k, more := 0, true; more; k++ {
			r := newRig(t)
			mem := disktest.New()
			r.opt.Disk, r.opt.Delay, r.opt.Bucket = mem, time.Hour, patient{r.bucket}
			s := must(Open(t.Context(), r.opt))(t) // it is not closed: it dies
			r.put("c/", "old")
			r.put("d/x", "x")
			if pending {
				if err := s.Put("d/", fileAttr(), "new", ossclient.Version{}); err != nil {
					t.Fatal(err)
				}
			} else {
				r.put("d/", "new")
			}
			ctx, stop := context.WithCancel(t.Context())
			mem.StopAt(k, stop)
			err := s.RenameTree(ctx, "d/", "c/", Seen{Version: r.version("c/")})
			s.cancel()
			s.wg.Wait()
			if more = mem.Stopped(); more == (err == nil) && err != nil {
				t.Fatalf("k=%d: %v", k, err)
			}
			r.opt.Disk = mem.Killed()
			next := r.open()
			_, pendingC := next.Lookup("c/")
			r.flush(next)
			marker, there := r.body("c/")
			_, before := r.body("d/x")
			_, after := r.body("c/x")
			if want := map[bool]string{true: "new", false: "old"}[after]; !there || marker != want || before == after {
				t.Errorf("pending=%v k=%d: the object of c/ is %q (%v, pending %v); x below d/: %v, below c/: %v", pending, k, marker, there, pendingC, before, after)
			}
			if !more && !after {
				t.Error("the rename has not happened")
			}
			stop()
		}
	}
}

func TestConflictKeepsBoth(t *testing.T) {
	r := newRig(t)
	s := r.open()
	v := r.put("f", "first")
	f := must(s.Create("f", fileAttr(), v))(t)
	if _, err := f.WriteAt(t.Context(), []byte("ours"), 0); err != nil {
		t.Fatal(err)
	}
	r.put("f", "theirs")
	r.close(f)
	r.put("g", "theirs, unexpected")
	r.write(s, "g", "ours too")
	r.flush(s)
	r.want("f", "theirs")
	r.want("g", "theirs, unexpected")
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != 4 {
		t.Errorf("the bucket has %q", keys)
	}
	if n := s.Status().Conflicts; n != 2 {
		t.Errorf("%d conflicts, want 2", n)
	}
}

// A permanent failure is told, keeps its data, and is tried again by Flush.
func TestPermanentFailure(t *testing.T) {
	r := newRig(t)
	s := r.open()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", KeyPrefix: "bad", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	r.write(s, "bad", "kept")
	r.write(s, "good", "sent")
	err := s.Sync(t.Context(), "bad")
	if !errors.Is(err, ossclient.ErrPermission) {
		t.Errorf("sync: %v, want a permission error", err)
	}
	if err := s.Sync(t.Context(), "good"); err != nil {
		t.Error(err)
	}
	if st := s.Status(); st.Failed != 1 || len(st.Failures) != 1 {
		t.Errorf("status: %+v", st)
	}
	var unsent *Unsent
	if err := s.Flush(t.Context(), "", nil); !errors.As(err, &unsent) || unsent.Count != 1 {
		t.Errorf("flush: %v", err)
	}
	r.server.SetFaults()
	r.flush(s)
	r.want("bad", "kept")
}

// A file larger than the whole stage can be written from start to end, read back meanwhile, and changed at
// its beginning.
func TestLargerThanTheStage(t *testing.T) {
	r := newRig(t)
	r.opt.StageBudget = 4 << 20
	s := r.open()
	content := []byte(noise(16<<20, 3))
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	for off := 0; off < len(content); off += 1 << 16 {
		if _, err := f.WriteAt(ctx, content[off:off+1<<16], int64(off)); err != nil {
			t.Fatalf("at %d: %v; %+v", off, err, s.Status())
		}
		if used := s.Status().StageUsed; used > r.opt.StageBudget {
			t.Fatalf("%d bytes staged, the budget is %d", used, r.opt.StageBudget)
		}
	}
	if n := r.server.Counts()["CompleteMultipartUpload"]; n != 0 {
		t.Errorf("completed %d times while it was written in order", n)
	}
	p := make([]byte, 1<<20)
	if n, err := f.ReadAt(ctx, p, 2<<20); err != nil || !bytes.Equal(p[:n], content[2<<20:3<<20]) {
		t.Errorf("read back: %d, %v", n, err)
	}
	copy(content[100:], "changed")
	if _, err := f.WriteAt(ctx, []byte("changed"), 100); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	r.flush(s)
	r.want("big", string(content))
	if n := len(r.server.Uploads(ossservertest.Bucket)); n > 0 {
		t.Errorf("%d uploads left over", n)
	}
	t.Log(r.server.Counts())
}

// Parts that were sent are not sent again by the next process.
func TestResumeUpload(t *testing.T) {
	r := newRig(t)
	s := r.open()
	content := noise(13<<19, 4)
	r.server.SetFaults(ossserver.Fault{Op: "UploadPart", Skip: 6, Kind: ossserver.Error500})
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	for off := 0; off < len(content); off += 1 << 16 {
		if _, err := f.WriteAt(t.Context(), []byte(content[off:off+1<<16]), int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	for len(s.overlapping(f.stage, 0, 1<<40)) < 6 {
		time.Sleep(time.Millisecond)
	}
	f.Release()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.server.SetFaults()
	second := &partsCounted{Bucket: r.bucket} // the server may still count a request that the first process gave up
	r.opt.Bucket = second
	s = r.open()
	r.flush(s)
	r.want("big", content)
	if n := second.parts.Load(); n != 7 {
		t.Errorf("%d parts were sent by the second process, want the 7 of 13 that the first did not send", n)
	}
}

// partsCounted counts the parts that are sent.
type partsCounted struct {
	*ossclient.Bucket
	parts atomic.Int64
}

func (b *partsCounted) UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error) {
	b.parts.Add(1)
	return b.Bucket.UploadPart(ctx, p)
}
