package writeback

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// noCopies refuses CopyObject, as OSS does for what is too large.
type noCopies struct{ *ossclient.Bucket }

func (noCopies) Copy(_ context.Context, q ossclient.CopyRequest) (ossclient.CopyResult, error) {
	return ossclient.CopyResult{}, &ossclient.Error{Op: "CopyObject", Key: q.Key, Kind: ossclient.ErrInvalid, Code: "EntityTooLarge"}
}

// A change of attributes and a rename leave an object in its storage class, whatever the mount's or the bucket's is, known or
// not, also when a crash came in between; who asks for another one gets it.
// SEMANTICS 1.11
func TestCopiesKeepTheStorageClass(t *testing.T) {
	mode := fileAttr()
	mode.SetMode(attr.TypeFile | 0o600)
	for _, mount := range []string{"", "Standard"} {
		for _, known := range []string{"", "IA"} {
			for _, large := range []bool{false, true} {
				r := newRig(t)
				r.opt.NewObjects.StorageClass = mount
				if large {
					r.opt.Bucket = noCopies{r.bucket}
				}
				r.opt.Delay, r.opt.Believe = time.Hour, time.Hour
				s := r.open()
				put := func(key, class string) ossclient.Version {
					if err := r.server.Put(ossservertest.Bucket, key, []byte("content"), http.Header{"X-Oss-Storage-Class": {class}}); err != nil {
						t.Fatal(err)
					}
					return r.version(key)
				}
				asked := mode
				asked.StorageClass = "Standard"
				set := func(key string, a attr.Attr) {
					if err := s.SetAttr(Key(key), Seen{Version: put(key, "IA")}, Rest{Class: known}, a); err != nil {
						t.Fatal(err)
					}
				}
				set("mode", mode)
				set("asked", asked)
				set("mode, renamed", mode)
				heads := r.server.Counts()["HeadObject"]
				if err := s.Rename(t.Context(), "mode, renamed", "renamed, mode", RenameSource{}, Seen{}); err != nil {
					t.Fatal(err)
				}
				if n := r.server.Counts()["HeadObject"] - heads; known != "" && n > 0 && !large {
					t.Errorf("%d HEADs for a class that is known", n)
				}
				v := put("plain", "IA")
				if err := s.Rename(t.Context(), "plain", "renamed", RenameSource{Version: v, Attr: fileAttr(), Class: known}, Seen{}); err != nil {
					t.Fatal(err)
				}
				put("d/x", "IA")
				if err := s.RenameTree(t.Context(), "d/", "e/", Seen{}); err != nil {
					t.Fatal(err)
				}
				r.flush(s)
				for key, want := range map[string]string{"mode": "IA", "asked": "Standard", "renamed, mode": "IA", "renamed": "IA", "e/x": "IA"} {
					if o, ok := r.server.Object(ossservertest.Bucket, key); !ok || o.StorageClass != want {
						t.Errorf("mount %q, known %q, large %v: %s is %q (%v), want %q", mount, known, large, key, o.StorageClass, ok, want)
					}
				}
			}
		}
	}
}

// The same when the process died before it was sent.
// SEMANTICS 1.11
func TestStorageClassAfterACrash(t *testing.T) {
	r, mem, s := onMem(t)
	if err := r.server.Put(ossservertest.Bucket, "f", []byte("content"), http.Header{"X-Oss-Storage-Class": {"IA"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAttr("f", Seen{Version: r.version("f")}, Rest{Class: "IA"}, fileAttr()); err != nil {
		t.Fatal(err)
	}
	_, next := r.killed(mem)
	r.flush(next)
	if o, _ := r.server.Object(ossservertest.Bucket, "f"); o.StorageClass != "IA" || o.Header.Get("X-Oss-Meta-Mode") == "" {
		t.Errorf("got class %q, metadata %v", o.StorageClass, o.Header)
	}
}
