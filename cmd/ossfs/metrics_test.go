package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

const (
	contrib  = "../../contrib"
	fileSize = 24 << 20 // more than what was just let go keeps in hand
)

// anyAddress has a mount choose the port of its metrics: one that a test finds free is another's before the mount takes it.
const anyAddress = "127.0.0.1:0"

// metricsAddress is where the mount answers that was given anyAddress.
func (r *rig) metricsAddress() string {
	r.t.Helper()
	found := regexp.MustCompile(`"metrics are served" address=(\S+)`).FindStringSubmatch(r.log())
	if found == nil {
		r.t.Fatalf("the log does not say where the metrics are:\n%s", r.log())
	}
	return found[1]
}

// scrape gets and parses a mount's metrics as Prometheus does.
func scrape(t *testing.T, addr string) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return families
}

// metric is the value of what has these labels ("name=value"), or for a histogram its count; false when there is none.
func metric(families map[string]*dto.MetricFamily, name string, labels ...string) (float64, bool) {
	for _, m := range families[name].GetMetric() {
		has := map[string]bool{}
		for _, l := range m.GetLabel() {
			has[l.GetName()+"="+l.GetValue()] = true
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !has[l] }) {
			continue
		}
		switch {
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount()), true
		case m.Counter != nil:
			return m.Counter.GetValue(), true
		default:
			return m.Gauge.GetValue(), true
		}
	}
	return 0, false
}

// busyMount is a mount that has done some of everything.
func busyMount(t *testing.T) (r *rig, addr string) {
	t.Helper()
	r = newRig(t)
	if err := r.server.Put(ossservertest.Bucket, "large", make([]byte, fileSize), nil); err != nil {
		t.Fatal(err)
	}
	r.mount("--metrics", anyAddress, "--write-back", "1h")
	addr = r.metricsAddress()
	t.Cleanup(func() {
		if got := r.run("umount", "--now", r.mnt); got.status != exitUnsent {
			t.Errorf("umount: got %d %q", got.status, got.err)
		}
	})
	r.server.SetFaults(
		ossserver.Fault{Op: "PutObject", Kind: ossserver.SlowDown, Count: 1},
		ossserver.Fault{Op: "PutObject", KeyPrefix: "forbidden", Status: 403, Code: "AccessDenied"},
	)
	r.write("hello", "world")
	if got := r.run("flush", r.mnt); got.status != 0 {
		t.Fatalf("flush: %d %q", got.status, got.err)
	}
	for range 2 { // the second time it comes from memory: ours, not the kernel's
		f, err := os.OpenFile(filepath.Join(r.mnt, "large"), os.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
		if n != fileSize || err != nil {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.ReadDir(r.mnt); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Getxattr(filepath.Join(r.mnt, "large"), "user.nothing", nil); !errors.Is(err, unix.ENODATA) {
		t.Fatalf("getxattr: %v", err)
	}
	r.write("forbidden", "kept")
	if got := r.run("flush", r.mnt); got.status != exitUnsent {
		t.Fatalf("flush: %d %q, want 3", got.status, got.err)
	}
	return r, addr
}

func TestMetrics(t *testing.T) {
	r, addr := busyMount(t)
	families := scrape(t, addr)
	t.Run("figures", func(t *testing.T) { checkFigures(t, r, families) })
	t.Run("queries", func(t *testing.T) { checkQueries(t, families) })
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, families) })
	t.Run("profiles", func(t *testing.T) { checkProfiles(t, addr) })
}

func checkFigures(t *testing.T, r *rig, families map[string]*dto.MetricFamily) {
	for _, want := range []struct {
		name   string
		labels []string
		least  float64
		most   float64
	}{
		{"ossfs_request_duration_seconds", []string{"op=PutObject", "outcome=ok"}, 1, 1},
		{"ossfs_request_duration_seconds", []string{"op=PutObject", "outcome=throttled"}, 1, 1},
		{"ossfs_request_duration_seconds", []string{"op=PutObject", "outcome=denied"}, 1, 9},
		{"ossfs_request_first_byte_seconds", []string{"op=GetObject"}, 1, 99},
		{"ossfs_request_retries_total", []string{"op=PutObject"}, 1, 9},
		{"ossfs_sent_bytes_total", []string{"op=PutObject"}, 5, 99},
		{"ossfs_received_bytes_total", []string{"op=GetObject"}, fileSize, 2 * fileSize},
		{"ossfs_throttled_total", nil, 1, 1},
		{"ossfs_unsent_entries", nil, 1, 1},
		{"ossfs_failed_entries", nil, 1, 1},
		{"ossfs_unsent_bytes", nil, 4, 4},
		{"ossfs_stage_used_bytes", nil, 4, 64 << 10},
		{"ossfs_oldest_unsent_seconds", nil, 0.0001, 60},
		{"ossfs_uploaded_objects_total", nil, 1, 1},
		{"ossfs_uploaded_bytes_total", nil, 5, 5},
		{"ossfs_fuse_request_duration_seconds", []string{"op=create"}, 2, 2},
		{"ossfs_fuse_request_duration_seconds", []string{"op=write"}, 2, 2},
		{"ossfs_fuse_request_duration_seconds", []string{"op=read"}, 2, 999},
		{"ossfs_fuse_request_duration_seconds", []string{"op=lookup"}, 3, 99},
		{"ossfs_fuse_request_errors_total", []string{"op=getxattr", "errno=ENODATA"}, 1, 99},
		{"ossfs_cache_lookups_total", []string{"cache=blocks", "result=window"}, 100, 350},
		{"ossfs_cache_lookups_total", []string{"cache=blocks", "result=stored"}, 30, 192},
		{"ossfs_cache_lookups_total", []string{"cache=blocks", "result=miss"}, 1, 192},
		{"ossfs_cache_lookups_total", []string{"cache=attributes", "result=miss"}, 0, 99},
		{"ossfs_cache_lookups_total", []string{"cache=listings", "result=hit"}, 0, 99},
		{"ossfs_fetched_bytes_total", nil, fileSize, 2 * fileSize},
		{"ossfs_fetched_read_bytes_total", nil, fileSize, 2 * fileSize},
		{"ossfs_fetched_unread_bytes_total", nil, 0, 0},
		{"ossfs_memory_bytes", []string{"use=ranges"}, fileSize / 2, fileSize + 1<<20},
		{"ossfs_memory_budget_bytes", nil, 1 << 20, 1 << 40},
		{"ossfs_mount_info", []string{"source=" + r.source(), "mountpoint=" + r.mnt}, 1, 1},
	} {
		got, ok := metric(families, want.name, want.labels...)
		if !ok || got < want.least || got > want.most {
			t.Errorf("%s%q: got %v, %v; want %v to %v", want.name, want.labels, got, ok, want.least, want.most)
		}
	}
	e, _ := r.entry()
	if q := e.report.Queue; q.Waiting+q.Sending+q.Failed != 1 || q.Failed != 1 {
		t.Errorf("status has %+v, and the metrics one failed entry", q)
	}
	if sum(e.report.Memory) > e.report.Budget || e.report.Memory["ranges"] < fileSize/2 || e.report.Memory["ranges"] > fileSize+1<<20 {
		t.Errorf("memory in use: got %v of %d, want what was read", e.report.Memory, e.report.Budget)
	}
	if rd := e.report.Reads; rd.Fetched < fileSize || rd.Unread != 0 || rd.Ahead+rd.Stored+rd.Missed != 2*fileSize/(128<<10) {
		t.Errorf("reads: got %+v", rd)
	}
}

// Every metric that the dashboard and the alert rules ask for is one that a mount has.
func checkQueries(t *testing.T, families map[string]*dto.MetricFamily) {
	for _, file := range []string{"grafana/ossfs.json", "prometheus/alerts.yml", "prometheus/alerts_test.yml"} {
		text, err := os.ReadFile(filepath.Join(contrib, file))
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]bool{}
		for _, name := range regexp.MustCompile(`\b(ossfs|process|go)_[a-z_]+`).FindAllString(string(text), -1) {
			asked[name] = true
		}
		if len(asked) < 5 {
			t.Errorf("%s: only %d metrics are found in it", file, len(asked))
		}
		for name := range asked {
			f, ok := families[name]
			if ok && f.GetType() != dto.MetricType_HISTOGRAM {
				continue
			}
			base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			if base == name || families[base].GetType() != dto.MetricType_HISTOGRAM || families[base] == nil {
				t.Errorf("%s: no mount has a metric %s", file, name)
			}
		}
	}
}

// dashboard is what is looked at of Grafana's format.
type dashboard struct {
	UID    string
	Panels []struct {
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, RefID string }
	}
	Templating struct{ List []struct{ Name, Type string } }
}

func readDashboard(t *testing.T) (d dashboard, queries []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(contrib, "grafana/ossfs.json"))
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return d, queries
}

// Panels lie beside each other, each with something to show, and everything that a mount tells of itself is in one.
func checkDashboard(t *testing.T, families map[string]*dto.MetricFamily) {
	d, queries := readDashboard(t)
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks nothing", p.Title)
		}
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%s lies over %q at %d, %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	all := strings.Join(queries, "\n")
	if strings.Count(all, "{instance=~\"$instance\"") < len(queries) {
		t.Error("a query does not ask for the chosen instances only")
	}
	for name := range maps.Keys(families) {
		if strings.HasPrefix(name, "ossfs_") && !strings.Contains(all, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// promtool knows whether the queries are such, and the rules fire when they shall.
func TestRulesWithPromtool(t *testing.T) {
	promtool := needTool(t, "promtool", "prometheus")
	run := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command(promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	run(filepath.Join(contrib, "prometheus"), "check", "rules", "alerts.yml")
	run(filepath.Join(contrib, "prometheus"), "test", "rules", "alerts_test.yml")

	_, queries := readDashboard(t)
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, q := range queries {
		text, err := json.Marshal(strings.ReplaceAll(q, "$__rate_interval", "1m"))
		if err != nil {
			t.Fatal(err)
		}
		rules += "  - record: q" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "\n    expr: " + string(text) + "\n"
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	run(dir, "check", "rules", "--lint=none", "dashboard.yml")
}

// Goroutines and profiles are there for who looks, on loopback.
func checkProfiles(t *testing.T, addr string) {
	for path, want := range map[string]string{
		"/debug/pprof/": "heap", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/symbol": "num_symbols",
	} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %d, %v, %.80q; want %q", path, resp.StatusCode, err, text, want)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}
