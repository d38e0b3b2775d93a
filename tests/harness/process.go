package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// ready is what a mount process prints when the mount answers.
const ready = "ready"

// Process is a mount in a process of its own, to be killed at will.
type Process struct {
	T      testing.TB
	Server *ossservertest.Server
	Dir    string // the mountpoint
	State  string
	Delay  time.Duration // of the write-back

	cmd *exec.Cmd // nil while it does not run
}

// processOptions are what a mount process is told.
type processOptions struct {
	Endpoint, Dir, State string
	Delay                time.Duration
}

// NewProcess prepares a mount process; Start starts it.
func NewProcess(t testing.TB, s *ossservertest.Server) *Process {
	t.Helper()
	RequireFuse(t)
	top := t.TempDir()
	p := &Process{T: t, Server: s, Dir: filepath.Join(top, "mnt"), State: filepath.Join(top, "state"), Delay: 20 * time.Millisecond}
	if err := os.Mkdir(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Clear()
	})
	return p
}

// Start mounts in a new process.
func (p *Process) Start() {
	p.T.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.T.Fatal(err)
	}
	o, err := json.Marshal(processOptions{p.Server.Endpoint, p.Dir, p.State, p.Delay})
	if err != nil {
		p.T.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), helperVariable+"=mount\n"+string(o))
	cmd.Stderr = logWriter{p.T}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.T.Fatal(err)
	}
	p.cmd = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != ready+"\n" {
		p.T.Fatalf("the mount process said %q, %v", line, err)
	}
}

// Kill kills the process, as kill -9 does. The dead mount stays where it is, so that nobody writes into the
// directory below it; Clear takes it away.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
	p.cmd = nil
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
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.T.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.T.Errorf("the mount process: %v", err)
	}
	p.cmd = nil
}

// mountProcess is the other side: it mounts, says so, and waits for SIGTERM.
func mountProcess(args []string) error {
	var o processOptions
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	ctx, log := context.Background(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	bucket, err := ossclient.Open(ctx, ossclient.Config{
		Bucket: Bucket, Region: ossservertest.Region, Endpoint: o.Endpoint, Credentials: key{}, Logger: log,
	})
	if err != nil {
		return err
	}
	m, err := fs.Start(ctx, fs.Options{
		Bucket: bucket, Mountpoint: o.Dir, StateDir: o.State, TTL: time.Minute, WriteBack: o.Delay, Memory: 64 << 20, Logger: log,
		Defaults: attr.Defaults{FileMode: 0o644, DirMode: 0o755},
	})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(os.Stdout, ready+"\n"); err != nil {
		return err
	}
	<-signals
	return errors.Join(m.Flush(ctx, "", nil), m.Unmount(ctx), m.Flush(ctx, "", nil), m.Close(ctx), closed(bucket))
}

func closed(b *ossclient.Bucket) error {
	b.Close()
	return nil
}
