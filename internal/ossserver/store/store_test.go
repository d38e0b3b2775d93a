package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
)

const name = "bucket"

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func content(s *Store, p []byte) (*Content, error) {
	stage := s.Stage(-1)
	defer stage.Discard()
	if _, err := stage.Write(p); err != nil {
		return nil, err
	}
	return stage.Finish()
}

func put(s *Store, key string, p []byte) error {
	c, err := content(s, p)
	if err != nil {
		return err
	}
	defer c.Release()
	return s.Update(func(tx *Tx) error {
		tx.PutObject(name, &Object{
			Key: key, Size: c.Size(), Content: c, CRC: crc.Update(0, p), ETag: "E", Type: Normal, Class: "Standard",
			Modified: time.Unix(1e9, 0).UTC(), Header: []Field{{"Content-Type", "text/plain"}, {"X-Oss-Meta-A", key}},
		})
		return nil
	})
}

func get(s *Store, key string) (*Object, []byte, error) {
	var o *Object
	err := s.View(func(tx *Tx) error {
		if o = tx.Object(name, key); o == nil {
			return fmt.Errorf("no %q", key)
		}
		o.Content.Acquire()
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	defer o.Content.Release()
	p, err := o.Content.Bytes()
	return o, p, err
}

func bucketOf(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Update(func(tx *Tx) error {
		tx.PutBucket(Bucket{Name: name, Created: time.Unix(1, 0).UTC(), ACL: "private"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	SyntheticAt(p, seed, 0)
	return p
}

// files counts the regular files below dir.
func files(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestObjectsOfAllSizesSurviveReopening(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		t.Run(fmt.Sprintf("dir=%t", dir != ""), func(t *testing.T) {
			s := open(t, Options{Dir: dir})
			bucketOf(t, s)
			sizes := []int{0, 1, 100, packLimit - 1, packLimit, packLimit + 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5}
			for i, n := range sizes {
				if err := put(s, fmt.Sprintf("k%d", n), random(uint64(i), n)); err != nil {
					t.Fatal(err)
				}
			}
			if dir != "" {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, Options{Dir: dir})
			}
			for i, n := range sizes {
				o, p, err := get(s, fmt.Sprintf("k%d", n))
				if err != nil || !bytes.Equal(p, random(uint64(i), n)) {
					t.Errorf("size %d: got %d bytes, %v", n, len(p), err)
					continue
				}
				if want := []Field{{"Content-Type", "text/plain"}, {"X-Oss-Meta-A", o.Key}}; !reflect.DeepEqual(o.Header, want) {
					t.Errorf("size %d: headers %v, want %v", n, o.Header, want)
				}
			}
		})
	}
}

func TestStageWithEveryHint(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, Options{Dir: dir})
		for _, size := range []int{0, 1, 1000, packLimit, packLimit + 1, 2*chunkSize + 3} {
			for _, hint := range []int64{-1, 0, 1, int64(size) - 1, int64(size), int64(size) + 1, 10 * chunkSize} {
				p := random(uint64(size), size)
				stage := s.Stage(hint)
				for rest := p; len(rest) > 0; {
					n := copy(stage.Next(), rest[:min(len(rest), 70_000)])
					if err := stage.Advance(n); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				c, err := stage.Finish()
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Bytes()
				if err != nil || !bytes.Equal(got, p) {
					t.Errorf("dir %q, size %d, hint %d: got %d bytes, %v", dir, size, hint, len(got), err)
				}
				c.Release()
			}
		}
	}
}

func TestSlicesAndJoinsShareBytes(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, Options{Dir: dir})
		whole := random(1, 3*chunkSize+777)
		c, err := content(s, whole)
		if err != nil {
			t.Fatal(err)
		}
		small, err := content(s, whole[:1000])
		if err != nil {
			t.Fatal(err)
		}
		a, b := c.Slice(10, 2*chunkSize), small.Slice(5, 100)
		joined := s.Join(a, b, c)
		for _, x := range []*Content{a, b, c, small} {
			x.Release()
		}
		want := append(append(append([]byte(nil), whole[10:10+2*chunkSize]...), whole[5:105]...), whole...)
		got, err := joined.Bytes()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("dir %q: joined %d bytes, %v, want %d", dir, len(got), err, len(want))
		}
		var part bytes.Buffer
		if err := joined.Write(&part, 2*chunkSize-5, 120); err != nil || !bytes.Equal(part.Bytes(), want[2*chunkSize-5:2*chunkSize+115]) {
			t.Errorf("dir %q: a piece over a seam is wrong (%v)", dir, err)
		}
		if err := joined.Write(&part, joined.Size()-1, 2); err == nil {
			t.Errorf("dir %q: read past the end succeeded", dir)
		}
		joined.Release()
		if dir != "" {
			if n := files(t, filepath.Join(dir, "blobs")); n != 0 {
				t.Errorf("%d blobs left after the last release, want none", n)
			}
		}
	}
}

func TestSpaceComesBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	bucketOf(t, s)
	big := random(1, packLimit*2)
	for range 3 {
		if err := put(s, "k", big); err != nil {
			t.Fatal(err)
		}
	}
	if n := files(t, filepath.Join(dir, "blobs")); n != 1 {
		t.Errorf("%d blobs after two overwrites, want 1", n)
	}
	var held *Content
	err := s.Update(func(tx *Tx) error {
		held = tx.Object(name, "k").Content.Acquire()
		tx.DeleteObject(name, "k")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := held.Bytes(); err != nil || !bytes.Equal(p, big) {
		t.Errorf("a reader lost the bytes of a deleted object: %v", err)
	}
	held.Release()
	if n := files(t, filepath.Join(dir, "blobs")); n != 0 {
		t.Errorf("%d blobs after the delete and the last reader, want none", n)
	}
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	bucketOf(t, s)
	boom := errors.New("boom")
	err := s.Update(func(tx *Tx) error {
		tx.PutObject(name, &Object{Key: "k", Content: s.Join()})
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Update = %v, want %v", err, boom)
	}
	if _, _, err := get(s, "k"); err == nil {
		t.Error("an object of a failed transaction is there")
	}
}

func TestDirectoryIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if s, err := Open(Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("a second store opened the directory")
	} else if !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %q does not say that the directory is in use", err)
	}
}

func TestUploadsSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	bucketOf(t, s)
	u := &Upload{ID: "ID", Initiated: time.Unix(5, 0).UTC(), Object: Object{Key: "k", Class: "IA", Extra: &Extra{Tags: "a=b", ACL: "private"}}}
	if err := s.Update(func(tx *Tx) error { tx.PutUpload(name, u); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 1, 2} {
		c, err := content(s, random(uint64(n), 1000*n))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Update(func(tx *Tx) error {
			tx.PutPart(name, tx.Upload(name, "k", "ID"), &Part{Number: n, ETag: "E", Size: c.Size(), CRC: 7, Content: c})
			return nil
		})
		c.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, Options{Dir: dir})
	err := s.View(func(tx *Tx) error {
		u := tx.Upload(name, "k", "ID")
		if u == nil || u.Object.Class != "IA" || u.Object.Tags() != "a=b" || !u.Initiated.Equal(time.Unix(5, 0)) {
			return fmt.Errorf("upload is %+v", u)
		}
		var got []int
		tx.AscendParts(u, 0, func(p *Part) bool {
			if b, err := p.Content.Bytes(); err != nil || !bytes.Equal(b, random(uint64(p.Number), 1000*p.Number)) {
				t.Errorf("part %d: %d bytes, %v", p.Number, len(b), err)
			}
			got = append(got, p.Number)
			return true
		})
		if !reflect.DeepEqual(got, []int{1, 2}) {
			return fmt.Errorf("parts %v, want 1 and 2", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHistoryIsTidiedAtStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	bucketOf(t, s)
	for i := range 2000 {
		if err := put(s, fmt.Sprintf("k%d", i%10), random(uint64(i), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	before := size(t, dir)
	s = open(t, Options{Dir: dir})
	for i := 1990; i < 2000; i++ {
		if _, p, err := get(s, fmt.Sprintf("k%d", i%10)); err != nil || !bytes.Equal(p, random(uint64(i), 1000)) {
			t.Errorf("k%d after tidying: %d bytes, %v", i%10, len(p), err)
		}
	}
	if after := size(t, dir); after > before/20 || after > 50_000 {
		t.Errorf("%d bytes on disk after tidying, %d before; want hardly more than the 10,000 that live", after, before)
	}
	s.Close()
	s = open(t, Options{Dir: dir})
	if _, p, err := get(s, "k3"); err != nil || len(p) != 1000 {
		t.Errorf("after another start: %d bytes, %v", len(p), err)
	}
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSyntheticIsTheSameAtEveryOffset(t *testing.T) {
	whole := random(99, 10_000)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off, n := r.IntN(9000), r.IntN(1000)
		p := make([]byte, n)
		SyntheticAt(p, 99, int64(off))
		if !bytes.Equal(p, whole[off:off+n]) {
			t.Fatalf("bytes %d+%d differ", off, n)
		}
	}
	s := open(t, Options{})
	c := s.Synthetic(10_000, 99)
	defer c.Release()
	o := Object{Content: c, Size: 10_000}
	if got, want := o.CRC64(), crc.Update(0, whole); got != want {
		t.Errorf("checksum %x, want %x", got, want)
	}
}
