package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The bare clients are the yardstick: net/http and nothing else, the bytes thrown away.

func bareClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
		DisableCompression: true, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
	}}
}

// bareGet reads size bytes of url in pieces on so many connections.
func bareGet(url string, size, piece int64, connections int) (time.Duration, error) {
	client := bareClient(connections)
	defer client.CloseIdleConnections()
	return spread(connections, int((size+piece-1)/piece), func(i int) error {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		first := int64(i) * piece
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, min(first+piece, size)-1))
		return send(client, req, http.StatusPartialContent)
	})
}

// barePut sends objects of these sizes, at most most, to urls below base on so many connections.
func barePut(base string, sizes []int, most, connections int) (time.Duration, error) {
	client := bareClient(connections)
	defer client.CloseIdleConnections()
	body := make([]byte, most)
	return spread(connections, len(sizes), func(i int) error {
		req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/%d", base, i), bytes.NewReader(body[:sizes[i]]))
		if err != nil {
			return err
		}
		return send(client, req, http.StatusOK)
	})
}

func send(client *http.Client, req *http.Request, want int) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s answered %s", req.Method, resp.Status)
	}
	return nil
}

// spread does n pieces of work on so many goroutines and returns the first error.
func spread(workers, n int, work func(i int) error) (time.Duration, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range min(workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := work(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(start), nil
}
