package doctor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	// DefaultMeasure is how long each throughput is measured. What is under way then may take as long again.
	DefaultMeasure = 500 * time.Millisecond

	rounds      = 9
	roundLimit  = 600 * time.Millisecond // for all rounds
	connections = 32
	minPiece    = 64 << 10
	maxPiece    = 4 << 20
	farAway     = 30 * time.Millisecond
)

// mover moves one piece of at most so many bytes and says how many it has moved, at once or bit by bit.
type mover func(ctx context.Context, piece int64, counted func(int)) error

// speed measures the round trip, and the throughput with one and with many connections.
func (e *examination) speed(ctx context.Context) bool {
	e.roundTrip(ctx)
	rate := e.upload(ctx)
	e.download(ctx, rate)
	return true
}

func (e *examination) roundTrip(ctx context.Context) {
	start := time.Now()
	c := Check{Name: "round trip", Outcome: OK}
	var took []time.Duration
	for len(took) < rounds && (len(took) == 0 || time.Since(start) < roundLimit) {
		began := time.Now()
		if _, err := e.bucket.List(ctx, ossclient.ListRequest{Prefix: e.Prefix, MaxKeys: 1}); err != nil {
			c.Outcome = Warn
			c.Found, c.Cure = diagnose(err, e.Config, e.bucket.Endpoint())
			e.add(c, start)
			return
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median := took[len(took)/2]
	c.Found = fmt.Sprintf("%s (best %s, worst %s)", millis(median), millis(took[0]), millis(took[len(took)-1]))
	if median > farAway {
		c.Outcome, c.Cure = Warn, "the bucket is far away: every small file costs one round trip; mount it from its own region, or try --accelerate"
	}
	e.add(c, start)
}

// upload sends parts of an upload that is then aborted. An object that was given up in the middle could
// still appear after it was removed; a part cannot.
func (e *examination) upload(ctx context.Context) (rate float64) {
	if e.ReadOnly || !e.wrote() {
		e.add(Check{Name: "upload", Outcome: Skip, Found: "nothing may be written"}, time.Now())
		return 0
	}
	start := time.Now()
	key := e.name + "-speed"
	id, err := e.begin(ctx, key)
	if err != nil {
		found, cure := e.denied(err, "oss:PutObject")
		e.add(Check{Name: "upload", Outcome: Warn, Found: found, Cure: cure}, start)
		return 0
	}
	data := randomBytes(maxPiece)
	var number atomic.Int64
	return e.throughput(ctx, "upload", func(ctx context.Context, piece int64, counted func(int)) error {
		n := int(number.Add(1)-1)%ossclient.MaxParts + 1
		_, err := e.bucket.UploadPart(ctx, ossclient.PartRequest{Key: key, Upload: id, Number: n, Body: bytes.NewReader(data[:piece]), Size: piece})
		if err == nil {
			counted(int(piece))
		}
		return err
	})
}

// download reads an object of our own, or the largest that is listed.
func (e *examination) download(ctx context.Context, rate float64) {
	key, length, ok := e.sample(ctx, rate)
	switch {
	case ctx.Err() != nil:
		e.add(Check{Name: "download", Outcome: Skip, Found: "no time was left for it"}, time.Now())
		return
	case !ok:
		e.add(Check{Name: "download", Outcome: Skip, Found: "there is nothing to read that is large enough"}, time.Now())
		return
	}
	e.throughput(ctx, "download", func(ctx context.Context, piece int64, counted func(int)) error {
		return e.read(ctx, key, min(piece, length), counted)
	})
}

// sample finds something to read. What is written for it is as large as the way allows in that time.
func (e *examination) sample(ctx context.Context, rate float64) (ossclient.Key, int64, bool) {
	if e.wrote() && !e.ReadOnly {
		key := e.name + "-sample"
		e.leftover[key] = true
		data := randomBytes(int(min(max(int64(rate*e.Measure.Seconds()/2), minPiece), maxPiece)))
		if _, err := e.bucket.Put(ctx, ossclient.PutRequest{Key: key, Body: bytes.NewReader(data), Size: int64(len(data))}); err == nil {
			return key, int64(len(data)), true
		}
	}
	var best ossclient.Object
	for _, o := range e.listed {
		if o.Size > best.Size && (o.Type == ossclient.Normal || o.Type == ossclient.Multipart) && !frozen(o) {
			best = o
		}
	}
	return best.Key, best.Size, best.Size >= minPiece
}

// throughput measures move with one connection and then with many. It returns what one moved in a second.
func (e *examination) throughput(ctx context.Context, name string, move mover) (one float64) {
	start := time.Now()
	c := Check{Name: name, Outcome: OK}
	one, err := e.measure(ctx, 1, move)
	if err != nil {
		c.Outcome = Warn
		c.Found, c.Cure = diagnose(err, e.Config, e.bucket.Endpoint())
		e.add(c, start)
		return 0
	}
	many, err := e.measure(ctx, connections, move)
	if err != nil {
		c.Outcome, c.Cure = Warn, "check whether something on the way limits the number of connections"
		c.Found = fmt.Sprintf("%s/s with 1 connection; with %d: %s", size(int64(one)), connections, oneLine(err.Error()))
		e.add(c, start)
		return one
	}
	c.Found = fmt.Sprintf("%s/s with 1 connection, %s/s with %d", size(int64(one)), size(int64(many)), connections)
	if throttled := e.bucket.Stats().Throttled; throttled > 0 {
		c.Outcome, c.Cure = Warn, "OSS told us to slow down: the bucket or account is at its limit (https://help.aliyun.com/en/oss/product-overview/limits)"
	}
	e.add(c, start)
	return one
}

// measure gives bytes per second of n loops that move pieces for a while. Pieces grow until each takes
// a noticeable time. What is under way at the end may end, and counts with the time it took.
func (e *examination) measure(ctx context.Context, n int, move mover) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*e.Measure)
	defer cancel()
	var (
		moved atomic.Int64
		last  atomic.Int64 // nanoseconds after the start when the last byte was counted
		mu    sync.Mutex   // guards first
		first error
		wg    sync.WaitGroup
	)
	start := time.Now()
	counted := func(k int) {
		moved.Add(int64(k))
		last.Store(int64(time.Since(start)))
	}
	for range n {
		wg.Go(func() {
			for piece := int64(minPiece); time.Since(start) < e.Measure; {
				began := time.Now()
				if err := move(ctx, piece, counted); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					return
				}
				if time.Since(began) < e.Measure/8 {
					piece = min(2*piece, maxPiece)
				}
			}
		})
	}
	wg.Wait()
	if moved.Load() == 0 {
		if first == nil {
			first = context.DeadlineExceeded
		}
		return 0, first
	}
	return float64(moved.Load()) / time.Duration(max(last.Load(), 1)).Seconds(), nil
}
