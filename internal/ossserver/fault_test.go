package ossserver

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFaultsBeforeTheEffect(t *testing.T) {
	c := start(t, Options{})
	for _, x := range []struct {
		fault  Fault
		status int
		code   string
	}{
		{Fault{Kind: Error500}, 500, "InternalError"},
		{Fault{Kind: Error503, RetryAfter: 7}, 503, "ServiceUnavailable"},
		{Fault{Kind: SlowDown}, 503, "QpsLimitExceeded"},
		{Fault{Kind: Error500, Status: 403, Code: "UserDisable"}, 403, "UserDisable"},
	} {
		x.fault.Op, x.fault.Count = "PutObject", 1
		c.server.SetFaults(x.fault)
		a := c.refused(x.status, x.code, http.MethodPut, "/test/k", "x")
		if x.fault.RetryAfter > 0 {
			want(t, "Retry-After", a.header.Get("Retry-After"), "7")
		}
		if _, ok := c.server.Object(testBucket, "k"); ok {
			t.Errorf("%+v: the object is there", x.fault)
		}
		c.put("k", "x") // Count is used up
		c.must(http.MethodDelete, "/test/k", "")
	}
	c.server.SetFaults(Fault{Kind: ResetBefore, Op: "PutObject", Count: 1})
	a := c.do(http.MethodPut, "/test/k", "x")
	if a.err == nil {
		t.Fatalf("ResetBefore: answered %d", a.status)
	}
	if !errors.Is(a.err, syscall.ECONNRESET) && !errors.Is(a.err, io.EOF) {
		t.Logf("ResetBefore shows as %v", a.err)
	}
	if _, ok := c.server.Object(testBucket, "k"); ok {
		t.Error("ResetBefore: the object is there")
	}
}

func TestResetAfterTheEffect(t *testing.T) {
	c := start(t, Options{})
	c.server.SetFaults(Fault{Kind: ResetAfter, Op: "PutObject", Count: 1})
	if a := c.do(http.MethodPut, "/test/k", "x"); a.err == nil {
		t.Fatalf("answered %d", a.status)
	}
	if _, ok := c.server.Object(testBucket, "k"); !ok {
		t.Error("the object is not there")
	}
}

func TestFaultsInTheBody(t *testing.T) {
	c := start(t, Options{Seed: 3})
	body := repeat(3 << 20)
	c.put("k", body)
	for range 3 {
		c.server.SetFaults(Fault{Kind: CutBody, Op: "GetObject", Count: 1})
		a := c.do(http.MethodGet, "/test/k", "")
		if a.err == nil || a.status != 200 || len(a.body) != len(body)/2 || a.body != body[:len(body)/2] {
			t.Errorf("CutBody: %d with %d bytes, %v, want half of them and an error", a.status, len(a.body), a.err)
		}
		c.server.SetFaults(Fault{Kind: FlipBit, Op: "GetObject", Count: 1})
		a = c.do(http.MethodGet, "/test/k", "")
		if n := differing(a.body, body); a.err != nil || n != 1 {
			t.Errorf("FlipBit: %d bytes differ, %v, want one", n, a.err)
		}
	}
	want(t, "what is stored", c.must(http.MethodGet, "/test/k", "").body, body)

	good := c.put("k", body).header.Get("x-oss-hash-crc64ecma")
	c.server.SetFaults(Fault{Kind: FlipBit, Op: "PutObject", Count: 1})
	if bad := c.put("k", body).header.Get("x-oss-hash-crc64ecma"); bad == good {
		t.Error("FlipBit of a PUT: the checksum is that of what was sent")
	}
	if o, _ := c.server.Object(testBucket, "k"); o.Size != int64(len(body)) {
		t.Errorf("FlipBit of a PUT: %d bytes", o.Size)
	}
	c.must(http.MethodDelete, "/test/k", "")
	c.server.SetFaults(Fault{Kind: CutBody, Op: "PutObject", Count: 1})
	if a := c.do(http.MethodPut, "/test/k", body); a.err == nil {
		t.Errorf("CutBody of a PUT: answered %d", a.status)
	}
	if _, ok := c.server.Object(testBucket, "k"); ok {
		t.Error("CutBody of a PUT left an object")
	}
	c.server.SetFaults(Fault{Kind: CutBody, Op: "ListObjects", Count: 1})
	if a := c.do(http.MethodGet, "/test/", ""); a.err == nil {
		t.Errorf("CutBody of a listing: whole (%d bytes)", len(a.body))
	}
}

func differing(a, b string) int {
	if len(a) != len(b) {
		return -1
	}
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestStall(t *testing.T) {
	c := start(t, Options{})
	c.put("k", repeat(100_000))
	for _, x := range []struct{ op, method, target, body string }{
		{"GetObject", http.MethodGet, "/test/k", ""},
		{"HeadObject", http.MethodHead, "/test/k", ""},
		{"PutObject", http.MethodPut, "/test/n", repeat(1000)},
		{"ListObjects", http.MethodGet, "/test/", ""},
		{"DeleteObject", http.MethodDelete, "/test/n", ""},
	} {
		c.server.SetFaults(Fault{Kind: Stall, Op: x.op, Stall: 60 * time.Millisecond, Count: 1})
		begin := time.Now()
		c.must(x.method, x.target, x.body)
		if d := time.Since(begin); d < 60*time.Millisecond {
			t.Errorf("%s took %v, want 60 ms at least", x.op, d)
		}
	}
	// One that lasts until the client goes away must not keep the server from closing.
	c.server.SetFaults(Fault{Kind: Stall, Op: "GetObject", Count: 1})
	req := c.request(http.MethodGet, "/test/k", "")
	c.sign(req)
	res, err := c.http.Do(req)
	if err == nil {
		defer res.Body.Close()
	}
	if err := c.server.Close(); err != nil {
		t.Errorf("close during a stall: %v", err)
	}
}

// A stall without an end is over when other faults are set, or none.
func TestStallThatIsEnded(t *testing.T) {
	c := start(t, Options{})
	c.put("k", repeat(100_000))
	c.server.SetFaults(Fault{Kind: Stall, Op: "GetObject"})
	got := make(chan answer, 1)
	go func() { got <- c.do(http.MethodGet, "/test/k", "") }()
	for c.server.Counts()["GetObject"] == 0 {
		runtime.Gosched()
	}
	c.server.SetFaults()
	want(t, "body", (<-got).body, repeat(100_000))
}

func TestFaultsAreChosen(t *testing.T) {
	c := start(t, Options{Seed: 1})
	c.put("a/1", "x")
	c.put("b/1", "x")
	c.server.SetFaults(Fault{Kind: Error500, Op: "GetObject", KeyPrefix: "a/", Skip: 2, Count: 1})
	var got []int
	for range 5 {
		c.must(http.MethodGet, "/test/b/1", "")
		got = append(got, c.do(http.MethodGet, "/test/a/1", "").status)
	}
	for i, want := range []int{200, 200, 500, 200, 200} {
		if got[i] != want {
			t.Errorf("request %d: %d, want %d", i, got[i], want)
		}
	}
	c.server.SetFaults(Fault{Kind: Error503, Probability: 0.3})
	bad := 0
	for range 200 {
		if c.do(http.MethodHead, "/test/a/1", "").status == 503 {
			bad++
		}
	}
	if bad < 30 || bad > 90 {
		t.Errorf("%d of 200 requests failed, want about 60", bad)
	}
	c.server.SetFaults()
	c.must(http.MethodHead, "/test/a/1", "")
}

func TestLatencyAndBandwidth(t *testing.T) {
	c := start(t, Options{Latency: 30 * time.Millisecond})
	begin := time.Now()
	c.put("k", repeat(1<<20))
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("PUT took %v, want 30 ms at least", d)
	}
	c.server.SetLatency(0)
	c.server.SetBandwidth(10 << 20)
	for _, x := range []struct{ method, body string }{{http.MethodGet, ""}, {http.MethodPut, repeat(1 << 20)}} {
		begin = time.Now()
		c.must(x.method, "/test/k", x.body)
		if d := time.Since(begin); d < 80*time.Millisecond || d > 20*time.Second { // a busy machine is slow
			t.Errorf("%s of 1 MiB at 10 MiB/s took %v", x.method, d)
		}
	}
	c.server.SetBandwidth(0)
	want(t, "body", c.must(http.MethodGet, "/test/k", "").body, repeat(1<<20))
}

func TestCountsAndBytes(t *testing.T) {
	c := start(t, Options{})
	c.put("k", repeat(1000))
	c.must(http.MethodGet, "/test/k", "", "Range", "bytes=0-99")
	c.do(http.MethodGet, "/test/absent", "")
	c.must(http.MethodGet, "/test/?list-type=2", "")
	got := c.server.Counts()
	for op, n := range map[string]int64{"PutObject": 1, "GetObject": 2, "ListObjectsV2": 1} {
		if got[op] != n {
			t.Errorf("%s: %d, want %d (all: %v)", op, got[op], n, got)
		}
	}
	if in, out := c.server.Bytes(); in != 1000 || out < 100 {
		t.Errorf("bytes in %d, out %d, want 1000 and at least 100", in, out)
	}
	c.server.ResetCounts()
	if in, out := c.server.Bytes(); len(c.server.Counts()) != 0 || in != 0 || out != 0 {
		t.Error("ResetCounts left something")
	}
}

func TestSyntheticObjects(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		c := start(t, Options{Dir: dir})
		if err := c.server.PutSynthetic(testBucket, "s", 3_000_001, 9, nil); err != nil {
			t.Fatal(err)
		}
		wantBody := make([]byte, 3_000_001)
		SyntheticAt(wantBody, 9, 0)
		c.must(http.MethodPut, "/test/copy", "", "x-oss-copy-source", "/test/s")
		for _, key := range []string{"s", "copy"} {
			a := c.must(http.MethodGet, "/test/"+key, "")
			want(t, "body", a.body, string(wantBody))
			o, _ := c.server.Object(testBucket, key)
			want(t, "range", c.must(http.MethodGet, "/test/"+key, "", "Range", "bytes=1234567-1234999").body, string(wantBody[1234567:1235000]))
			if p, err := o.Body(); err != nil || string(p) != string(wantBody) {
				t.Errorf("Body: %d bytes, %v", len(p), err)
			}
		}
	}
}

func TestServerRemembersItsDirectory(t *testing.T) {
	dir := t.TempDir()
	c := start(t, Options{Dir: dir})
	c.put("k", "v", "x-oss-meta-a", "1")
	c.put("big", repeat(1<<20))
	id := c.initiate("up")
	c.part("up", id, 1, "part")
	if s, err := New(Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("a second server took the directory")
	}
	if err := c.server.Close(); err != nil {
		t.Fatal(err)
	}
	c = start(t, Options{Dir: dir})
	want(t, "keys", strings.Join(c.server.Keys(testBucket), " "), "big k")
	a := c.must(http.MethodGet, "/test/k", "")
	want(t, "body and metadata", a.body+a.header.Get("x-oss-meta-a"), "v1")
	want(t, "big body", c.must(http.MethodGet, "/test/big", "").body, repeat(1<<20))
	c.must(http.MethodPost, "/test/up?uploadId="+id, "", "x-oss-complete-all", "yes")
	want(t, "the upload's body", c.must(http.MethodGet, "/test/up", "").body, "part")
}
