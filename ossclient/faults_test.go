package ossclient_test

import (
	"bytes"
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
	parts  []ossclient.Part
}

const matrixSize = 300 << 10

// faultedCall is one row of the matrix.
type faultedCall struct {
	op      string
	name    string // when the row is another form of op
	prepare func(*stage)
	call    func(*stage) error
	check   func(*stage) error // the effect is there, exactly once
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
		{op: "PutObject", call: putAgain(false), check: isNew, flips: true},
		// An exclusive put whose bytes were damaged on the way meets its own damaged object.
		{op: "PutObject", name: "exclusive", call: putAgain(true), check: isNew, flips: true, spoilt: true},
		{op: "CopyObject", prepare: prepareObject, call: copyIt(false), check: isCopy},
		{op: "CopyObject", name: "exclusive", prepare: prepareObject, call: copyIt(true), check: isCopy},
		{op: "DeleteObject", prepare: prepareObject, call: func(s *stage) error { return s.client.Delete(s.Context(), "k") },
			check: func(s *stage) error { return gone(s, "k") }},
		{op: "DeleteMultipleObjects", prepare: prepareObject,
			call:  func(s *stage) error { return s.client.DeleteMany(s.Context(), []ossclient.Key{"k", "n"}) },
			check: func(s *stage) error { return gone(s, "k") }, flips: true},
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
		}, check: func(s *stage) error { return is(s, "a", append(pattern(matrixSize), pattern(matrixSize)...)) }, flips: true, spoilt: true},
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
	return []faultedCall{
		{op: "InitiateMultipartUpload", call: func(s *stage) error {
			_, err := s.client.CreateUpload(s.Context(), ossclient.UploadRequest{Key: "m"})
			return err
		}, check: one},
		{op: "UploadPart", prepare: prepareUpload, call: uploadPart(1, nil), check: hasPart, flips: true},
		{op: "UploadPartCopy", prepare: prepareUpload, call: func(s *stage) error {
			_, err := s.client.CopyPart(s.Context(), ossclient.CopyPartRequest{Key: "m", Upload: s.upload, Number: 1, Source: ossclient.Version{Key: "k"}, Length: matrixSize})
			return err
		}, check: hasPart},
		{op: "CompleteMultipartUpload", prepare: prepareParts, call: complete(false), check: whole},
		{op: "CompleteMultipartUpload", name: "exclusive", prepare: prepareParts, call: complete(true), check: whole},
		{op: "AbortMultipartUpload", prepare: prepareParts, call: func(s *stage) error { return s.client.AbortUpload(s.Context(), "m", s.upload) }, check: none},
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
			}},
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
			}},
	}
}

func faultKinds() map[string]ossserver.FaultKind {
	return map[string]ossserver.FaultKind{
		"500": ossserver.Error500, "503": ossserver.Error503, "slow down": ossserver.SlowDown, "reset before": ossserver.ResetBefore,
		"reset after": ossserver.ResetAfter, "cut": ossserver.CutBody, "flip": ossserver.FlipBit, "stall": ossserver.Stall,
	}
}

func newStage(t *testing.T, row faultedCall, kind ossserver.FaultKind, budget time.Duration) *stage {
	server := ossservertest.NewTest(t, ossserver.Options{MinPartSize: 1})
	s := &stage{T: t, server: server, clean: open(t, server, nil)}
	s.client = open(t, server, func(c *ossclient.Config) { c.RetryBudget = budget })
	if kind == ossserver.Stall {
		ossclient.SetPatience(s.client, 100*time.Millisecond, 200*time.Millisecond)
	}
	if row.prepare != nil {
		row.prepare(s)
	}
	return s
}

// A fault that passes costs time: the call succeeds, and its effect is there once.
func TestPassingFaults(t *testing.T) {
	for _, row := range matrix() {
		for name, kind := range faultKinds() {
			if kind == ossserver.FlipBit && (!row.flips || row.spoilt) {
				continue
			}
			t.Run(row.op+row.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, row, kind, 10*time.Second)
				s.server.SetFaults(ossserver.Fault{Op: row.op, Kind: kind, Count: 1})
				if err := row.call(s); err != nil {
					t.Errorf("got %v, want success", err)
				}
				s.server.SetFaults()
				if st := s.client.Stats(); st.Retries+st.Resumes == 0 && kind != ossserver.ResetAfter && (kind < ossserver.CutBody || kind > ossserver.Stall) {
					t.Errorf("no fault was met: %+v", st)
				}
				if row.check != nil {
					if err := row.check(s); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// A fault that stays is an error of the right kind, soon.
func TestLastingFaults(t *testing.T) {
	for _, row := range matrix() {
		for name, kind := range faultKinds() {
			if kind == ossserver.FlipBit && !row.flips {
				continue
			}
			t.Run(row.op+row.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, row, kind, 120*time.Millisecond)
				s.server.SetFaults(ossserver.Fault{Op: row.op, Kind: kind})
				err := row.call(s)
				want := []error{ossclient.ErrUnavailable}
				switch kind {
				case ossserver.Error503, ossserver.SlowDown:
					want = []error{ossclient.ErrThrottled}
				case ossserver.FlipBit:
					want = []error{ossclient.ErrCorrupt, ossclient.ErrExist, ossclient.ErrInvalid}
				case ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody, ossserver.Stall:
				}
				if !slices.ContainsFunc(want, func(k error) bool { return errors.Is(err, k) }) {
					if err == nil && row.check != nil && kind != ossserver.FlipBit && row.check(s) == nil {
						return // it had its effect, and the client found out
					}
					if err == nil && (kind == ossserver.CutBody || kind == ossserver.Stall) {
						return // there was no body to spoil
					}
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}
