package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// staged is how much disk the staged files take.
func staged(t *testing.T, p *harness.Process) int64 {
	t.Helper()
	var total int64
	files, err := filepath.Glob(filepath.Join(p.State, "*", "staged", "*", "*"))
	must(t, err)
	for _, name := range files {
		var st syscall.Stat_t
		if syscall.Stat(name, &st) == nil { // else it was sent meanwhile
			total += st.Blocks * 512
		}
	}
	return total
}

// peak is the most memory a process has had, in bytes.
func peak(t *testing.T, p *harness.Process) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			must(t, err)
			return n << 10
		}
	}
	t.Fatal("the kernel does not say")
	return 0
}

// A file larger than the whole stage is written from start to end; disk and memory stay inside their budgets.
// SEMANTICS 1.9; invariant 8
func TestFileLargerThanTheStage(t *testing.T) {
	const (
		stage  = 16 << 20
		memory = 64 << 20
		size   = 160 << 20
		itself = 100 << 20 // what the program takes besides what --memory is for
	)
	s := ossservertest.NewTest(t, ossserver.Options{})
	p := harness.NewProcess(t, s, harness.Build(t))
	p.Flags = []string{"--write-back", "1h", "--stage-size", strconv.Itoa(stage), "--memory", strconv.Itoa(memory)}
	p.Start()
	f, err := os.Create(filepath.Join(p.Dir, "large"))
	must(t, err)
	content := noise(60, size)
	most := int64(0)
	for off := 0; off < size; off += 1 << 20 {
		_, err := f.Write(content[off : off+1<<20])
		must(t, err)
		most = max(most, staged(t, p))
	}
	must(t, f.Close())
	if most > stage+stage/8 {
		t.Errorf("%d bytes were staged at a time, the budget is %d", most, stage)
	}
	wantFile(t, filepath.Join(p.Dir, "large"), content)
	if got := peak(t, p); got > memory+itself {
		t.Errorf("the program took %d MiB, want at most %d", got>>20, (memory+itself)>>20)
	}
	p.Stop()
	counts := s.Counts()
	for op, want := range map[string]int64{"InitiateMultipartUpload": 1, "CompleteMultipartUpload": 1, "UploadPartCopy": 0} {
		if counts[op] != want { // else it was not sent while it was written, but completed and edited again and again
			t.Errorf("%s: %d requests, want %d", op, counts[op], want)
		}
	}
	if o, ok := s.Object(harness.Bucket, "large"); !ok || o.CRC64 != harness.Sum(content) {
		t.Error("the bucket has other bytes")
	}
	if n := len(s.Uploads(harness.Bucket)); n > 0 {
		t.Errorf("%d uploads are left over", n)
	}
}

// When nothing can be sent a writer waits at the budget of the stage, and others go on; it goes on when the bucket
// takes things again.
// SEMANTICS 1.9
func TestWritersWaitForTheBucket(t *testing.T) {
	const stage = 16 << 20
	b := harness.New(t, func(o *fsOptions) { o.StageSize = stage })
	must(t, os.WriteFile(b.Path("other"), noise(61, 1000), 0o644))
	b.Server.SetFaults(ossserver.Fault{Op: "UploadPart", Kind: ossserver.Error503}, ossserver.Fault{Op: "PutObject", Kind: ossserver.Error503})
	content := noise(62, 40<<20)
	var written atomic.Int64
	done := make(chan error, 1)
	go func() {
		f, err := os.Create(b.Path("large"))
		for off := 0; off < len(content) && err == nil; off += 1 << 20 {
			if _, err = f.Write(content[off : off+1<<20]); err == nil {
				written.Add(1 << 20)
			}
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		done <- err
	}()
	harness.Eventually(t, "a full stage", func() bool { return b.Mount.Status().Writeback.StageUsed > stage-2<<20 })
	wantFile(t, b.Path("other"), noise(61, 1000))
	must(t, os.Rename(b.Path("other"), b.Path("renamed")))
	wantNames(t, b.Dir, "large", "renamed")
	if n := written.Load(); n > stage {
		t.Errorf("%d bytes were taken, the stage has %d", n, stage)
	}
	select {
	case err := <-done:
		t.Errorf("the writer did not wait: %v", err)
	default:
	}
	b.Server.SetFaults()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatalf("the bucket takes things again, and the writer waits all the same: %d bytes written, %+v", written.Load(), b.Mount.Status().Writeback)
	}
	b.Flush()
	wantObject(t, b, "large", content)
}

// wantToldOnce checks that the log has at least so many failed requests, each in one line and with all that support asks for.
func wantToldOnce(t *testing.T, log string, least int) {
	t.Helper()
	seen := map[string]bool{}
	for entry := range strings.Lines(log) {
		_, id, found := strings.Cut(entry, "request=")
		if !found {
			continue
		}
		id = strings.Fields(id)[0]
		if seen[id] {
			t.Errorf("the log has the request %s twice:\n%s", id, log)
		}
		seen[id] = true
		for _, want := range []string{" op=", " key=", " code=AccessDenied", " ec=", " status=403"} {
			if !strings.Contains(entry, want) {
				t.Errorf("no%q in %s", want, entry)
			}
		}
	}
	if len(seen) < least {
		t.Errorf("the log has %d failed requests, want %d at least:\n%s", len(seen), least, log)
	}
}

// Every upload is refused: the data are kept, also over a kill; fsync gives the errno, the status names the code and
// the request, the log says it once; flush tries again, and at last succeeds.
// SEMANTICS 1.8
func TestEveryUploadIsRefused(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	var refusals []ossserver.Fault
	for _, op := range []string{"PutObject", "InitiateMultipartUpload"} {
		refusals = append(refusals, ossserver.Fault{Op: op, Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	}
	s.SetFaults(refusals...)
	p := harness.NewProcess(t, s, harness.Build(t))
	p.Flags = []string{"--write-back", "10ms", "--single-put", "1MiB"}
	p.Start()
	small, large := noise(70, 1000), noise(71, 12<<20)
	for name, content := range map[string][]byte{"small": small, "large": large} {
		path := filepath.Join(p.Dir, name)
		must(t, os.WriteFile(path, content, 0o644))
		withFile(t, path, os.O_RDWR, func(f *os.File) error {
			wantErrno(t, "fsync of "+name, f.Sync(), unix.EACCES)
			return nil
		})
		wantFile(t, path, content)
	}
	wantRefused(t, p)
	for range 2 {
		flushExit(t, p, 3)
	}
	p.Kill()
	p.Clear()
	for _, name := range []string{"small", "large"} {
		if n := strings.Count(p.Log(), "not sent; kept, and tried again by `ossfs flush` or the next mount\" key="+name); n != 1 {
			t.Errorf("the log says %d times that %s was not sent, want once:\n%s", n, name, p.Log())
		}
	}
	wantToldOnce(t, p.Log(), 2)
	p.Start()
	wantFile(t, filepath.Join(p.Dir, "small"), small)
	wantFile(t, filepath.Join(p.Dir, "large"), large)
	flushExit(t, p, 3)
	s.SetFaults()
	flushExit(t, p, 0)
	for name, content := range map[string][]byte{"small": small, "large": large} {
		if o, ok := s.Object(harness.Bucket, name); !ok || o.CRC64 != harness.Sum(content) {
			t.Errorf("the bucket does not have %s", name)
		}
	}
	p.Stop()
}

// wantRefused looks whether the status names both files, the code and the request.
func wantRefused(t *testing.T, p *harness.Process) {
	t.Helper()
	for _, args := range [][]string{{"status", p.Dir}, {"status", "--json", p.Dir}} {
		var stderr bytes.Buffer
		cmd := p.Command(args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%q: %v: %s", args, err, &stderr)
		}
		for _, want := range []string{"small", "large", "AccessDenied", "request"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q does not say %q: %s", args, want, out)
			}
		}
		if len(args) == 3 && !json.Valid(out) {
			t.Errorf("no JSON: %s", out)
		}
	}
}

func flushExit(t *testing.T, p *harness.Process, want int) {
	t.Helper()
	cmd := p.Command("flush", p.Dir)
	out, _ := cmd.CombinedOutput() // the status says it
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("flush: got status %d, want %d: %s", got, want, out)
	}
}
