package ossclient

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestADeadlineOfTheCallerIsCancelling(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Head(ctx, "k"); !errors.Is(err, ErrCanceled) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrCanceled with DeadlineExceeded", err)
	}
}

func TestCancellingDuringBackoffIsCancelling(t *testing.T) {
	s := httptest.NewServer(sized(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(503)
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := openAt(t, s.URL, func(c *Config) { c.Observer = func(Event) { cancel() } }) // it is told of each attempt
	_, err := b.Head(ctx, "k")
	if !errors.Is(err, ErrCanceled) || errors.Is(err, ErrThrottled) || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want ErrCanceled that tells of the 503", err)
	}
}

func TestClockIsCorrected(t *testing.T) {
	ahead := 3 * time.Hour
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		signed, err := time.Parse(timeV4, r.Header.Get("X-Oss-Date"))
		if d := now.Sub(signed); err != nil || d > 15*time.Minute || d < -15*time.Minute {
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat)) // all there is to a HEAD
			w.WriteHeader(403)
			fmt.Fprintf(w, `<Error><Code>RequestTimeTooSkewed</Code><ServerTime>%s</ServerTime></Error>`, now.UTC().Format("2006-01-02T15:04:05.000Z"))
		}
	})
	for range 2 {
		if _, err := b.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		SetSkew(b, 0)
	}
	if err := b.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	st := b.Stats()
	if st.Retries != 3 || st.ClockSkew < ahead-time.Minute || st.ClockSkew > ahead+time.Minute {
		t.Errorf("got %d retries, skew %v; want 3 and %v", st.Retries, st.ClockSkew, ahead)
	}
	bad := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		io.WriteString(w, `<Error><Code>RequestTimeTooSkewed</Code></Error>`)
	})
	if err := bad.Delete(t.Context(), "k"); !errors.Is(err, ErrPermission) {
		t.Errorf("a server that is never content: got %v, want ErrPermission", err)
	}
}

func TestSecretsStayInside(t *testing.T) {
	const secret, token = "very-secret", "very-token"
	var log bytes.Buffer
	var mu sync.Mutex
	var events []Event
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403) // OSS's own answer shows what was signed
		fmt.Fprintf(w, `<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><StringToSign>%s</StringToSign></Error>`, r.Header.Get("Authorization"))
	}))
	defer s.Close()
	for _, sign := range []string{signV1, signV2, signV4} {
		b := openAt(t, s.URL, func(c *Config) {
			c.Sign = sign
			c.Credentials = staticKey{Credential{ID: "id", Secret: secret, Token: token}}
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.Observer = func(e Event) { mu.Lock(); events = append(events, e); mu.Unlock() }
		})
		_, err := b.Head(t.Context(), "k")
		_, err2 := b.Get(t.Context(), GetRequest{Key: "k", Length: -1})
		text := fmt.Sprintf("%v %+v %#v %v %+v", err, err, err, err2, Credential{ID: "id", Secret: secret, Token: token})
		mu.Lock()
		text += fmt.Sprintf("%+v", events) + log.String()
		mu.Unlock()
		for _, word := range []string{secret, token, "Signature="} {
			if strings.Contains(text, word) {
				t.Errorf("%s: %q is in %s", sign, word, text)
			}
		}
	}
	if n := strings.Count(log.String(), "request failed"); n != 6 {
		t.Errorf("six failed requests made %d lines of the log:\n%s", n, log.String())
	}
}

func TestExpectedFailuresAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }))
	defer s.Close()
	b := openAt(t, s.URL, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, ErrNotExist) {
		t.Fatal(err)
	}
	if log.Len() > 0 || b.Stats().Failures != 0 {
		t.Errorf("log %q, %d failures", log.String(), b.Stats().Failures)
	}
}

func TestEventsTellEachAttempt(t *testing.T) {
	var n atomic.Int32
	var mu sync.Mutex
	var events []Event
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(500)
			return
		}
		w.Header().Set("Content-Length", "5000")
		w.Write(make([]byte, 5000))
	}))
	defer s.Close()
	b := openAt(t, s.URL, func(c *Config) { c.Observer = func(e Event) { mu.Lock(); events = append(events, e); mu.Unlock() } })
	body, err := b.Get(t.Context(), GetRequest{Key: "k", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, body)
	body.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 2 {
		t.Fatalf("got %+v, want two events", events)
	}
	if e := events[0]; e.Op != "GetObject" || e.Attempt != 1 || e.Status != 500 || e.Err == nil || e.Final || e.FirstByte <= 0 {
		t.Errorf("first: %+v", e)
	}
	if e := events[1]; e.Attempt != 2 || e.Status != 200 || e.Err != nil || !e.Final || e.Received != 5000 || e.Key != "k" || e.Duration < e.FirstByte {
		t.Errorf("second: %+v", e)
	}
	if st := b.Stats(); st.Requests != 2 || st.Retries != 1 || st.Received != 5000 || st.InFlight != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// A body is counted while it moves, before its request is over.
func TestBytesAreCountedAsTheyMove(t *testing.T) {
	const size, some = 32 << 20, 1 << 20 // more than the sockets hold
	handler := func(goOn chan struct{}) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				io.CopyN(io.Discard, r.Body, some)
				<-goOn
				io.Copy(io.Discard, r.Body)
				return
			}
			w.Header().Set("Content-Length", strconv.Itoa(size))
			w.Write(make([]byte, some))
			w.(http.Flusher).Flush()
			<-goOn
			w.Write(make([]byte, size-some))
		}
	}
	for name, do := range map[string]func(context.Context, *Bucket) error{
		"put": func(ctx context.Context, b *Bucket) error {
			_, err := b.Put(ctx, PutRequest{Key: "k", Body: bytes.NewReader(make([]byte, size)), Size: size})
			return err
		},
		"get": func(ctx context.Context, b *Bucket) error {
			body, err := b.Get(ctx, GetRequest{Key: "k", Length: -1})
			if err == nil {
				_, err = io.Copy(io.Discard, body)
				body.Close()
			}
			return err
		},
	} {
		goOn := make(chan struct{})
		s := httptest.NewServer(handler(goOn))
		defer s.Close()
		var told atomic.Int64
		moves := make(chan int64, 1<<20)
		b := openAt(t, s.URL, func(c *Config) {
			c.Moved = func(sent, received int64) {
				told.Add(sent + received)
				moves <- told.Load()
			}
		})
		end := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { end <- do(ctx, b) }()
		for n := int64(0); n < some; {
			select {
			case n = <-moves:
			case err := <-end:
				close(goOn)
				t.Fatalf("%s: it ended before it was let go on: %v", name, err)
			}
		}
		if st := b.Stats(); st.Sent+st.Received < some || st.Sent+st.Received >= size {
			t.Errorf("%s: halfway %+v", name, st)
		}
		close(goOn)
		if err := <-end; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if st := b.Stats(); told.Load() != size || st.Sent+st.Received != size {
			t.Errorf("%s: told of %d bytes, and counted %+v; want %d", name, told.Load(), st, size)
		}
	}
}

func TestThrottlingSlowsTheClient(t *testing.T) {
	var refuse atomic.Int32
	refuse.Store(20)
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		if refuse.Add(-1) >= 0 {
			w.WriteHeader(503)
			io.WriteString(w, `<Error><Code>QpsLimitExceeded</Code></Error>`)
		}
	})
	before := b.Stats().Limit
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := b.Head(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st := b.Stats(); st.Limit >= before/2 || st.Throttled != 20 {
		t.Errorf("limit %d of %d after %d refusals, want less than half", st.Limit, before, st.Throttled)
	}
}

func TestSlowAnswerIsHedged(t *testing.T) {
	var n atomic.Int32
	release := make(chan struct{})
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		w.Write([]byte("answer"))
	})
	defer close(release)
	b.slow[slotGet].p99.Store(int64(10 * time.Millisecond))
	b.spare.millis.Store(hedgeCost)
	body, err := b.Get(t.Context(), GetRequest{Key: "k", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	body.Close()
	if err != nil || string(got) != "answer" {
		t.Errorf("got %q, %v", got, err)
	}
	if st := b.Stats(); st.Hedges != 1 || st.HedgesWon != 1 || st.Retries != 0 {
		t.Errorf("stats %+v", st)
	}
	b.Close()
	if st := b.Stats(); st.InFlight != 0 {
		t.Errorf("%d still in flight", st.InFlight)
	}
}

func TestHedgesAreFew(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(2 * time.Millisecond) })
	b.slow[slotHead].p99.Store(1) // every answer is late
	const requests = 300
	for range requests {
		if _, err := b.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		b.slow[slotHead].p99.Store(1)
	}
	if n := b.Stats().Hedges; n < 1 || n > requests*3/100 {
		t.Errorf("%d of %d requests were hedged, want 1 to 3 per cent", n, requests)
	}
}

// HEADs by the dozen are asked once each, however late they are; the one that all wait for in the end is asked again.
func TestCrowdOfHeadsIsNotHedged(t *testing.T) {
	const many, delay = 20, 20 * time.Millisecond
	var arrived, late, gets atomic.Int32
	all, release := make(chan struct{}), make(chan struct{})
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if gets.Add(1) == 1 {
				<-r.Context().Done()
			}
			return
		}
		if strings.HasSuffix(r.URL.Path, "late") && late.Add(1) == 1 {
			defer func() { <-r.Context().Done() }() // until it is outrun
		}
		if arrived.Add(1) == many {
			close(all)
		}
		<-release
	})
	b.slow[slotHead].p99.Store(int64(delay))
	b.spare.millis.Store(2 * many * hedgeCost) // enough for all
	var wg sync.WaitGroup
	for i := range many {
		key := Key(fmt.Sprintf("k%d", i))
		if i == 0 {
			key = "late"
		}
		wg.Go(func() {
			if _, err := b.Head(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
	}
	<-all
	early := b.Stats().Hedges                   // before there were many
	b.slow[slotGet].p99.Store(int64(2 * delay)) // a GET that is answered by its second: more than the HEADs' delay has passed
	body, err := b.Get(t.Context(), GetRequest{Key: "k", Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	if n := b.Stats().Hedges - early; n != 1 {
		t.Errorf("%d of %d HEADs at once were sent twice, want none", n-1, many)
	}
	close(release)
	wg.Wait()
	if st := b.Stats(); st.Hedges < 2 || st.Hedges > early+1+headsCrowd || st.HedgesWon < 2 {
		t.Errorf("%d second requests, %d of them in time, want one for the GET, one for the late HEAD, and only for the last %d", st.Hedges, st.HedgesWon, headsCrowd)
	}
}

func TestLatenciesKnowThePercentile(t *testing.T) {
	var l latencies
	for i := range 1000 {
		d := 20 * time.Millisecond
		if i%50 == 0 { // 2 per cent
			d = 800 * time.Millisecond
		}
		l.add(d)
	}
	if got := time.Duration(l.p99.Load()); got < 700*time.Millisecond || got > 1100*time.Millisecond {
		t.Errorf("got %v, want about 800ms", got)
	}
	for range 20000 { // the past is forgotten
		l.add(20 * time.Millisecond)
	}
	if got := time.Duration(l.p99.Load()); got < 18*time.Millisecond || got > 30*time.Millisecond {
		t.Errorf("later: got %v, want about 20ms", got)
	}
}

func TestPutIsNotReadAfterItReturned(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }) // answers before the body is read
	body := make([]byte, 4<<20)
	_, err := b.Put(t.Context(), PutRequest{Key: "k", Body: bytes.NewReader(body), Size: int64(len(body))})
	for i := range body { // the race detector looks on
		body[i] = 1
	}
	if err == nil {
		t.Error("Put succeeded")
	}
}

type brokenDisk struct{}

var errDisk = errors.New("the disk is broken")

func (brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestAFailingReaderIsNotTheNetworksFault(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	_, err := b.Put(t.Context(), PutRequest{Key: "k", Body: brokenDisk{}, Size: 100})
	if !errors.Is(err, errDisk) || b.Stats().Retries != 0 {
		t.Errorf("got %v after %d retries, want the disk's error at once", err, b.Stats().Retries)
	}
}

func TestCABundleIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(sized(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("protocol %s, want HTTP/1.1", r.Proto)
		}
	}))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(bundle, block, 0o600); err != nil {
		t.Fatal(err)
	}
	b := openAt(t, s.URL, func(c *Config) { c.CABundle = bundle })
	if _, err := b.Head(t.Context(), "k"); err != nil {
		t.Errorf("with the bundle: %v", err)
	}
	b = openAt(t, s.URL, nil)
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, ErrUnavailable) || b.Stats().Retries != 0 {
		t.Errorf("without it: got %v after %d retries, want an error at once", err, b.Stats().Retries)
	}
}

func TestAStaleConnectionCostsNothing(t *testing.T) {
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		n.Add(1)
	}))
	defer s.Close()
	b := openAt(t, s.URL, nil)
	for range 5 {
		if _, err := b.Put(t.Context(), PutRequest{Key: "k", Body: strings.NewReader("x"), Size: 1}); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
	}
	if n.Load() != 5 || b.Stats().Retries != 0 {
		t.Errorf("%d puts arrived, and %d were repeated; want 5, and none", n.Load(), b.Stats().Retries)
	}
}

func TestKeysAreChecked(t *testing.T) {
	b := recorded(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("a request was sent: %s", r.URL) })
	for _, key := range []Key{"", "/a", `\a`, Key(strings.Repeat("k", 1024))} {
		if _, err := b.Head(t.Context(), key); !errors.Is(err, ErrInvalid) {
			t.Errorf("Head %.20q: got %v, want ErrInvalid", key, err)
		}
	}
	if _, err := b.Get(t.Context(), GetRequest{Key: "k", IfMatch: "a\nb", Length: -1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("Get of an ETag with a line feed: got %v, want ErrInvalid", err)
	}
}
