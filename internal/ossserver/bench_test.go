package ossserver

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// exchange sends a signed request and throws the answer away.
func (c *client) exchange(method, target, body string, headers ...string) {
	req := c.request(method, target, body, headers...)
	c.sign(req)
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode >= 300 {
		c.t.Fatalf("%s %s: %d %v", method, target, res.StatusCode, err)
	}
}

func eachStore(b *testing.B, f func(b *testing.B, c *client)) {
	for _, name := range []string{"memory", "disk"} {
		b.Run(name, func(b *testing.B) {
			o := Options{}
			if name == "disk" {
				o.Dir = b.TempDir()
			}
			f(b, start(b, o))
		})
	}
}

func BenchmarkGet(b *testing.B) {
	eachStore(b, func(b *testing.B, c *client) {
		for _, size := range []int{4 << 10, 1 << 20, 32 << 20} {
			c.put("k", repeat(size))
			b.Run(fmt.Sprint(size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					c.exchange(http.MethodGet, "/test/k", "")
				}
			})
		}
	})
}

func BenchmarkPut(b *testing.B) {
	for _, cheap := range []bool{false, true} {
		for _, name := range []string{"memory", "disk"} {
			o := Options{CheapETag: cheap}
			if name == "disk" {
				o.Dir = b.TempDir()
			}
			c := start(b, o)
			for _, size := range []int{4 << 10, 8 << 20} {
				body := repeat(size)
				b.Run(fmt.Sprintf("cheap=%t/%s/%d", cheap, name, size), func(b *testing.B) {
					b.SetBytes(int64(size))
					for b.Loop() {
						c.exchange(http.MethodPut, "/test/k", body)
					}
				})
			}
		}
	}
}

func BenchmarkSyntheticGet(b *testing.B) {
	c := start(b, Options{})
	if err := c.server.PutSynthetic(testBucket, "k", 32<<20, 1, nil); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(32 << 20)
	for b.Loop() {
		c.exchange(http.MethodGet, "/test/k", "")
	}
}

func BenchmarkList(b *testing.B) {
	c := start(b, Options{})
	for i := range 100_000 {
		if err := c.server.PutSynthetic(testBucket, fmt.Sprintf("dir%02d/file-%06d.dat", i%100, i), 1000, uint64(i), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("1000 keys", func(b *testing.B) {
		for b.Loop() {
			c.exchange(http.MethodGet, "/test/?list-type=2&max-keys=1000", "")
		}
	})
	b.Run("100 prefixes", func(b *testing.B) {
		for b.Loop() {
			c.exchange(http.MethodGet, "/test/?list-type=2&max-keys=1000&delimiter=/", "")
		}
	})
}

// BenchmarkStart measures how long a directory of many keys takes to open.
func BenchmarkStart(b *testing.B) {
	const keys = 200_000
	dir := b.TempDir()
	s, err := New(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.CreateBucket(testBucket); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	for i := range keys {
		if err := s.Put(testBucket, fmt.Sprintf("dir%03d/file-%07d.dat", i%1000, i), []byte("0123456789"), http.Header{"X-Oss-Meta-Mode": {"33188"}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(begin).Nanoseconds())/keys, "ns/put")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := New(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
