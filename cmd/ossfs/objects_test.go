package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// What the flags say of new objects is stored with all of them, whatever request makes them: PutObject, uploads in
// parts, and the copies that a change of attributes, an edit or a rename makes.
// SEMANTICS 1.11
func TestNewObjects(t *testing.T) {
	r := newRig(t)
	r.mount("--storage-class", "IA", "--sse", "KMS", "--sse-key-id", "key-1", "--acl", "private", "--tags", "team=a b&x=1",
		"--single-put", "1MiB", "--stage-size", "8MiB")
	large := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB: in parts
	r.write("small", "content")
	r.write("large", large)
	r.write("chmod", "content")
	r.write("rename", "content")
	r.write("edited", large)
	if err := os.Mkdir(filepath.Join(r.mnt, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("small", filepath.Join(r.mnt, "link")); err != nil {
		t.Fatal(err)
	}
	r.flush()
	if err := os.Chmod(filepath.Join(r.mnt, "chmod"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.mnt, "rename"), filepath.Join(r.mnt, "renamed")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(r.mnt, "edited"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("EDIT"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.flush()
	r.umount()
	for _, key := range []string{"small", "large", "chmod", "renamed", "edited", "dir/", "link"} {
		o, ok := r.server.Object(ossservertest.Bucket, key)
		if !ok {
			t.Errorf("%s: not in the bucket", key)
			continue
		}
		got := []string{o.StorageClass, o.ACL, o.Tags, o.Header.Get("X-Oss-Server-Side-Encryption"), o.Header.Get("X-Oss-Server-Side-Encryption-Key-Id")}
		want := []string{"IA", "private", "team=a+b&x=1", "KMS", "key-1"}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	counts := r.server.Counts()
	for _, op := range []string{"PutObject", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"} {
		if counts[op] == 0 {
			t.Errorf("no %s was made: it is not tested", op)
		}
	}
}
