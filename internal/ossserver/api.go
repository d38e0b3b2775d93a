package ossserver

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/crc"
	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// ObjectInfo is an object as the server keeps it, for tests that look behind the client's back.
type ObjectInfo struct {
	Key          string
	Size         int64  // bytes
	ETag         string // without quotes
	CRC64        uint64
	LastModified time.Time // whole seconds
	Type         string    // Normal, Multipart, Appendable, Symlink
	StorageClass string
	Target       string // a symbolic link's
	ACL          string // its own; empty: the bucket's
	Tags         string // in the form of a query
	// Header has the headers that GET gives back: Content-Type and its like, encryption, and X-Oss-Meta-*.
	Header http.Header
	// Body reads all bytes. It fails when the object was replaced or deleted meanwhile in a directory's store.
	Body func() ([]byte, error)
}

// Object returns an object; ok is false when there is none.
func (s *Server) Object(bucket, key string) (info ObjectInfo, ok bool) {
	var o *store.Object
	err := s.store.View(func(tx *store.Tx) error {
		o = tx.Object(bucket, key)
		return nil
	})
	if err != nil || o == nil {
		return ObjectInfo{}, false
	}
	info = ObjectInfo{
		Key: o.Key, Size: o.Size, ETag: o.ETag, CRC64: o.CRC64(), LastModified: o.Modified, Type: o.Type,
		StorageClass: o.Class, Target: o.Target(), ACL: o.ACL(), Tags: o.Tags(), Header: http.Header{},
		Body: func() ([]byte, error) { return s.readAll(bucket, o) },
	}
	for _, f := range o.Header {
		info.Header.Set(f.Name, f.Value)
	}
	return info, true
}

// Content is all bytes of what a key has at this moment; ok is false when there is no object.
func (s *Server) Content(bucket, key string) (body []byte, ok bool, err error) {
	o, err := s.hold(bucket, key)
	if o == nil || err != nil {
		return nil, false, err
	}
	defer o.Content.Release()
	body, err = o.Content.Bytes()
	return body, true, err
}

// hold is the object of a key, whose bytes stay until they are released; nil when there is none.
func (s *Server) hold(bucket, key string) (o *store.Object, err error) {
	err = s.store.View(func(tx *store.Tx) error {
		if o = tx.Object(bucket, key); o != nil {
			o.Content.Acquire()
		}
		return nil
	})
	return o, err
}

// readAll reads an object's bytes.
func (s *Server) readAll(bucket string, o *store.Object) ([]byte, error) {
	now, err := s.hold(bucket, o.Key)
	if err != nil {
		return nil, err
	}
	if now != nil {
		defer now.Content.Release()
	}
	if now != o {
		return nil, fmt.Errorf("OSS server: object %q of bucket %s is not what it was", o.Key, bucket)
	}
	return o.Content.Bytes()
}

// Put stores an object as PutObject would with these headers (nil: none), without a request: as if another client
// did it.
func (s *Server) Put(bucket, key string, body []byte, header http.Header) error {
	stage := s.store.Stage(int64(len(body)))
	defer stage.Discard()
	if _, err := stage.Write(body); err != nil {
		return err
	}
	content, err := stage.Finish()
	if err != nil {
		return err
	}
	defer content.Release()
	sum := md5.Sum(body)
	return s.putDirect(bucket, &store.Object{
		Key: key, Size: content.Size(), Content: content, CRC: crc.Update(0, body), Type: store.Normal,
		ETag: strings.ToUpper(hex.EncodeToString(sum[:])),
	}, header)
}

// PutSynthetic stores an object of size bytes that are made up from seed, so that it takes no space: a gigabyte,
// or a million of them. [SyntheticAt] makes the same bytes. The headers are as in Put.
func (s *Server) PutSynthetic(bucket, key string, size int64, seed uint64, header http.Header) error {
	content := s.store.Synthetic(size, seed)
	defer content.Release()
	return s.putDirect(bucket, &store.Object{
		Key: key, Size: size, Content: content, Type: store.Normal, ETag: cheapETag(seed, size),
	}, header)
}

// SyntheticAt fills p with what PutSynthetic's object of that seed has from offset off on.
func SyntheticAt(p []byte, seed uint64, off int64) { store.SyntheticAt(p, seed, off) }

func (s *Server) putDirect(bucket string, o *store.Object, header http.Header) error {
	if !validKey(o.Key) {
		return fmt.Errorf("OSS server: bad key %q", o.Key)
	}
	var err error
	canonical := http.Header{}
	for name, values := range header {
		for _, v := range values {
			canonical.Add(name, v)
		}
	}
	if o.Header, err = storedHeaders(canonical); err != nil {
		return err
	}
	o.Modified, o.Class = s.now(), canonical.Get("X-Oss-Storage-Class")
	return s.store.Update(func(tx *store.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return fmt.Errorf("OSS server: no bucket %q", bucket)
		}
		if o.Class == "" {
			o.Class = b.Class
		}
		tx.PutObject(bucket, o)
		return nil
	})
}

// Delete removes an object; it need not be there.
func (s *Server) Delete(bucket, key string) error {
	return s.store.Update(func(tx *store.Tx) error {
		if tx.Object(bucket, key) != nil {
			tx.DeleteObject(bucket, key)
		}
		return nil
	})
}

// Keys returns all keys of a bucket in the order of their bytes.
func (s *Server) Keys(bucket string) []string {
	var keys []string
	_ = s.store.View(func(tx *store.Tx) error { // a closed store has none
		tx.Ascend(bucket, "", func(o *store.Object) (string, bool) {
			keys = append(keys, o.Key)
			return "", true
		})
		return nil
	})
	return keys
}

// UploadInfo is a multipart upload under way.
type UploadInfo struct {
	Key, ID   string
	Initiated time.Time
	Parts     []PartInfo // in the order of their numbers
}

// PartInfo is a part of it.
type PartInfo struct {
	Number int
	Size   int64 // bytes
	ETag   string
}

// Uploads returns a bucket's multipart uploads under way, in the order of their keys.
func (s *Server) Uploads(bucket string) []UploadInfo {
	var list []UploadInfo
	_ = s.store.View(func(tx *store.Tx) error { // a closed store has none
		tx.AscendUploads(bucket, "", "", func(u *store.Upload) bool {
			info := UploadInfo{Key: u.Object.Key, ID: u.ID, Initiated: u.Initiated}
			tx.AscendParts(u, 0, func(p *store.Part) bool {
				info.Parts = append(info.Parts, PartInfo{p.Number, p.Size, p.ETag})
				return true
			})
			list = append(list, info)
			return true
		})
		return nil
	})
	return list
}
