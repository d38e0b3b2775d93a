package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// The server runs in a process of its own, so that its CPU time and memory are not the mount's, nor
// the bare client's. Parent and child speak JSON lines over the child's standard input and output.

const (
	serverEnv      = "OSSFS_BENCH_SERVER"
	bucketName     = "bench"
	openBucketName = "bench-open" // for the bare clients; everybody may read and write both
	keyID          = "bench-id"
	keySecret      = "bench-secret"
)

// order is one request to the child. Exactly one field is set.
type order struct {
	Seed   *seed  `json:"seed,omitempty"`
	Shape  *shape `json:"shape,omitempty"`
	Counts bool   `json:"counts,omitempty"`
	Reset  bool   `json:"reset,omitempty"`
	Keys   bool   `json:"keys,omitempty"`
}

// seed adds synthetic objects: Files in each of Dirs, named by format strings.
type seed struct {
	Dir   string // "d%04d/", at most one %d; empty: no directories
	File  string // "f%04d", one %d
	Dirs  int
	Files int
	Size  int64
	Meta  bool // with the headers that ossfs stores
	// Prefix has the directories without objects of their own: as many requests for attributes as there are files.
	Prefix bool
}

// shape is how slow the network looks.
type shape struct {
	Latency   time.Duration
	Bandwidth int64 // bytes/s a connection, 0: no limit
}

// answer is the child's reply, after its first line, which is the two endpoints.
type answer struct {
	Err    string           `json:"err,omitempty"`
	Counts map[string]int64 `json:"counts,omitempty"`
	In     int64            `json:"in,omitempty"`
	Out    int64            `json:"out,omitempty"`
	Keys   int              `json:"keys,omitempty"`
}

// requests is the sum over all operations.
func (a answer) requests() int64 {
	var n int64
	for _, v := range a.Counts {
		n += v
	}
	return n
}

// serve is the child's life: it ends when its standard input does.
func serve(in io.Reader, out io.Writer) error {
	s, err := ossserver.New(ossserver.Options{
		Keys:      []ossserver.Key{{ID: keyID, Secret: keySecret}},
		CheapETag: true,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	s3Endpoint, err := s.StartBehind("127.0.0.1:0", s3{s})
	if err != nil {
		return err
	}
	for _, name := range []string{bucketName, openBucketName} {
		if err := s.CreateBucket(name); err != nil {
			return err
		}
		if err := s.SetBucketACL(name, "public-read-write"); err != nil {
			return err
		}
	}
	if err := s.PutSynthetic(openBucketName, "large", gib, 0, nil); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, endpoint, s3Endpoint); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	for dec := json.NewDecoder(in); ; {
		var o order
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := enc.Encode(obey(s, o)); err != nil {
			return err
		}
	}
}

func obey(s *ossserver.Server, o order) answer {
	switch {
	case o.Seed != nil:
		if err := sow(s, *o.Seed); err != nil {
			return answer{Err: err.Error()}
		}
	case o.Shape != nil:
		s.SetLatency(o.Shape.Latency)
		s.SetBandwidth(o.Shape.Bandwidth)
	case o.Reset:
		s.ResetCounts()
	case o.Keys:
		return answer{Keys: len(s.Keys(bucketName))}
	}
	in, out := s.Bytes()
	return answer{Counts: s.Counts(), In: in, Out: out}
}

// server is the parent's end.
type server struct {
	endpoint string
	s3       string // the endpoint for clients of S3
	cmd      *exec.Cmd
	in       io.WriteCloser
	enc      *json.Encoder
	dec      *json.Decoder
}

func startServer() (*server, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server said no endpoints: %w", err), cmd.Wait())
	}
	endpoint, s3, _ := strings.Cut(strings.TrimSpace(line), " ")
	return &server{endpoint, s3, cmd, in, json.NewEncoder(in), json.NewDecoder(r)}, nil
}

func (s *server) ask(o order) (answer, error) {
	if err := s.enc.Encode(o); err != nil {
		return answer{}, err
	}
	var a answer
	if err := s.dec.Decode(&a); err != nil {
		return answer{}, err
	}
	if a.Err != "" {
		return answer{}, errors.New(a.Err)
	}
	return a, nil
}

func (s *server) close() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}
