package writeback

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// answerless is a Bucket that completes an upload, and whose answer is lost, once.
type answerless struct {
	Bucket
	lost      bool
	meanwhile func()
}

func (b *answerless) CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error) {
	r, err := b.Bucket.CompleteUpload(ctx, c)
	if err != nil || b.lost {
		return r, err
	}
	b.lost = true
	b.meanwhile()
	return r, errors.New("the answer is lost")
}

// A file of which parts were given up in the stage, and of whose upload it was not heard that it was completed, is gone on with
// as a change of the object that was made: nothing that was only in the upload is taken for lost.
func TestCompletedWithoutAnAnswer(t *testing.T) {
	content := noise(3<<20, 1)
	for name, test := range map[string]struct{ base, added string }{
		"new":                      {added: "appended"},
		"over another":             {base: "what was there", added: "appended"},
		"over another, and closed": {base: "what was there"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			b := &answerless{Bucket: r.bucket, meanwhile: func() {}}
			r.opt.Bucket = b
			var v ossclient.Version
			if test.base != "" {
				v = r.put("a", test.base)
			}
			s := young(r)
			f := must(s.Create("a", fileAttr(), v))(t)
			want := content
			write := func(p string, off int64) {
				if _, err := f.WriteAt(t.Context(), []byte(p), off); err != nil {
					t.Error(err)
				}
				if int(off) == len(want) {
					want += p
				} else {
					want = want[:off] + p + want[int(off)+len(p):]
				}
			}
			b.meanwhile = func() { write(test.added, int64(len(want))) }
			r.grow(f, content, 0)
			r.landed(f)
			if !s.holed(f.stage) {
				t.Fatal("nothing was given up, and this test tests nothing")
			}
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			defer cancel()
			if err := s.Sync(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			write("CHANGED", 1<<20)
			if err := s.Sync(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			r.close(f)
			r.flush(s)
			r.want("a", want)
			r.noUploads()
		})
	}
}

// A file that is cut to what is sent by one request, and of which parts were given up in the stage, keeps its bytes.
func TestCutToOneRequest(t *testing.T) {
	r := newRig(t)
	content := noise(3<<20, 1)
	s := young(r)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, content, 0)
	r.landed(f)
	s.opt.SinglePut = 4 << 20
	rest := len(content) - youngPart + 1000
	if err := f.Truncate(t.Context(), int64(rest)); err != nil {
		t.Fatal(err)
	}
	if !s.holed(f.stage) {
		t.Fatal("nothing was given up, and this test tests nothing")
	}
	r.close(f)
	r.flush(s)
	r.want("a", content[:rest])
	r.noUploads()
}

// A process is killed when the bucket has a file of which parts were given up in the stage, before that is journaled: the next
// one does not store their holes over it, whatever the bucket has may be overwritten, and goes on with what was added.
func TestKilledBetweenCompletionAndConfirmation(t *testing.T) {
	content := noise(3<<20, 1)
	for name, added := range map[string]string{"as it was sent": "", "added to": "appended"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			mem := disktest.New()
			r.opt.Disk, r.opt.OnConflict = mem, Overwrite
			var killed *disktest.Mem
			died := make(chan struct{})
			kill := sync.OnceFunc(func() {
				killed = mem.Killed()
				close(died)
			})
			b := &answerless{Bucket: r.bucket, lost: added == ""}
			r.opt.Bucket = b
			if added == "" {
				r.opt.Confirmed = func(Confirmation) { kill() }
			}
			s := young(r)
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			b.meanwhile = func() {
				if _, err := f.WriteAt(t.Context(), []byte(added), int64(len(content))); err != nil {
					t.Error(err)
				}
				if err := f.commit(); err != nil {
					t.Error(err)
				}
				kill()
			}
			r.grow(f, content, 0)
			r.landed(f)
			if !s.holed(f.stage) {
				t.Fatal("nothing was given up, and this test tests nothing")
			}
			go func() { _ = s.Sync(t.Context(), "a") }() // it ends with the Store
			<-died
			if err := s.Close(t.Context()); err != nil { // it sends no more
				t.Fatal(err)
			}
			r.opt.Disk, r.opt.Bucket = killed, r.bucket
			next := r.open()
			r.flush(next)
			r.want("a", content+added)
			r.noUploads()
		})
	}
}
