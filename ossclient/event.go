package ossclient

import (
	"sync/atomic"
	"time"
)

// Event is one attempt of a request, told to [Config].Observer when it is over: for a GET when its body
// is closed or has broken off, else when the answer is read.
type Event struct {
	Op        string        // the API's name: "GetObject", "UploadPart", ...
	Key       Key           // empty for requests about the bucket
	Attempt   int           // 1 for the first
	Hedge     bool          // it was the second of two sent at once
	Status    int           // HTTP status; 0 when no answer came
	FirstByte time.Duration // from the start to the answer's headers; 0 when none came
	Duration  time.Duration // from the start to the end
	Sent      int64         // bytes of body
	Received  int64         // bytes of body
	Err       *Error        // why the attempt failed; nil when it did not
	Final     bool          // no further attempt follows
}

// Stats counts what a bucket's client has done since it was opened.
type Stats struct {
	Requests  int64 // attempts, hedges and repetitions included
	Retries   int64 // attempts that repeated a failed one
	Hedges    int64 // second requests sent because the first was slow
	HedgesWon int64 // of these, those that answered first
	Resumes   int64 // bodies that broke off, or were wrong, and were asked for again
	Throttled int64 // answers that told us to slow down
	Failures  int64 // requests that failed for good, cancelled and expected ones (404, 412, ...) excluded
	Corrupt   int64 // checksums that did not match
	Sent      int64 // bytes of bodies, as they move
	Received  int64 // bytes of bodies, as they move
	InFlight  int   // requests waiting for an answer now
	Limit     int   // how many may wait at once now
	ClockSkew time.Duration
}

type counters struct {
	requests, retries, hedges, hedgesWon, resumes, throttled, failures, corrupt, sent, received atomic.Int64
}

// moved counts bytes of bodies.
func (b *Bucket) moved(sent, received int64) {
	b.counters.sent.Add(sent)
	b.counters.received.Add(received)
	if b.cfg.Moved != nil {
		b.cfg.Moved(sent, received)
	}
}

// Stats is a snapshot of the counters.
func (b *Bucket) Stats() Stats {
	c := &b.counters
	inFlight, limit := b.gate.state()
	return Stats{
		Requests:  c.requests.Load(),
		Retries:   c.retries.Load(),
		Hedges:    c.hedges.Load(),
		HedgesWon: c.hedgesWon.Load(),
		Resumes:   c.resumes.Load(),
		Throttled: c.throttled.Load(),
		Failures:  c.failures.Load(),
		Corrupt:   c.corrupt.Load(),
		Sent:      c.sent.Load(),
		Received:  c.received.Load(),
		InFlight:  inFlight,
		Limit:     limit,
		ClockSkew: time.Duration(b.skew.Load()),
	}
}
