package tests

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// A process of which the kernel is to hear something about a directory, or a file, that a program has locked while it waits for the answer to
// a long request is killed: the program gets an error, and does not wait for ever.
// Invariant 10
func TestKilledWhileTheKernelIsToBeTold(t *testing.T) {
	program := harness.Build(t)
	for name, tt := range map[string]struct {
		stalls string
		do     func(dir string) error
	}{
		"rename": {"CopyObject", func(dir string) error { return os.Rename(filepath.Join(dir, "d/a"), filepath.Join(dir, "d/c")) }},
		"rename to": {"CopyObject", func(dir string) error {
			return os.Rename(filepath.Join(dir, "e/a"), filepath.Join(dir, "d/c"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ossservertest.NewTest(t, ossserver.Options{})
			put := func(key, content string) { must(t, s.Put(harness.Bucket, key, []byte(content), http.Header{})) }
			for _, key := range []string{"d/a", "d/b", "e/a"} {
				put(key, "content")
			}
			p := harness.NewProcess(t, s, program)
			p.Start()
			for _, key := range []string{"d/a", "d/b", "e/a"} {
				_, err := os.Stat(filepath.Join(p.Dir, key))
				must(t, err)
			}
			s.SetFaults(ossserver.Fault{Op: tt.stalls, Kind: ossserver.Stall})
			done := make(chan error, 1)
			go func() { done <- tt.do(p.Dir) }()
			for end := time.Now().Add(time.Minute); s.Counts()[tt.stalls] == 0; time.Sleep(time.Millisecond) { // of a real process
				if time.Now().After(end) {
					t.Fatal("nothing stalls, and this test tests nothing")
				}
			}
			put("d/b", "another")
			must(t, unix.Setxattr(p.Dir, "user.oss.refresh", []byte("1"), 0))
			for end := time.Now().Add(time.Second); !locked(t, p.PID()) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
			killed := kill(p)
			select {
			case err := <-done:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(time.Minute):
				t.Error("the program still waits")
				_ = unix.Unmount(p.Dir, unix.MNT_FORCE) // busy, but whoever waits has his answer
				<-done
			}
			<-killed
		})
	}
}

// locked says whether a thread of a process waits in the kernel for a lock.
func locked(t *testing.T, pid int) bool {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	must(t, err)
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if _, state, ok := strings.Cut(string(b), ") "); ok && strings.HasPrefix(state, "D") {
			return true
		}
	}
	return false
}

// A process is killed while it has pages that the kernel is to be given and that READs under way have locked: the programs get
// an error, and do not wait for ever.
// Invariant 10
func TestKilledWhilePagesAreGiven(t *testing.T) {
	const size, piece, readers = 16 << 20, 256 << 10, 16
	s := ossservertest.NewTest(t, ossserver.Options{})
	must(t, s.Put(harness.Bucket, "file", make([]byte, size), http.Header{}))
	p := harness.NewProcess(t, s, harness.Build(t))
	for try := range 3 {
		p.Start()
		f, err := os.Open(filepath.Join(p.Dir, "file"))
		must(t, err)
		s.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.Stall, Probability: 0.3, Skip: 32})
		stop, done := make(chan struct{}), make(chan error, readers)
		for i := range readers {
			go func() {
				r := rand.New(rand.NewPCG(uint64(try), uint64(i)))
				b := make([]byte, piece)
				for {
					select {
					case <-stop: // all that is read may be in the page cache by now
						done <- nil
						return
					default:
					}
					if _, err := f.ReadAt(b, r.Int64N((size-piece)/4096)*4096); err != nil {
						done <- err
						return
					}
				}
			}()
		}
		waits := 0                                                                                                       // how often in a row
		for end := time.Now().Add(time.Second); waits < 4 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // of a real process
			if waits++; !locked(t, p.PID()) {
				waits = 0
			}
		}
		killed := kill(p)
		close(stop)
		late := time.After(time.Minute)
		for range readers {
			select {
			case err := <-done:
				if err != nil && !harness.Died(err) {
					t.Errorf("a reader got %v", err)
				}
			case <-late:
				t.Error("a program still waits")
				_ = unix.Unmount(p.Dir, unix.MNT_FORCE) // busy, but whoever waits has his answer
				<-done
			}
		}
		<-killed
		if err := f.Close(); err != nil && !harness.Died(err) { // before Linux 5.16 the kernel asks about each close
			t.Error(err)
		}
		s.SetFaults()
		p.Clear()
	}
}

// kill kills a process. It does not wait; what it returns is closed when the process has ended.
func kill(p *harness.Process) <-chan struct{} {
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		p.Kill()
	}()
	return killed
}
