package ossclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// The benchmarks run ossclient and a bare net/http client against the same plain server, one after the
// other in one process: trust the ratios. The server knows nothing of OSS, so that its own work is small.

func benchServer(b *testing.B) *httptest.Server {
	big := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	list := listing(1000)
	sums := map[int64]string{}
	for _, n := range []int64{4 << 10, 1 << 20, 8 << 20} {
		sums[n] = strconv.FormatUint(sumOf(big[:n]), 10)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", `"5B3C1A2E053D763E1B002CC607C5A0FE"`)
		h.Set("X-Oss-Request-Id", "5C06A3B67B8B5A3DA422299D")
		switch {
		case r.Method == http.MethodPut:
			n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
			if n == 16<<10 {
				h.Set("X-Oss-Hash-Crc64ecma", strconv.FormatUint(sumOf(big[:n]), 10))
			}
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
	}))
	b.Cleanup(s.Close)
	return s
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

// versus runs two things in turn, so that a busy machine disturbs both alike, and reports their ratio.
func versus(b *testing.B, ours, bare func()) {
	var t [2]time.Duration
	ours()
	bare()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		for k := range 2 {
			which := (i + k) % 2
			start := time.Now()
			if which == 0 {
				ours()
			} else {
				bare()
			}
			t[which] += time.Since(start)
		}
	}
	b.ReportMetric(float64(t[0].Nanoseconds())/float64(b.N), "ours-ns")
	b.ReportMetric(float64(t[1].Nanoseconds())/float64(b.N), "bare-ns")
	b.ReportMetric(float64(t[1])/float64(t[0]), "ratio")
}

func BenchmarkGet(b *testing.B) {
	s := benchServer(b)
	for _, size := range []struct {
		name string
		n    int64
	}{{"4KiB", 4 << 10}, {"1MiB", 1 << 20}, {"8MiB", 8 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			buf := make([]byte, size.n)
			bucket, client := openAt(b, s.URL, nil), bare(b)
			key := strconv.FormatInt(size.n, 10)
			versus(b, func() { getOurs(b, bucket, Key(key), -1, buf) }, func() { getBare(b, client, s.URL+"/test/"+key, buf) })
		})
		b.Run(size.name+"-range", func(b *testing.B) {
			buf := make([]byte, size.n)
			bucket, client := openAt(b, s.URL, nil), bare(b)
			key := strconv.FormatInt(size.n, 10)
			versus(b, func() { getOurs(b, bucket, Key(key), size.n, buf) }, func() { getBare(b, client, s.URL+"/test/"+key, buf) })
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
	s := benchServer(b)
	for _, size := range []struct {
		name string
		n    int64
	}{{"16KiB", 16 << 10}, {"8MiB", 8 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			body := bytes.Repeat([]byte("0123456789abcdef"), int(size.n/16))
			bucket, client := openAt(b, s.URL, nil), bare(b)
			versus(b, func() {
				if _, err := bucket.Put(b.Context(), PutRequest{Key: "put", Body: bytes.NewReader(body), Size: size.n}); err != nil {
					b.Fatal(err)
				}
			}, func() {
				req, _ := http.NewRequestWithContext(b.Context(), http.MethodPut, s.URL+"/test/put", bytes.NewReader(body))
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

func BenchmarkList1000(b *testing.B) {
	s := benchServer(b)
	bucket, client := openAt(b, s.URL, nil), bare(b)
	versus(b, func() {
		page, err := bucket.List(b.Context(), ListRequest{})
		if err != nil || len(page.Objects) != 1000 {
			b.Fatal(len(page.Objects), err)
		}
	}, func() {
		req, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+"/test/?list-type=2", nil)
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
	for b.Loop() {
		if _, err := scanPage(doc); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
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
