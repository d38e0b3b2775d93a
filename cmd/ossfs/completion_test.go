package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shellFile writes a completion where a shell can read it; the test is skipped where that shell is not
// installed.
func shellFile(t *testing.T, shell string) string {
	t.Helper()
	needTool(t, shell, shell)
	path := filepath.Join(t.TempDir(), "ossfs."+shell)
	if err := os.WriteFile(path, []byte(generated(t, "ossfs."+shell)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s -n: %v\n%s", shell, err, out)
	}
	return path
}

// What bash offers for the beginning of a line.
func TestBashCompletion(t *testing.T) {
	isolate(t)
	path := shellFile(t, "bash")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "target"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "textfile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"ossfs mo":                                "mount",
		"ossfs help um":                           "umount",
		"ossfs umount --la":                       "--lazy",
		"ossfs mount --file":                      "--file-mode",
		"ossfs mount --sign ":                     "v4 v2 v1",
		"ossfs mount --sign=v":                    "v4 v2 v1",
		"ossfs mount --region x --fsync=b":        "bucket",
		"ossfs mount --on-conflict k":             "keep-both",
		"ossfs mount --uid roo":                   "root",
		"ossfs mount -o attr_t":                   "attr_ttl=",
		"ossfs mount -o ro,attr_t":                "ro,attr_ttl=",
		"ossfs mount -o attr_ttl=5m,no_h":         "5m,no_head",
		"ossfs mount -o _net":                     "_netdev",
		"ossfs mount --state-dir t":               "target",
		"ossfs mount --log-file t":                "target textfile",
		"ossfs mount oss://bucket t":              "target",
		"ossfs mount oss://bucket target t":       "",
		"ossfs mount --read-only oss://bucket ta": "target",
		"ossfs flush te":                          "textfile",
		"ossfs uploads ":                          "list abort",
		"ossfs uploads list --old":                "--older",
		"ossfs frobnicate ":                       "",
		"ossfs mount --ver":                       "",
	} {
		script := `COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'; source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _ossfs; printf '%s ' "${COMPREPLY[@]}"`
		cmd := exec.Command("bash", "--norc", "-c", script, "bash", path, line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", line, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// What fish offers; its own program answers without a terminal.
func TestFishCompletion(t *testing.T) {
	isolate(t)
	path := shellFile(t, "fish")
	for line, want := range map[string]string{
		"ossfs mo":            "mount",
		"ossfs umount --la":   "--lazy",
		"ossfs mount --sign ": "v1 v2 v4",
		"ossfs uploads a":     "abort",
	} {
		out, err := exec.Command("fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, path, line).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", line, err, out)
		}
		var words []string
		for entry := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(entry), "\t")
			words = append(words, word)
		}
		slices.Sort(words)
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// In a shell on a terminal the tabulator completes.
func TestCompletionOnATerminal(t *testing.T) {
	isolate(t)
	for shell, start := range map[string][]string{"bash": {"--norc", "-i"}, "zsh": {"-f", "-i"}} {
		t.Run(shell, func(t *testing.T) {
			load := "source " + shellFile(t, shell)
			if shell == "zsh" {
				load = "autoload -Uz compinit; compinit -D -u; " + load
			}
			s := startShell(t, shell, start...)
			s.typed(load+"; echo load''ed\n", "loaded")
			s.typed("ossfs mou\t--stor\t", "--storage-class")
			s.typed("\x15ossfs uploads ab\t", "ossfs uploads abort ")
		})
	}
}

// terminalShell is a shell, or another program, at the end of a pseudoterminal.
type terminalShell struct {
	t    *testing.T
	pty  *os.File
	seen bytes.Buffer
}

func startShell(t *testing.T, shell string, args ...string) *terminalShell {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, shell, args...)
	cmd.Env = append(os.Environ(), "TERM=dumb", "PS1=$ ")
	return onTerminal(t, cmd)
}

// onTerminal starts a program, which is killed at the end of the test.
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminalShell {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pty.Close() })
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(pty.Fd()), true); err != nil { // Fd has made it block
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 200}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return &terminalShell{t: t, pty: pty}
}

// typed types keys and waits until the terminal shows a text.
func (s *terminalShell) typed(keys, want string) {
	s.t.Helper()
	s.seen.Reset()
	if _, err := s.pty.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
	if err := s.pty.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for !strings.Contains(s.seen.String(), want) {
		n, err := s.pty.Read(buffer)
		s.seen.Write(buffer[:n])
		if err != nil {
			s.t.Fatalf("typed %q: %v; want %q, the terminal shows %q", keys, err, want, s.seen.String())
		}
	}
}
