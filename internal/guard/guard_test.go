package guard

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const guardedVariable = "GUARD_TEST_FILE" // the guard of a process with it writes to that file

// TestMain lets the test binary be a guard, and a process that has one.
func TestMain(m *testing.M) {
	switch name := os.Getenv(guardedVariable); {
	case os.Args[0] == Name:
		os.Exit(Serve())
	case name != "":
		os.Exit(guarded(name))
	}
	os.Exit(m.Run())
}

// guarded starts a guard, says its number, closes it when it reads a line, and waits to be killed.
func guarded(name string) int {
	g, err := Start("test", func() (int, error) { return unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0) },
		func(err error) { fmt.Println(err) })
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(g.PID())
	in := bufio.NewScanner(os.Stdin)
	if in.Scan() {
		g.Close()
		fmt.Println("closed")
	}
	in.Scan()
	return 0
}

// watched is a process with a guard.
type watched struct {
	*testing.T
	cmd   *exec.Cmd
	out   *bufio.Scanner
	tell  func(string)
	file  string
	guard int
}

func startGuarded(t *testing.T) *watched {
	t.Helper()
	w := &watched{T: t, cmd: exec.Command(os.Args[0]), file: filepath.Join(t.TempDir(), "abort")}
	if err := os.WriteFile(w.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.cmd.Env = append(os.Environ(), guardedVariable+"="+w.file)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // it may have ended
		_ = w.cmd.Wait()
		w.eventually("the guard is gone", func() bool { return unix.Kill(w.guard, 0) != nil })
	})
	w.out = bufio.NewScanner(out)
	w.tell = func(s string) {
		if _, err := in.Write([]byte(s)); err != nil {
			t.Error(err)
		}
	}
	first := w.line()
	if w.guard, err = strconv.Atoi(first); err != nil {
		t.Fatal(first)
	}
	return w
}

func (w *watched) line() string {
	w.Helper()
	if !w.out.Scan() {
		w.Fatalf("the process says nothing: %v", w.out.Err())
	}
	return w.out.Text()
}

func (w *watched) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { // of real processes
		if time.Now().After(end) {
			w.Errorf("not within 20 s: %s", what)
			return
		}
	}
}

func (w *watched) written() string {
	w.Helper()
	b, err := os.ReadFile(w.file)
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// comm is what a process is called. It is the program's first act.
func comm(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// The guard of a process that was killed writes, though it was asked to end before, and ends.
func TestKilled(t *testing.T) {
	w := startGuarded(t)
	w.eventually("the guard has its name", func() bool { return comm(w.guard) == Name })
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1} {
		if err := unix.Kill(w.guard, sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.written(); got != "" {
		t.Fatalf("while the process lives the guard wrote %q", got)
	}
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.eventually("the guard writes", func() bool { return w.written() == "1" })
}

// Closed, it is gone and has written nothing.
func TestClose(t *testing.T) {
	w := startGuarded(t)
	w.tell("\n")
	if got := w.line(); got != "closed" {
		t.Errorf("got %q", got)
	}
	if err := unix.Kill(w.guard, 0); err == nil {
		t.Error("the guard still is")
	}
	if got := w.written(); got != "" {
		t.Errorf("the guard wrote %q", got)
	}
}

// Killed itself, it is missed.
func TestMissed(t *testing.T) {
	w := startGuarded(t)
	if err := unix.Kill(w.guard, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got, want := w.line(), "the guard ended by killed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// It has what it needs and nothing else: no descriptor that would keep something open, nothing secret. Nor does the process
// have anything of the guard's where others would close it, or hand it on.
func TestHasNothingElse(t *testing.T) {
	w := startGuarded(t)
	w.eventually("the guard has its name", func() bool { return comm(w.guard) == Name })
	descriptors := func(pid int) (list []string) {
		names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if to, err := os.Readlink(name); err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/sys/fs/cgroup") && !strings.HasPrefix(to, "/proc/") { // the runtime's
				list = append(list, filepath.Base(name)+" "+strings.TrimRight(to, "0123456789[]"))
			}
		}
		return list
	}
	want := fmt.Sprint([]string{"0 /dev/null", "1 /dev/null", "2 /dev/null", "3 " + w.file, "4 pipe:"})
	if got := fmt.Sprint(descriptors(w.guard)); got != want {
		t.Errorf("the guard has %s, want %s", got, want)
	}
	if got := fmt.Sprint(descriptors(w.cmd.Process.Pid)); strings.Contains(got, w.file) {
		t.Errorf("the process has %s", got)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.guard)); err != nil || len(b) > 0 {
		t.Errorf("the guard's environment: %q, %v", b, err)
	}
	if to, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", w.guard)); err != nil || to != "/" {
		t.Errorf("the guard is in %s, %v", to, err)
	}
}

// What cannot be opened is the error of Start.
func TestRefused(t *testing.T) {
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Start("test", func() (int, error) { return 0, unix.EPERM }, nil)
	if g != nil || err == nil || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("got %v, %v", g, err)
	}
	after, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("%d descriptors, %d before", len(after), len(before))
	}
}
