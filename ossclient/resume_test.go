package ossclient_test

import (
	"bytes"
	"errors"
	"hash/crc64"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// A body that breaks again and again is read to its end, in whatever pieces.
func TestABodyGoesOnWhereItBroke(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	b := open(t, s, nil)
	want := pattern(3 << 20)
	put(t, b, "k", want, ossclient.Metadata{})
	for _, size := range []int{1000, 64 << 10, 4 << 20} {
		s.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.CutBody, Count: 5})
		before := b.Stats().Resumes
		body, err := b.Get(t.Context(), ossclient.GetRequest{Key: "k", Length: -1})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		_, err = io.CopyBuffer(&got, struct{ io.Reader }{body}, make([]byte, size))
		body.Close()
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("by %d: got %d bytes, %v; want %d", size, got.Len(), err, len(want))
		}
		if n := b.Stats().Resumes - before; n < 4 {
			t.Errorf("by %d: %d resumptions, want about five", size, n)
		}
	}
}

// The bytes of two versions are never mixed: the object changed while its body was broken.
func TestABodyDoesNotGoOnWithAnotherVersion(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	b := open(t, s, nil)
	put(t, b, "k", pattern(3<<20), ossclient.Metadata{})
	s.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.CutBody, Count: 1})
	body, err := b.Get(t.Context(), ossclient.GetRequest{Key: "k", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ossservertest.Bucket, "k", pattern(3<<20+1), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, ossclient.ErrPrecondition) {
		t.Errorf("got %v, want ErrPrecondition", err)
	}
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, ossclient.ErrPrecondition) {
		t.Errorf("reading on: got %v, want the same error", err)
	}
}

// A damaged object in the bucket is never given as if it were right, and the log has it as an error.
func TestALastingMismatchIsCorrupt(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	var log bytes.Buffer
	b := open(t, s, func(c *ossclient.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, size := range []int{10, 1 << 20, 3 << 20} {
		put(t, b, "k", pattern(size), ossclient.Metadata{})
		s.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.FlipBit})
		log.Reset()
		resumes := b.Stats().Resumes
		got, err := get(t, b, ossclient.GetRequest{Key: "k", Length: -1})
		if !errors.Is(err, ossclient.ErrCorrupt) || len(got) == size {
			t.Errorf("%d bytes: got %d, %v; want ErrCorrupt and not all bytes", size, len(got), err)
		}
		if n := b.Stats().Resumes - resumes; size <= 1<<20 && n != 2 {
			t.Errorf("%d bytes: asked again %d times, want twice", size, n)
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "checksum mismatch") {
			t.Errorf("%d bytes: the log has %q, want one error", size, text)
		}
		s.SetFaults()
	}
}

// What OSS stored wrongly is sent again, and when it stays wrong it is an error in the log and to the caller, who is told
// what is stored. An exclusive put is not repeated: it would be taken for one that met another client's object.
func TestAMismatchOfAPutIsCorrupt(t *testing.T) {
	forbidden := ossserver.Fault{Op: "PutObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"}
	for name, test := range map[string]struct {
		exclusive bool
		faults    []ossserver.Fault
		want      error // nil: right bytes
		retries   int64
	}{
		"once":            {false, []ossserver.Fault{{Op: "PutObject", Kind: ossserver.FlipBit, Count: 1}}, nil, 1},
		"always":          {false, []ossserver.Fault{{Op: "PutObject", Kind: ossserver.FlipBit}}, ossclient.ErrCorrupt, 2},
		"and then no way": {false, []ossserver.Fault{{Op: "PutObject", Kind: ossserver.FlipBit, Count: 1}, forbidden}, ossclient.ErrPermission, 1},
		"exclusive":       {true, []ossserver.Fault{{Op: "PutObject", Kind: ossserver.FlipBit}}, ossclient.ErrCorrupt, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := ossservertest.NewTest(t, ossserver.Options{})
			var log bytes.Buffer
			b := open(t, s, func(c *ossclient.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			s.SetFaults(test.faults...)
			_, err := b.Put(t.Context(), ossclient.PutRequest{Key: "k", Body: bytes.NewReader(pattern(5000)), Size: 5000, NoOverwrite: test.exclusive})
			if !errors.Is(err, test.want) || b.Stats().Retries != test.retries {
				t.Errorf("got %v after %d repetitions, want %v after %d", err, b.Stats().Retries, test.want, test.retries)
			}
			if n := strings.Count(log.String(), "level=ERROR"); (n == 1) != (test.want == ossclient.ErrCorrupt) {
				t.Errorf("%d errors in the log: %q", n, log.String())
			}
			o, herr := b.Head(t.Context(), "k")
			sum, known := ossclient.StoredSum(err)
			switch {
			case herr != nil:
				t.Error(herr)
			case test.want == nil && o.CRC64 != crc64.Checksum(pattern(5000), crc64.MakeTable(crc64.ECMA)):
				t.Error("other bytes are stored")
			case test.want != nil && (!known || sum != o.CRC64):
				t.Errorf("got %d, %v as what is stored, want %d", sum, known, o.CRC64)
			}
		})
	}
}
