package ossclient

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The benchmarks run ossclient and a bare net/http client in turn against the same plain server in
// another process: trust the ratios. The server knows nothing of OSS, so that its own work is small.

func benchHandler() http.Handler {
	big := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	list := listing(1000)
	sums := map[int64]string{}
	for _, n := range []int64{4 << 10, 16 << 10, 1 << 20, 8 << 20} {
		sums[n] = strconv.FormatUint(sumOf(big[:n]), 10)
	}
	buffers := sync.Pool{New: func() any { p := make([]byte, 256<<10); return &p }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", `"5B3C1A2E053D763E1B002CC607C5A0FE"`)
		h.Set("X-Oss-Request-Id", "5C06A3B67B8B5A3DA422299D")
		switch {
		case r.Method == http.MethodPut:
			p := buffers.Get().(*[]byte)
			n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, *p)
			buffers.Put(p)
			h.Set("X-Oss-Hash-Crc64ecma", sums[n])
		case r.URL.RawQuery != "":
			h.Set("Content-Length", strconv.Itoa(len(list)))
			w.Write(list)
		default:
			n, _ := strconv.ParseInt(r.URL.Path[len("/test/"):], 10, 64)
			h.Set("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
			h.Set("Content-Type", "application/octet-stream")
			h.Set("Content-Length", strconv.FormatInt(n, 10))
			h.Set("X-Oss-Object-Type", "Normal")
			h.Set("X-Oss-Meta-Mode", "33188")
			h.Set("X-Oss-Meta-Mtime", "1700000000")
			if r.Header.Get("Range") == "" { // a range is not verified: its answer says nothing to verify by
				h.Set("X-Oss-Hash-Crc64ecma", sums[n])
			}
			w.Write(big[:n])
		}
	})
}

func benchServer(b *testing.B) string {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), serveBench+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func listing(n int) []byte {
	var doc bytes.Buffer
	doc.WriteString(`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>test</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>`)
	for i := range n {
		fmt.Fprintf(&doc, `<Contents><Key>src%%2Fcmd%%2Fcompile%%2Finternal%%2Ffile%%20number%06d.go</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified><ETag>"5B3C1A2E053D763E1B002CC607C5%04X"</ETag><Type>Normal</Type><Size>%d</Size><StorageClass>Standard</StorageClass></Contents>`, i, i, i*37)
	}
	doc.WriteString(`<KeyCount>1000</KeyCount></ListBucketResult>`)
	return doc.Bytes()
}

// bare is the least that any client of net/http must do.
func bare(b *testing.B) *http.Client {
	t := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	b.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// spent is the time that passed and the processor time that this process used.
type spent struct{ wall, cpu time.Duration }

func (s *spent) measure(f func()) {
	cpu, start := cpuTime(), time.Now()
	f()
	s.wall += time.Since(start)
	s.cpu += cpuTime() - cpu
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pairs is how many runs of each of two things make one ratio: enough for the garbage collector to have its part in
// them.
const pairs = 16

// versus runs two things in turn, so that a busy machine disturbs both alike, and reports their ratios: of
// time, and of this process's processor time. Each is the median of the ratios of short rounds, of which a busy
// machine spoils some. size is what each moves, in bytes; 0: not said.
func versus(b *testing.B, size int64, ours, bare func()) {
	var a, z spent
	var walls, cpus, took, used []float64
	ours()
	bare()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 1; b.Loop(); i++ {
		if i%2 == 0 {
			a.measure(ours)
			z.measure(bare)
		} else {
			z.measure(bare)
			a.measure(ours)
		}
		if i%pairs == 0 {
			walls = append(walls, float64(z.wall)/float64(a.wall))
			cpus = append(cpus, float64(z.cpu)/float64(a.cpu))
			took = append(took, a.wall.Seconds()/pairs)
			used = append(used, a.cpu.Seconds()/pairs)
			a, z = spent{}, spent{}
		}
	}
	if len(walls) == 0 {
		return // the first trial of a benchmark is one run
	}
	b.ReportMetric(median(took)*1e6, "us")
	b.ReportMetric(median(used)*1e6, "cpu-us")
	b.ReportMetric(median(walls), "of-bare")
	b.ReportMetric(median(cpus), "cpu-of-bare")
	if size >= 1<<20 {
		b.ReportMetric(median(used)/(float64(size)/(1<<30)), "cpu-s/GiB")
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func BenchmarkGet(b *testing.B) {
	url := benchServer(b)
	for _, size := range []struct {
		name string
		n    int64
	}{{"4KiB", 4 << 10}, {"1MiB", 1 << 20}, {"8MiB", 8 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			buf := make([]byte, size.n)
			bucket, client := openAt(b, url, nil), bare(b)
			key := strconv.FormatInt(size.n, 10)
			versus(b, size.n, func() { getOurs(b, bucket, Key(key), -1, buf) }, func() { getBare(b, client, url+"/test/"+key, buf) })
		})
		b.Run(size.name+"-range", func(b *testing.B) {
			buf := make([]byte, size.n)
			bucket, client := openAt(b, url, nil), bare(b)
			key := strconv.FormatInt(size.n, 10)
			versus(b, size.n, func() { getOurs(b, bucket, Key(key), size.n, buf) }, func() { getBare(b, client, url+"/test/"+key, buf) })
		})
	}
}

func getOurs(b *testing.B, bucket *Bucket, key Key, length int64, buf []byte) {
	body, err := bucket.Get(b.Context(), GetRequest{Key: key, Length: length})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(body, buf); err != nil {
		b.Fatal(err)
	}
	body.Close()
}

func getBare(b *testing.B, client *http.Client, url string, buf []byte) {
	req, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, buf); err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
}

func BenchmarkPut(b *testing.B) {
	url := benchServer(b)
	for _, size := range []struct {
		name string
		n    int64
	}{{"16KiB", 16 << 10}, {"8MiB", 8 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			body := bytes.Repeat([]byte("0123456789abcdef"), int(size.n/16))
			bucket, client := openAt(b, url, nil), bare(b)
			versus(b, size.n, func() {
				if _, err := bucket.Put(b.Context(), PutRequest{Key: "put", Body: bytes.NewReader(body), Size: size.n}); err != nil {
					b.Fatal(err)
				}
			}, func() {
				req, _ := http.NewRequestWithContext(b.Context(), http.MethodPut, url+"/test/put", bytes.NewReader(body))
				resp, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			})
		})
	}
}

// BenchmarkUploadPart sends a part of a file, as a mount does: what a GiB costs the client alone.
func BenchmarkUploadPart(b *testing.B) {
	const size = 8 << 20
	file, err := os.Create(filepath.Join(b.TempDir(), "staged"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(bytes.Repeat([]byte("0123456789abcdef"), size/16)); err != nil {
		b.Fatal(err)
	}
	url := benchServer(b)
	bucket, client := openAt(b, url, nil), bare(b)
	versus(b, size, func() {
		if _, err := bucket.UploadPart(b.Context(), PartRequest{Key: "put", Upload: "u", Number: 1, Body: file, Size: size}); err != nil {
			b.Fatal(err)
		}
	}, func() {
		req, _ := http.NewRequestWithContext(b.Context(), http.MethodPut, url+"/test/put", io.NewSectionReader(file, 0, size))
		req.ContentLength = size
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	})
}

func BenchmarkList1000(b *testing.B) {
	url := benchServer(b)
	bucket, client := openAt(b, url, nil), bare(b)
	versus(b, 0, func() {
		page, err := bucket.List(b.Context(), ListRequest{})
		if err != nil || len(page.Objects) != 1000 {
			b.Fatal(len(page.Objects), err)
		}
	}, func() {
		req, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/test/?list-type=2", nil)
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	})
}

func BenchmarkScanPage(b *testing.B) {
	doc := listing(1000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	var s spent
	for b.Loop() {
		s.measure(func() {
			if _, err := scanPage(doc); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.ReportMetric(float64(s.cpu.Nanoseconds())/float64(b.N)/1000, "cpu-ns/key")
}

func BenchmarkSign(b *testing.B) {
	for _, version := range []string{signV1, signV2, signV4} {
		b.Run(version, func(b *testing.B) {
			bucket := openAt(b, "http://127.0.0.1:1", func(c *Config) { c.Sign = version })
			r := (&Body{bucket: bucket, req: GetRequest{Key: "some/key/of/normal/length.txt", Offset: 4096, Length: 1 << 20, IfMatch: "5B3C1A2E053D763E1B002CC607C5A0FE"}}).request()
			b.ReportAllocs()
			for b.Loop() {
				bucket.build(b.Context(), r, Credential{ID: "test-id", Secret: "test-secret"}, &upload{})
			}
		})
	}
}
