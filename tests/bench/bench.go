package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench is what a row works with: a server of its own, and mounts of it.
type bench struct {
	ctx     context.Context
	program string // the built ossfs
	tmp     string // this row's folder
	server  *server
	memory  string // --memory of every mount
	extra   []string
	peer    string // the command line of another program; "": it is ossfs that is measured
}

// mount is one running ossfs, or peer.
type mount struct {
	b   *bench
	dir string
	cmd *exec.Cmd
	log *os.File
}

// build compiles the program as it is delivered.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "ossfs")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/ossfs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return program, cmd.Run()
}

// shape makes the network slow; {0, 0} makes it as fast as loopback is.
func (b *bench) shape(latency time.Duration, bandwidth int64) error {
	_, err := b.server.ask(order{Shape: &shape{latency, bandwidth}})
	return err
}

// network is the one of the tables: 15 ms for each request, 100 MB/s a connection.
func (b *bench) network() error { return b.shape(15*time.Millisecond, 100_000_000) }

func (b *bench) seed(s seed) error {
	_, err := b.server.ask(order{Seed: &s})
	return err
}

func (b *bench) reset() error {
	_, err := b.server.ask(order{Reset: true})
	return err
}

func (b *bench) counts() (answer, error) { return b.server.ask(order{Counts: true}) }

// mount starts ossfs in the foreground with the state directory of that name, and returns when the
// mount answers.
func (b *bench) mount(state string, flags ...string) (*mount, error) {
	dir := filepath.Join(b.tmp, "mnt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.tmp, "ossfs.log"))
	if err != nil {
		return nil, err
	}
	cmd, err := b.start(dir, filepath.Join(b.tmp, state), flags)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &mount{b, dir, cmd, log}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if mounted(dir) {
			return m, nil
		}
		if time.Now().After(deadline) || cmd.ProcessState != nil {
			text, _ := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("%s did not mount %s: %s", cmd, dir, text), m.kill())
		}
	}
}

// start is the command that mounts.
func (b *bench) start(dir, state string, flags []string) (*exec.Cmd, error) {
	if b.peer != "" {
		return b.startPeer(dir, state)
	}
	args := []string{"mount", "--foreground", "--endpoint", b.server.endpoint, "--region", "cn-hangzhou", "--state-dir", state}
	if b.memory != "" {
		args = append(args, "--memory", b.memory)
	}
	args = append(append(append(args, b.extra...), flags...), "oss://"+bucketName, dir)
	cmd := exec.CommandContext(b.ctx, b.program, args...)
	cmd.Env = append(os.Environ(), "OSS_ACCESS_KEY_ID="+keyID, "OSS_ACCESS_KEY_SECRET="+keySecret)
	return cmd, nil
}

// mounted looks for the mountpoint in the kernel's table (proc_pid_mountinfo(5)).
func mounted(dir string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(text), " "+dir+" ")
}

// flush waits until the bucket has everything, and says how long that took.
func (m *mount) flush() (time.Duration, error) {
	if m.b.peer != "" {
		return m.b.settled()
	}
	return timed(func() error { return m.b.ossfs("flush", m.dir) })
}

func (b *bench) ossfs(args ...string) error {
	cmd := exec.CommandContext(b.ctx, b.program, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ossfs %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (m *mount) usage() (usage, error) { return usageOf(m.cmd.Process.Pid) }

// budget is the mount's --memory in bytes, as its status tells it; 0: it has none.
func (m *mount) budget() (int64, error) {
	if m.b.peer != "" {
		return 0, nil
	}
	out, err := exec.CommandContext(m.b.ctx, m.b.program, "status", "--json", m.dir).Output()
	if err != nil {
		return 0, fmt.Errorf("ossfs status: %w", err)
	}
	var status struct{ MemoryBudget int64 }
	if err := json.Unmarshal(out, &status); err != nil {
		return 0, fmt.Errorf("ossfs status: %w", err)
	}
	return status.MemoryBudget, nil
}

// close sends what is staged, unmounts and waits for the process.
func (m *mount) close() error {
	defer m.log.Close()
	umount := func(dir string) error { return m.b.ossfs("umount", dir) }
	if m.b.peer != "" {
		umount = m.b.umountPeer
	}
	if err := umount(m.dir); err != nil {
		return errors.Join(err, m.kill())
	}
	return m.cmd.Wait()
}

func (m *mount) kill() error {
	err := m.cmd.Process.Kill()
	_ = m.cmd.Wait() // it was killed: its status says only that
	return errors.Join(err, exec.Command("umount", "-l", m.dir).Run())
}

// timed is how long work takes.
func timed(work func() error) (time.Duration, error) {
	start := time.Now()
	err := work()
	return time.Since(start), err
}

// shell runs a command line as a user would type it, in dir.
func (b *bench) shell(dir, line string) (time.Duration, error) {
	cmd := exec.CommandContext(b.ctx, "sh", "-c", line)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	d, err := timed(cmd.Run)
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", line, err, strings.TrimSpace(stderr.String()))
	}
	return d, err
}
