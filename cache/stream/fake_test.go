package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// bucket is the seam's fake: objects in memory behind a latency and a bandwidth for each connection.
type bucket struct {
	latency   time.Duration
	bandwidth int64 // bytes a second; 0: no limit

	mu      sync.Mutex
	objects map[ossclient.Key]*stored
	gets    []ossclient.GetRequest
	sent    int64
	busy    int
	busiest int
	fail    func(ossclient.GetRequest) error
	hang    map[int64]bool // offsets whose GET never ends
	lax     bool           // If-Match is not looked at
	tear    func() bool    // asked before each piece of a body whether it breaks; nil: none does
}

type stored struct {
	body []byte
	etag ossclient.ETag
	sum  uint64
}

func newBucket() *bucket {
	return &bucket{latency: 15 * time.Millisecond, bandwidth: 100e6, objects: map[ossclient.Key]*stored{}, hang: map[int64]bool{}}
}

// put stores n pseudo-random bytes.
func (b *bucket) put(key ossclient.Key, n int64, seed uint64) ossclient.Version {
	body := make([]byte, n)
	var s [32]byte
	copy(s[:], fmt.Sprint(key, seed))
	_, _ = rand.NewChaCha8(s).Read(body[:min(n, 1<<20)])
	for done := int64(1 << 20); done < n; { // each piece differs from the others by its first bytes
		start := done
		done += int64(copy(body[done:], body[:1<<20]))
		for at := start; at+8 <= done; at += 4096 {
			binary.LittleEndian.PutUint64(body[at:], uint64(at))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	etag := ossclient.ETag(fmt.Sprintf("%s-%d", key, seed))
	b.objects[key] = &stored{body, etag, crc.Update(0, body)}
	return ossclient.Version{Key: key, ETag: etag, Size: n}
}

func ossKey(s string) ossclient.Key { return ossclient.Key(s) }

// version is what is stored at key.
func (b *bucket) version(key string) ossclient.Version {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.objects[ossKey(key)]
	if o == nil {
		return ossclient.Version{}
	}
	return ossclient.Version{Key: ossKey(key), ETag: o.etag, Size: int64(len(o.body))}
}

func (b *bucket) get(ctx context.Context, req ossclient.GetRequest) (io.ReadCloser, ossclient.Object, error) {
	b.mu.Lock()
	b.gets = append(b.gets, req)
	b.busy++
	b.busiest = max(b.busiest, b.busy)
	fail, hang := b.fail, b.hang[req.Offset]
	b.mu.Unlock()
	end := func() {
		b.mu.Lock()
		b.busy--
		b.mu.Unlock()
	}
	err := sleep(ctx, b.latency)
	if err == nil && hang {
		<-ctx.Done()
		err = ctx.Err()
	}
	if err == nil && fail != nil {
		err = fail(req)
	}
	b.mu.Lock()
	o := b.objects[req.Key]
	b.mu.Unlock()
	switch {
	case err != nil:
	case o == nil:
		err = &ossclient.Error{Op: "GetObject", Key: req.Key, Kind: ossclient.ErrNotExist}
	case req.IfMatch != o.etag && !b.lax:
		err = &ossclient.Error{Op: "GetObject", Key: req.Key, Kind: ossclient.ErrPrecondition}
	}
	if err != nil {
		end()
		return nil, ossclient.Object{}, err
	}
	object := ossclient.Object{Version: ossclient.Version{Key: req.Key, ETag: o.etag, Size: int64(len(o.body))}, CRC64: o.sum, HasCRC64: true}
	return &answer{ctx: ctx, bucket: b, rest: o.body[req.Offset : req.Offset+req.Length], end: sync.OnceFunc(end)}, object, nil
}

type answer struct {
	ctx    context.Context
	bucket *bucket
	rest   []byte
	end    func()
}

func (a *answer) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		return 0, io.EOF
	}
	if a.bucket.tear != nil && a.bucket.tear() {
		return 0, &ossclient.Error{Op: "GetObject", Kind: ossclient.ErrUnavailable}
	}
	n := min(len(p), len(a.rest), 32<<10)
	if a.bucket.bandwidth > 0 {
		if err := sleep(a.ctx, time.Duration(int64(n)*int64(time.Second)/a.bucket.bandwidth)); err != nil {
			return 0, err
		}
	}
	copy(p, a.rest[:n])
	a.rest = a.rest[n:]
	a.bucket.mu.Lock()
	a.bucket.sent += int64(n)
	a.bucket.mu.Unlock()
	return n, nil
}

func (a *answer) Close() error { a.end(); return nil }

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bucket) counts() (gets int, sent int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.gets), b.sent
}

// setup is what a test's Pool is made of.
type setup struct {
	ranges, memory int64
	conns          int
}

func (b *bucket) pool(t testing.TB, s setup) *Pool {
	t.Helper()
	r := cache.NewRanges(s.ranges)
	if s.memory == 0 {
		s.memory = 256 << 20
	}
	p := newPool(Options{Ranges: r, Budget: budget.New(s.ranges + s.memory), MaxConns: s.conns,
		Logger: slog.New(slog.DiscardHandler)}, b.get)
	t.Cleanup(func() {
		p.Close()
		r.Close()
		if used := p.opts.Budget.Used(); len(used) > 0 {
			t.Errorf("after Close the budget has %v", used)
		}
		if st := r.Stats(); st.Buffers != 0 {
			t.Errorf("after Close %d bytes of blocks are alive", st.Buffers)
		}
		if n := len(p.objects); n > 0 {
			t.Errorf("after Close %d objects are alive", n)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.busy > 0 {
			t.Errorf("%d bodies were not closed", b.busy)
		}
	})
	return p
}

func (b *bucket) open(t testing.TB, p *Pool, v ossclient.Version) *File {
	t.Helper()
	f := p.Open(v, Hint{})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// check reads [off, off+n) of f and compares.
func (b *bucket) check(t testing.TB, f *File, off, n int64) {
	t.Helper()
	dst := make([]byte, n)
	b.mu.Lock()
	want := b.objects[f.Version().Key].body
	b.mu.Unlock()
	got, err := f.ReadAt(t.Context(), dst, off)
	want = want[min(off, int64(len(want))):min(off+n, int64(len(want)))]
	if int64(len(want)) < n && errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil || !bytes.Equal(dst[:got], want) {
		t.Fatalf("ReadAt(%d bytes at %d) of %s = %d, %v; want %d right bytes", n, off, f.Version().Key, got, err, len(want))
	}
}
