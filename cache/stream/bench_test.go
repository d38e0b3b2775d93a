package stream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
)

// The benchmarks talk to an OSS server in a process of its own, 15 ms away at 100 MB/s a connection, so that
// the CPU they report is the reader's alone. Each iteration is one whole, cold run:
//
//	go test -run '^$' -bench . -benchtime 1x ./cache/stream

const (
	serverVar   = "OSSFS_BENCH_SERVER"
	benchFiles  = 4000
	benchLength = 1 << 30
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVar) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve runs until its standard input ends.
func serve() error {
	s, err := ossserver.New(ossserver.Options{Keys: []ossserver.Key{{ID: "id", Secret: "secret"}}, CheapETag: true,
		Latency: 15 * time.Millisecond, Bandwidth: 100e6})
	if err != nil {
		return err
	}
	if err := s.CreateBucket("test"); err != nil {
		return err
	}
	if err := s.PutSynthetic("test", "big", benchLength, 1, nil); err != nil {
		return err
	}
	for i := range benchFiles {
		if err := s.PutSynthetic("test", fmt.Sprintf("d/%05d", i), 16<<10, uint64(i), nil); err != nil {
			return err
		}
	}
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(endpoint)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// rig is a server in another process and a client of it.
type rig struct {
	bucket *ossclient.Bucket
	big    ossclient.Version
	files  []ossclient.Version
}

func newRig(b *testing.B) *rig {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVar+"=1")
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = errors.Join(in.Close(), cmd.Wait()) })
	endpoint, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := ossclient.Open(b.Context(), ossclient.Config{Bucket: "test", Region: "cn-hangzhou", MaxConns: 64,
		Endpoint: strings.TrimSpace(endpoint), Credentials: fixed{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bucket.Close)
	r := &rig{bucket: bucket}
	big, err := bucket.Head(b.Context(), "big")
	if err != nil {
		b.Fatal(err)
	}
	r.big = big.Version
	for req := (ossclient.ListRequest{Prefix: "d/", MaxKeys: 1000}); ; {
		page, err := bucket.List(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for _, o := range page.Objects {
			r.files = append(r.files, o.Version)
		}
		if req.Token = page.Next; page.Next == "" {
			return r
		}
	}
}

type fixed struct{}

func (fixed) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{ID: "id", Secret: "secret"}, nil
}

// run does work once for each iteration, with a new Pool, and reports CPU and traffic of the last.
func (r *rig) run(b *testing.B, bytes int64, work func(p *stream.Pool)) {
	b.SetBytes(bytes)
	for range b.N {
		ranges := cache.NewRanges(1280 << 20)
		p := stream.New(stream.Options{Source: r.bucket, Ranges: ranges, Budget: budget.New(2 << 30), Logger: slog.New(slog.DiscardHandler)})
		cpu, start := cpuTime(), time.Now()
		work(p)
		b.ReportMetric(time.Since(start).Seconds(), "s")
		b.ReportMetric((cpuTime() - cpu).Seconds(), "cpu-s")
		b.ReportMetric(float64(p.Stats().Fetched)/(1<<20), "MiB-fetched")
		b.ReportMetric(float64(p.Stats().Gets), "GETs")
		p.Close()
		ranges.Close()
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkBareClient(b *testing.B) {
	r := newRig(b)
	r.run(b, benchLength, func(*stream.Pool) {
		var wg sync.WaitGroup
		var at atomic.Int64
		const part = 4 << 20
		for range 64 {
			wg.Go(func() {
				buf := make([]byte, 128<<10)
				for off := at.Add(part) - part; off < benchLength; off = at.Add(part) - part {
					body, err := r.bucket.Get(b.Context(), ossclient.GetRequest{Key: r.big.Key, Offset: off, Length: part})
					if err != nil {
						b.Error(err)
						return
					}
					for err == nil {
						_, err = body.Read(buf)
					}
					body.Close()
				}
			})
		}
		wg.Wait()
	})
}

func BenchmarkSequential(b *testing.B) {
	for _, readers := range []int{1, 4} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			r := newRig(b)
			r.run(b, benchLength, func(p *stream.Pool) {
				var wg sync.WaitGroup
				share := int64(benchLength / readers)
				for i := range readers {
					wg.Go(func() {
						f := p.Open(r.big, stream.Hint{})
						defer f.Close()
						buf := make([]byte, 1<<20)
						for off := int64(i) * share; off < int64(i+1)*share; off += int64(len(buf)) {
							if _, err := f.ReadAt(b.Context(), buf, off); err != nil && err != io.EOF {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

func BenchmarkSmallFiles(b *testing.B) {
	r := newRig(b)
	r.run(b, benchFiles*16<<10, func(p *stream.Pool) {
		buf := make([]byte, 128<<10)
		for i, v := range r.files {
			f := p.Open(v, stream.Hint{Dir: "d/", Next: func(n int) []ossclient.Version {
				return r.files[i+1 : min(i+1+n, len(r.files))]
			}})
			if _, err := f.ReadAt(b.Context(), buf, 0); err != io.EOF {
				b.Error(err)
			}
			f.Close()
		}
	})
}

func BenchmarkRandomSingle(b *testing.B) {
	r := newRig(b)
	r.run(b, 100*4096, func(p *stream.Pool) {
		f := p.Open(r.big, stream.Hint{})
		defer f.Close()
		rnd := rand.New(rand.NewPCG(1, 2))
		var took []time.Duration
		for range 100 {
			start := time.Now()
			if _, err := f.ReadAt(b.Context(), make([]byte, 4096), rnd.Int64N(benchLength/4096)*4096); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[50].Microseconds())/1000, "ms-median")
	})
}

func BenchmarkRandomReaders(b *testing.B) {
	r := newRig(b)
	r.run(b, 0, func(p *stream.Pool) {
		var wg sync.WaitGroup
		var reads [10]atomic.Int64
		begin := time.Now()
		for i := range 8 {
			wg.Go(func() {
				f := p.Open(r.big, stream.Hint{})
				defer f.Close()
				rnd, buf := rand.New(rand.NewPCG(1, uint64(i))), make([]byte, 4096)
				for {
					second := int(time.Since(begin) / time.Second)
					if second >= len(reads) {
						return
					}
					if _, err := f.ReadAt(b.Context(), buf, rnd.Int64N(benchLength/4096)*4096); err != nil {
						b.Error(err)
					}
					reads[second].Add(1)
				}
			})
		}
		wg.Wait()
		total := int64(0)
		for i := range reads {
			total += reads[i].Load()
			b.Logf("second %d: %d reads", i, reads[i].Load())
		}
		b.ReportMetric(float64(total)/10, "IOPS")
	})
}
