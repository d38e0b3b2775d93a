package ossclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// stage is one cell of the fault matrix: a server, a client, and what an operation needs beforehand.
type stage struct {
	*testing.T
	server *ossservertest.Server
	client *ossclient.Bucket // meets the faults
	clean  *ossclient.Bucket // prepares, and looks at what happened
	upload ossclient.UploadID
	doubt  bool // there may be another one
	parts  []ossclient.Part

	ctx     context.Context  // of the calls; nil: the test's
	config  ossclient.Config // of client
	stall   time.Duration
	located ossclient.Stats // of a client that was opened by the call
}

// Context is the context of the calls.
func (s *stage) Context() context.Context {
	if s.ctx != nil {
		return s.ctx
	}
	return s.T.Context()
}

const matrixSize = 300 << 10

// faultedCall is one row of the matrix.
type faultedCall struct {
	op      string
	name    string // when the row is another form of op
	prepare func(*stage)
	call    func(*stage) error
	check   func(*stage) error // the effect is there, exactly once
	absent  func(*stage) error // nothing has changed; with check nil or this, an error leaves nothing half done
	flips   bool               // a flipped bit is noticed: it is repaired, or an error
	spoilt  bool               // ... and cannot be repaired, because OSS has stored it
}

func matrix() []faultedCall {
	return slices.Concat(readRows(), writeRows(), uploadRows(), smallRows())
}

func prepareObject(s *stage) { put(s, s.clean, "k", pattern(matrixSize), ossclient.Metadata{}) }

func is(s *stage, key string, want []byte) error {
	o, ok := s.server.Object(ossservertest.Bucket, key)
	if !ok {
		return fmt.Errorf("%s is not there", key)
	}
	got, err := o.Body()
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%s has %d bytes, %v; want %d", key, len(got), err, len(want))
	}
	return nil
}

func gone(s *stage, key string) error {
	if _, ok := s.server.Object(ossservertest.Bucket, key); ok {
		return fmt.Errorf("%s is still there", key)
	}
	return nil
}

// unmade wants that there is no object of that name.
func unmade(key string) func(*stage) error { return func(s *stage) error { return gone(s, key) } }

func untouched(s *stage) error { return is(s, "k", pattern(matrixSize)) }

func readRows() []faultedCall {
	list := func(s *stage) error {
		page, err := s.client.List(s.Context(), ossclient.ListRequest{})
		if err == nil && (len(page.Objects) != 1 || page.Objects[0].Key != "k") {
			return fmt.Errorf("listed %+v", page)
		}
		return err
	}
	read := func(offset, length int64) func(*stage) error {
		return func(s *stage) error {
			got, err := get(s, s.client, ossclient.GetRequest{Key: "k", Offset: offset, Length: length})
			end := int64(matrixSize)
			if length >= 0 {
				end = offset + length
			}
			if err == nil && !bytes.Equal(got, pattern(matrixSize)[offset:end]) {
				return errors.New("wrong bytes")
			}
			return err
		}
	}
	return []faultedCall{
		{op: "GetObject", prepare: prepareObject, call: read(0, -1), flips: true},
		{op: "GetObject", name: "range", prepare: prepareObject, call: read(1000, 200<<10)},
		{op: "HeadObject", prepare: prepareObject, call: func(s *stage) error {
			o, err := s.client.Head(s.Context(), "k")
			if err == nil && o.Size != matrixSize {
				return fmt.Errorf("object %+v", o)
			}
			return err
		}},
		{op: "ListObjectsV2", prepare: prepareObject, call: list},
		{op: "GetBucketInfo", call: func(s *stage) error { _, err := s.client.Info(s.Context()); return err }},
	}
}

// either wants one of two to hold.
func either(s *stage, a, b func(*stage) error) error {
	one := a(s)
	if one == nil {
		return nil
	}
	if other := b(s); other != nil {
		return fmt.Errorf("neither: %w; nor: %w", one, other)
	}
	return nil
}

func putAgain(exclusive bool) func(*stage) error {
	return func(s *stage) error {
		body := pattern(matrixSize + 1)
		m := ossclient.Metadata{User: map[string]string{"Mode": "33188"}}
		res, err := s.client.Put(s.Context(), ossclient.PutRequest{Key: "n", Body: bytes.NewReader(body), Size: matrixSize + 1, Metadata: m, NoOverwrite: exclusive})
		if err == nil && (res.CRC64 != crc.Update(0, body) || res.ETag == "" || res.Size != matrixSize+1) {
			return fmt.Errorf("result %+v", res)
		}
		return err
	}
}

func copyIt(exclusive bool) func(*stage) error {
	return func(s *stage) error {
		v := ossclient.Version{Key: "k", Size: matrixSize}
		if exclusive {
			o, err := s.clean.Head(s.Context(), "k")
			if err != nil {
				return err
			}
			v = o.Version
		}
		res, err := s.client.Copy(s.Context(), ossclient.CopyRequest{Source: v, Key: "n", NoOverwrite: exclusive})
		if err == nil && (res.ETag == "" || res.LastModified.IsZero()) {
			return fmt.Errorf("result %+v", res)
		}
		return err
	}
}

func writeRows() []faultedCall {
	isNew := func(s *stage) error { return is(s, "n", pattern(matrixSize+1)) }
	isCopy := func(s *stage) error { return is(s, "n", pattern(matrixSize)) }
	return []faultedCall{
		{op: "PutObject", call: putAgain(false), check: isNew, absent: unmade("n"), flips: true},
		{op: "PutObject", name: "exclusive", call: putAgain(true), check: isNew, absent: unmade("n"), flips: true, spoilt: true},
		{op: "CopyObject", prepare: prepareObject, call: copyIt(false), check: isCopy, absent: unmade("n")},
		{op: "CopyObject", name: "exclusive", prepare: prepareObject, call: copyIt(true), check: isCopy, absent: unmade("n")},
		{op: "DeleteObject", prepare: prepareObject, call: func(s *stage) error { return s.client.Delete(s.Context(), "k") },
			check: unmade("k"), absent: untouched},
		{op: "DeleteMultipleObjects", prepare: prepareObject,
			call:  func(s *stage) error { return s.client.DeleteMany(s.Context(), []ossclient.Key{"k", "n"}) },
			check: unmade("k"), absent: untouched, flips: true},
		{op: "AppendObject", call: func(s *stage) error {
			body := pattern(matrixSize)
			for i := range int64(2) {
				_, err := s.client.Append(s.Context(), ossclient.AppendRequest{
					Key: "a", Position: i * matrixSize, Before: i64(i, crc.Update(0, body)), Body: bytes.NewReader(body), Size: matrixSize})
				if err != nil {
					return err
				}
			}
			return nil
		}, check: func(s *stage) error { return is(s, "a", append(pattern(matrixSize), pattern(matrixSize)...)) },
			absent: func(s *stage) error { // the first may have been stored
				return either(s, unmade("a"), func(s *stage) error { return is(s, "a", pattern(matrixSize)) })
			}, flips: true, spoilt: true},
	}
}

func i64(i int64, sum uint64) uint64 {
	if i == 0 {
		return 0
	}
	return sum
}

func prepareUpload(s *stage) {
	prepareObject(s)
	id, err := s.clean.CreateUpload(s.Context(), ossclient.UploadRequest{Key: "m"})
	if err != nil {
		s.Fatal(err)
	}
	s.upload = id
}

func prepareParts(s *stage) {
	prepareUpload(s)
	for n := 1; n <= 2; n++ {
		if err := uploadPart(n, s.clean)(s); err != nil {
			s.Fatal(err)
		}
	}
}

func uploadPart(n int, with *ossclient.Bucket) func(*stage) error {
	return func(s *stage) error {
		b := with
		if b == nil {
			b = s.client
		}
		p, err := b.UploadPart(s.Context(), ossclient.PartRequest{Key: "m", Upload: s.upload, Number: n, Body: bytes.NewReader(pattern(matrixSize)), Size: matrixSize})
		s.parts = append(s.parts, p)
		return err
	}
}

// hasPart wants part 1 to be the pattern, whichever way it came.
func hasPart(s *stage) error {
	parts, err := s.clean.ListParts(s.Context(), "m", s.upload)
	if err != nil || len(parts) != 1 || parts[0].Size != matrixSize {
		return fmt.Errorf("parts %+v, %v", parts, err)
	}
	if _, err = s.clean.CompleteUpload(s.Context(), ossclient.CompleteRequest{Key: "m", Upload: s.upload, Parts: parts}); err != nil {
		return err
	}
	return is(s, "m", pattern(matrixSize))
}

func noPart(s *stage) error {
	parts, err := s.clean.ListParts(s.Context(), "m", s.upload)
	if err != nil || len(parts) > 0 {
		return fmt.Errorf("parts %+v, %v", parts, err)
	}
	return nil
}

func uploadRows() []faultedCall {
	one := func(s *stage) error {
		if n := len(s.server.Uploads(ossservertest.Bucket)); n != 1 {
			return fmt.Errorf("%d uploads, want 1", n)
		}
		return nil
	}
	none := func(s *stage) error {
		if n := len(s.server.Uploads(ossservertest.Bucket)); n != 0 {
			return fmt.Errorf("%d uploads, want none", n)
		}
		return nil
	}
	oneKnown := func(s *stage) error { // others only where the caller was told of them
		uploads := s.server.Uploads(ossservertest.Bucket)
		known := slices.ContainsFunc(uploads, func(u ossserver.UploadInfo) bool { return ossclient.UploadID(u.ID) == s.upload })
		if len(uploads) > 1 && !s.doubt || len(uploads) == 0 || s.upload != "" && !known {
			return fmt.Errorf("%d uploads, the caller's among them: %v, in doubt: %v", len(uploads), known, s.doubt)
		}
		return nil
	}
	complete := func(exclusive bool) func(*stage) error {
		return func(s *stage) error {
			res, err := s.client.CompleteUpload(s.Context(), ossclient.CompleteRequest{Key: "m", Upload: s.upload, Parts: s.parts, NoOverwrite: exclusive})
			if err == nil && (res.Size != 2*matrixSize || res.ETag == "" || res.Date.IsZero()) {
				return fmt.Errorf("result %+v", res)
			}
			return err
		}
	}
	whole := func(s *stage) error {
		return errors.Join(none(s), is(s, "m", append(pattern(matrixSize), pattern(matrixSize)...)))
	}
	waiting := func(s *stage) error { return errors.Join(one(s), gone(s, "m")) }
	return []faultedCall{
		{op: "InitiateMultipartUpload", call: func(s *stage) (err error) {
			s.upload, err = s.client.CreateUpload(s.Context(), ossclient.UploadRequest{Key: "m", Doubt: func() { s.doubt = true }})
			return err
		}, check: oneKnown, absent: none},
		{op: "UploadPart", prepare: prepareUpload, call: uploadPart(1, nil), check: hasPart, absent: noPart, flips: true},
		{op: "UploadPartCopy", prepare: prepareUpload, call: func(s *stage) error {
			_, err := s.client.CopyPart(s.Context(), ossclient.CopyPartRequest{Key: "m", Upload: s.upload, Number: 1, Source: ossclient.Version{Key: "k"}, Length: matrixSize})
			return err
		}, check: hasPart, absent: noPart},
		{op: "CompleteMultipartUpload", prepare: prepareParts, call: complete(false), check: whole, absent: waiting},
		{op: "CompleteMultipartUpload", name: "exclusive", prepare: prepareParts, call: complete(true), check: whole, absent: waiting},
		{op: "AbortMultipartUpload", prepare: prepareParts, call: func(s *stage) error { return s.client.AbortUpload(s.Context(), "m", s.upload) }, check: none, absent: waiting},
		{op: "ListParts", prepare: prepareParts, call: func(s *stage) error {
			parts, err := s.client.ListParts(s.Context(), "m", s.upload)
			if err == nil && len(parts) != 2 {
				return fmt.Errorf("parts %+v", parts)
			}
			return err
		}},
		{op: "ListMultipartUploads", prepare: prepareParts, call: func(s *stage) error {
			for u, err := range s.client.ListUploads(s.Context(), "") {
				if err != nil {
					return err
				}
				if u.ID != s.upload {
					return fmt.Errorf("upload %+v", u)
				}
			}
			return nil
		}},
	}
}

func smallRows() []faultedCall {
	return []faultedCall{
		{op: "PutSymlink", prepare: prepareObject, call: func(s *stage) error { return s.client.PutSymlink(s.Context(), "l", "k", ossclient.Metadata{}) },
			check: func(s *stage) error {
				target, _, err := s.clean.GetSymlink(s.Context(), "l")
				if target != "k" {
					err = fmt.Errorf("target %q, %v", target, err)
				}
				return err
			}, absent: unmade("l")},
		{op: "GetSymlink", prepare: func(s *stage) {
			prepareObject(s)
			if err := s.clean.PutSymlink(s.Context(), "l", "k", ossclient.Metadata{}); err != nil {
				s.Fatal(err)
			}
		}, call: func(s *stage) error { _, _, err := s.client.GetSymlink(s.Context(), "l"); return err }},
		{op: "RestoreObject", prepare: func(s *stage) {
			_, err := s.clean.Put(s.Context(), ossclient.PutRequest{Key: "k", Body: strings.NewReader("x"), Size: 1, Options: ossclient.ObjectOptions{StorageClass: "Archive"}})
			if err != nil {
				s.Fatal(err)
			}
		}, call: func(s *stage) error { return s.client.Restore(s.Context(), "k", 1) },
			check: func(s *stage) error {
				_, err := get(s, s.clean, ossclient.GetRequest{Key: "k", Length: -1})
				return err
			},
			absent: func(s *stage) error {
				if _, err := get(s, s.clean, ossclient.GetRequest{Key: "k", Length: -1}); !errors.Is(err, ossclient.ErrArchived) {
					return fmt.Errorf("got %w, want ErrArchived", err)
				}
				return nil
			}},
		{op: "GetBucketLocation", call: func(s *stage) error {
			cfg := s.config
			cfg.Region = ""
			b, err := ossclient.OpenPatiently(s.Context(), cfg, s.stall, 2*s.stall)
			if err != nil {
				return err
			}
			defer b.Close()
			if b.Region() != ossservertest.Region {
				return fmt.Errorf("region %q", b.Region())
			}
			s.located = b.Stats()
			return nil
		}},
	}
}
