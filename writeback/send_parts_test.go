package writeback

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// uploading is a Bucket in which something happens once an upload is begun, and once its first part was read.
type uploading struct {
	Bucket
	begun, read func()
}

func (u *uploading) CreateUpload(ctx context.Context, q ossclient.UploadRequest) (ossclient.UploadID, error) {
	id, err := u.Bucket.CreateUpload(ctx, q)
	u.begun()
	return id, err
}

func (u *uploading) UploadPart(ctx context.Context, q ossclient.PartRequest) (ossclient.Part, error) {
	part, err := u.Bucket.UploadPart(ctx, q)
	if q.Number == 1 {
		u.read()
	}
	return part, err
}

// A file is cut while its parts are about to be sent, and bytes are appended again where one of them was read: that part
// is not taken for one of the longer file.
// SEMANTICS 1.7
func TestPartOfWhatWasCutOff(t *testing.T) {
	r := newRig(t)
	r.opt.Delay = time.Hour
	u := &uploading{Bucket: r.bucket}
	r.opt.Bucket = u
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	write := func(p string, off int64) {
		if _, err := f.WriteAt(t.Context(), []byte(p), off); err != nil {
			t.Error(err)
		}
	}
	end := noise(2<<20, 2)
	u.begun = sync.OnceFunc(func() {
		if err := f.Truncate(t.Context(), 0); err != nil {
			t.Error(err)
		}
		write("head", 0)
	})
	u.read = sync.OnceFunc(func() { write(end, 300_000) })
	for off, content := int64(0), noise(3<<19, 1); off < 3<<19; off += 1 << 19 { // not streamed: it has no settled part
		write(content[off:off+1<<19], off)
	}
	r.closed(f)
	if err := s.Sync(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	u.read()
	r.close(f)
	r.flush(s)
	r.want("a", "head"+string(make([]byte, 300_000-4))+end)
}

// latePart replaces a part just before the upload is completed for the first time, as a request does that was cut off by
// us and is late.
type latePart struct {
	*ossclient.Bucket
	size int // of the part
	once sync.Once
}

func (l *latePart) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error) {
	var err error
	l.once.Do(func() {
		old := noise(l.size, 9)
		_, err = l.Bucket.UploadPart(ctx, ossclient.PartRequest{Key: c.Key, Upload: c.Upload, Number: 2, Body: stringReader(old), Size: int64(len(old))})
	})
	if err != nil {
		return ossclient.PutResult{}, err
	}
	return l.Bucket.CompleteUpload(ctx, c)
}

// A part that was replaced by a late request has the file sent again, and no upload is left.
func TestPartIsReplacedLate(t *testing.T) {
	r := newRig(t)
	r.opt.Bucket = &latePart{Bucket: r.bucket, size: 512 << 10}
	s := r.open()
	content := noise(3<<20, 1)
	r.write(s, "big", content)
	r.flush(s)
	r.want("big", content)
	r.noUploads()
}

// A part that was replaced by a late request is sent again when others of the upload are nowhere else.
func TestPartIsReplacedLateOfWhatWasGivenUp(t *testing.T) {
	r := newRig(t)
	r.opt.Bucket = &latePart{Bucket: r.bucket, size: youngPart}
	s := young(r)
	content := noise(3<<20, 1)
	f := must(s.Create("big", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	if !s.holed(f.stage) {
		t.Fatal("nothing was given up, and this test tests nothing")
	}
	r.close(f)
	r.flush(s)
	r.want("big", content)
	r.noUploads()
}

// An object is what an upload was completed as when it is one of its states, of its key, and none of which a part was left out that is
// in the upload alone.
func TestCompletedAs(t *testing.T) {
	o := ossclient.Object{Version: ossclient.Version{Key: "a", Size: 10}, CRC64: 7, HasCRC64: true}
	for name, test := range map[string]struct {
		upload upload
		want   bool
	}{
		"that state":                        {upload{key: "a", tried: &trial{size: 10, sum: 7}}, true},
		"an earlier one":                    {upload{key: "a", tried: &trial{size: 12, sum: 8, older: &trial{size: 10, sum: 7}}}, true},
		"never tried":                       {upload{key: "a", tried: &trial{size: 10, sum: 8}}, false},
		"of another key":                    {upload{key: "b", tried: &trial{size: 10, sum: 7}}, false},
		"with what was given up":            {upload{key: "a", tried: &trial{size: 10, sum: 7}, parts: parts(0, 10, true)}, true},
		"without what is still staged":      {upload{key: "a", tried: &trial{size: 10, sum: 7}, parts: parts(8, 4, false)}, true},
		"without all of what was given up":  {upload{key: "a", tried: &trial{size: 10, sum: 7}, parts: parts(8, 4, true)}, false},
		"without any of what was given up":  {upload{key: "a", tried: &trial{size: 10, sum: 7}, parts: parts(10, 4, true)}, false},
		"tried, and given up since, both":   {upload{key: "a", tried: &trial{size: 12, sum: 8}, parts: parts(8, 4, true)}, false},
		"nothing was tried":                 {upload{key: "a"}, false},
		"of no bytes, nothing was given up": {upload{key: "a", tried: &trial{size: 10, sum: 7}, parts: map[int]sentPart{}}, true},
	} {
		s := &Store{v: newView()}
		s.v.uploads[1] = &test.upload
		if got := s.completedAs(&entry{key: "a", stage: 1}, &o) != nil; got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if s.completedAs(&entry{key: "a", stage: 2}, &o) != nil {
			t.Errorf("%s: of another staged file", name)
		}
	}
}

// parts is one part of an upload.
func parts(off, size int64, punched bool) map[int]sentPart {
	return map[int]sentPart{1: {Part: ossclient.Part{Number: 1, Size: size}, off: off, punched: punched}}
}
