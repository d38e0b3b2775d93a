package harness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Program is the environment variable that names a built ossfs, for tests that would otherwise build one.
const Program = "OSSFS_TEST_PROGRAM"

// Build builds the program and gives its path.
func Build(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(Program); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "ossfs")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/ossfs/ossfs/cmd/ossfs").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return path
}

// Process is a mount by the built program, in a process of its own, to be killed at will.
type Process struct {
	T      testing.TB
	Server *ossservertest.Server
	Dir    string // the mountpoint
	State  string
	Flags  []string // of ossfs mount

	program  string
	endpoint string // of the server, for this one alone
	below    uint64 // the device of the directory that is mounted on

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd  // nil while it does not run
	conn uint32     // of the last mount to the kernel
	log  *bytes.Buffer
	logs []string // of the processes before
}

// NewProcess prepares a mount by a program that Build has given; Start starts it.
func NewProcess(t testing.TB, s *ossservertest.Server, program string) *Process {
	t.Helper()
	RequireFuse(t)
	top := t.TempDir()
	endpoint, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{T: t, Server: s, Dir: filepath.Join(top, "mnt"), State: filepath.Join(top, "state"), program: program, endpoint: endpoint}
	if err := os.Mkdir(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.below = p.device()
	t.Cleanup(func() {
		p.Kill()
		p.Clear()
		if t.Failed() {
			t.Logf("the last mount's log:\n%s", p.Log())
		}
	})
	return p
}

func (p *Process) device() uint64 {
	var st syscall.Stat_t
	if err := syscall.Lstat(p.Dir, &st); err != nil {
		return 0
	}
	return st.Dev
}

// Command is the program with arguments, in the environment of the mount.
func (p *Process) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, args...)
	top := filepath.Dir(p.Dir)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + top, "OSSFS_RUN_DIR=" + filepath.Join(top, "run"), "OSS_ENDPOINT=" + p.endpoint,
		"OSS_REGION=" + ossservertest.Region, "OSS_ACCESS_KEY_ID=" + ossservertest.KeyID, "OSS_ACCESS_KEY_SECRET=" + ossservertest.Secret,
	}
	return cmd
}

// Start mounts in a new process, and returns when the mount answers.
func (p *Process) Start() {
	p.T.Helper()
	args := append([]string{"mount", "--foreground", "--state-dir", p.State, "--log-level", "warn"}, p.Flags...)
	cmd := p.Command(append(args, "oss://"+Bucket, p.Dir)...)
	log := new(bytes.Buffer)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		p.T.Fatal(err)
	}
	p.mu.Lock()
	if p.log != nil {
		p.logs = append(p.logs, p.log.String())
	}
	p.cmd, p.log = cmd, log
	p.mu.Unlock()
	end := time.Now().Add(2 * patience)
	for p.device() == p.below {
		if time.Now().After(end) || !p.alive() {
			p.Kill()
			p.T.Fatalf("the mount does not answer:\n%s", p.Log())
		}
		time.Sleep(time.Millisecond) // of a real process: there is no clock to fake
	}
	connection := connectionOf(p.Dir)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = connection
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// alive says whether the process has not ended by itself.
func (p *Process) alive() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.PID(), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == 0
}

// Log is what the ended processes said, the last of them at the end.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := ""
	for _, l := range p.logs {
		s += l + "-- the next process\n"
	}
	if p.log != nil && p.cmd == nil {
		s += p.log.String()
	}
	return s
}

// Kill kills the process, as kill -9 does. The dead mount stays where it is, so that nobody writes into the
// directory below it; Clear takes it away.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	// A thread that has the kernel drop a page waits for who reads the page, and he for the process: for ever, when it is killed in that moment.
	hung := time.AfterFunc(patience/6, func() {
		p.T.Logf("the killed process cannot end: its connection is ended")
		abort(p.T, p.conn)
	})
	_ = p.cmd.Wait()
	hung.Stop()
	p.cmd = nil
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Server.Deserted(ctx, p.endpoint); err != nil { // else a request of it could have its effect after the next process has begun
		p.T.Errorf("the killed process is still connected: %v", err)
	}
}

// Quit ends a process that hangs, as SIGQUIT does: the log has then where each goroutine was. The dead mount stays.
func (p *Process) Quit() {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	for end := time.Now().Add(patience); p.alive() && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // of a real process: there is no clock to fake
	}
	p.Kill()
}

// Clear takes a dead mount away.
func (p *Process) Clear() {
	if err := unix.Unmount(p.Dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		p.T.Errorf("taking the dead mount away: %v", err)
	}
}

// Stop ends the process as SIGTERM does: everything is sent, then unmounted.
func (p *Process) Stop() {
	p.T.Helper()
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	hung := time.AfterFunc(2*patience, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // it says where it hangs
	defer hung.Stop()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.T.Error(err)
	}
	err := cmd.Wait()
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
	if err != nil {
		p.T.Errorf("the mount process: %v", err)
	}
}
