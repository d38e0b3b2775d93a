package ossserver

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind is a way to go wrong.
type FaultKind uint8

// The kinds of faults. Before an effect nothing has changed; after it all has.
const (
	Error500    FaultKind = iota // 500 InternalError, before the effect
	Error503                     // 503 ServiceUnavailable with Retry-After, before the effect
	ResetBefore                  // the connection is reset before the effect
	ResetAfter                   // ... after it, without an answer
	CutBody                      // the answer's body, or the request's, stops in the middle and the connection is closed
	FlipBit                      // one bit of the answer's body, or of what is stored of the request's, is wrong
	Stall                        // nothing comes for Fault.Stall, in the middle of the body or before an empty one
	SlowDown                     // 503 QpsLimitExceeded, before the effect
	faultKinds
)

// FaultKinds are all kinds, for tests that must not leave one out.
func FaultKinds() []FaultKind {
	list := make([]FaultKind, faultKinds)
	for i := range list {
		list[i] = FaultKind(i)
	}
	return list
}

// String names a kind.
func (k FaultKind) String() string {
	names := [faultKinds]string{"Error500", "Error503", "ResetBefore", "ResetAfter", "CutBody", "FlipBit", "Stall", "SlowDown"}
	if k < faultKinds {
		return names[k]
	}
	return "FaultKind " + strconv.Itoa(int(k))
}

// Fault makes some requests go wrong.
type Fault struct {
	Op          string // the operation's name; empty: any
	KeyPrefix   string // only objects whose keys begin so
	Kind        FaultKind
	Probability float64       // of each request that matches; 0 means 1
	Count       int           // how often at most; 0: no limit
	Skip        int           // how many matching requests go well before
	RetryAfter  int           // seconds, of Error503
	Stall       time.Duration // of Stall; 0: until the client goes away, or SetFaults is called
	Status      int           // with Code: Error500 answers with these instead
	Code        string

	over chan struct{} // closed when others take the place of this one
}

// faults chooses the requests that go wrong.
type faults struct {
	stop chan struct{} // closed when the server closes, so that nothing stalls then

	mu   sync.Mutex // guards the fields below
	list []Fault
	over chan struct{} // closed when the list is another: nothing of it stalls for ever then
	rand *rand.Rand
	once sync.Once
}

func (f *faults) init(seed uint64) {
	f.stop, f.over = make(chan struct{}), make(chan struct{})
	f.rand = rand.New(rand.NewPCG(seed, 0x6f737366735f))
}

func (f *faults) close() { f.once.Do(func() { close(f.stop) }) }

// SetFaults replaces all faults, counts included. What stalls without an end goes on.
func (s *Server) SetFaults(list ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	close(s.faults.over)
	s.faults.list, s.faults.over = append([]Fault(nil), list...), make(chan struct{})
}

// choose returns the fault that a request is to have.
func (f *faults) choose(op, key string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		x := &f.list[i]
		if x.Op != "" && x.Op != op || !strings.HasPrefix(key, x.KeyPrefix) || x.Count < 0 {
			continue
		}
		if x.Skip > 0 {
			x.Skip--
			continue
		}
		if x.Probability > 0 && f.rand.Float64() >= x.Probability {
			continue
		}
		if x.Count > 0 {
			if x.Count--; x.Count == 0 {
				x.Count = -1
			}
		}
		chosen := *x
		chosen.over = f.over
		return chosen, true
	}
	return Fault{}, false
}

func (f *faults) random(n int64) int64 {
	if n <= 0 {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.Int64N(n)
}

// before does what goes wrong before the effect; done reports that the request ends with it.
func (c *call) before(x Fault) (done bool) {
	switch x.Kind {
	case Error500:
		if x.Code != "" {
			c.answer(fail(x.Status, x.Code, "0000-00000000", "An error made by the server's options."))
			return true
		}
		c.answer(fail(http.StatusInternalServerError, "InternalError", "0001-00000000", "We encountered an internal error. Please try again."))
		return true
	case Error503:
		if x.RetryAfter > 0 {
			c.w.Header().Set("Retry-After", strconv.Itoa(x.RetryAfter))
		}
		c.answer(fail(http.StatusServiceUnavailable, "ServiceUnavailable", "0001-00000503", "Please reduce your request rate."))
		return true
	case SlowDown:
		c.answer(fail(http.StatusServiceUnavailable, "QpsLimitExceeded", "0001-00000429", "The QPS limit was exceeded."))
		return true
	case ResetBefore:
		c.reset()
		return true
	case ResetAfter:
		c.w = &silent{header: http.Header{}}
	case CutBody, FlipBit, Stall:
		c.spoil = &spoiler{fault: x, call: c}
		if !c.spoilsAnswer() {
			size := c.r.ContentLength
			c.spoil.at = c.server.faults.random(size)
			if x.Kind == CutBody {
				c.spoil.at = size / 2
			}
			c.r.Body = &spoiledReader{c.r.Body, c.spoil}
		}
	}
	return false
}

// spoilsAnswer reports whether the body that is spoilt is the answer's, because the request has none.
func (c *call) spoilsAnswer() bool { return c.r.ContentLength <= 0 }

// reset drops the connection so that the client sees a reset, or the end of a body cut short.
func (c *call) reset() {
	if c.spoil != nil && c.spoil.fault.Kind == CutBody {
		if f, ok := c.conn.(http.Flusher); ok && c.status != 0 {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	if h, ok := c.conn.(http.Hijacker); ok {
		if nc, _, err := h.Hijack(); err == nil {
			if t, ok := nc.(interface{ SetLinger(int) error }); ok {
				_ = t.SetLinger(0) // else the end comes instead of the reset
			}
			_ = nc.Close() // it is gone either way
		}
	}
	panic(http.ErrAbortHandler)
}

// silent takes an answer that nobody will see.
type silent struct{ header http.Header }

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(int)             {}

// spoiler spoils one body at one place.
type spoiler struct {
	fault Fault
	call  *call
	at    int64 // the byte that it happens at
	pos   int64 // bytes seen
	done  bool
}

// pass looks at the next bytes; it returns after how many of them the body ends or stalls, -1 for neither.
func (s *spoiler) pass(p []byte) int {
	start := s.pos
	s.pos += int64(len(p))
	if s.done || s.at < start || s.at >= s.pos {
		return -1
	}
	s.done = true
	i := int(s.at - start)
	switch s.fault.Kind {
	case CutBody, Stall:
		return i
	case FlipBit:
		p[i] ^= 1 << s.call.server.faults.random(8)
	case Error500, Error503, SlowDown, ResetBefore, ResetAfter:
	}
	return -1
}

func (s *spoiler) stall() {
	c := s.call
	var over <-chan time.Time
	replaced := s.fault.over
	if s.fault.Stall > 0 {
		replaced = nil
		t := time.NewTimer(s.fault.Stall)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-replaced:
	case <-c.r.Context().Done():
	case <-c.server.faults.stop:
	}
}

// spoiledReader is a request's body.
type spoiledReader struct {
	io.ReadCloser
	spoil *spoiler
}

func (r *spoiledReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 && r.spoil.pass(p[:n]) >= 0 {
		if r.spoil.fault.Kind == CutBody {
			return 0, errAbandoned
		}
		r.spoil.stall()
	}
	return n, err
}

// spoiledWriter is an answer's body.
type spoiledWriter struct {
	w     io.Writer
	spoil *spoiler
}

func (w *spoiledWriter) Write(p []byte) (int, error) {
	p = append([]byte(nil), p...) // what is stored stays as it is
	n := w.spoil.pass(p)
	if n < 0 {
		return w.w.Write(p)
	}
	if _, err := w.w.Write(p[:n]); err != nil {
		return 0, err
	}
	if w.spoil.fault.Kind == CutBody {
		return n, errAbandoned
	}
	if f, ok := w.w.(http.Flusher); ok {
		f.Flush()
	}
	w.spoil.stall()
	m, err := w.w.Write(p[n:])
	return n + m, err
}
