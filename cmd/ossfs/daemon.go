package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readyVariable  = "OSSFS_READY_FD" // tells a child on which descriptor its parent waits
	readyFD        = 3
	daemonPatience = 2 * time.Minute // for a mount that has a long journal to read
	stderrKept     = 8 << 10         // bytes of a dying child's last words
)

// verdict is what the daemon tells its parent, once.
type verdict struct {
	Status   int      `json:"status"` // an exit status; 0: the mount answers
	Text     string   `json:"text,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// startDaemon runs this very command line again as a daemon, waits until its mount answers, and says
// why when it does not.
func startDaemon(c *console) error {
	program, err := os.Executable()
	if err != nil {
		return failf("starting the daemon: %w: use --foreground", err)
	}
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return failf("starting the daemon: %w", err)
	}
	defer ready.Close()
	words, wordsWriter, err := os.Pipe()
	if err != nil {
		return errors.Join(failf("starting the daemon: %w", err), readyWriter.Close())
	}
	defer words.Close()

	child := exec.Command(program)
	child.Args = os.Args
	child.Env = append(os.Environ(), readyVariable+"="+strconv.Itoa(readyFD))
	child.ExtraFiles = []*os.File{readyWriter}
	child.Stderr = wordsWriter
	err = child.Start()
	if err := errors.Join(err, readyWriter.Close(), wordsWriter.Close()); err != nil {
		return failf("starting the daemon: %w: use --foreground", err)
	}
	return awaitVerdict(c, child, ready, words)
}

func awaitVerdict(c *console, child *exec.Cmd, ready, words *os.File) error {
	answer := make(chan *verdict, 1)
	go func() { // it ends when the child answers or dies
		var v verdict
		if json.NewDecoder(ready).Decode(&v) != nil {
			answer <- nil
			return
		}
		answer <- &v
	}()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupted)

	select {
	case v := <-answer:
		if v == nil {
			return deathOf(child, words)
		}
		for _, warning := range v.Warnings {
			fmt.Fprintln(c.err, "ossfs: "+oneLine(warning))
		}
		if v.Status == exitDone {
			return nil
		}
		last := lastWords(words) // of a helper, such as fusermount3
		_ = child.Wait()         // it ends now; its status is in the verdict
		if last != "" {
			v.Text += " (" + last + ")"
		}
		return &failure{status: v.Status, text: v.Text}
	case <-interrupted:
		_ = child.Process.Signal(syscall.SIGTERM) // gone already is as good
		return failf("interrupted before the mount answered")
	case <-time.After(daemonPatience):
		_ = child.Process.Kill()
		return failf("the mount did not answer within %v: mount with --foreground --log-level debug to see why", daemonPatience)
	}
}

// deathOf is the error for a child that ended without a verdict: its last words say why.
func deathOf(child *exec.Cmd, words *os.File) error {
	last := lastWords(words)
	status := child.Wait()
	if last == "" {
		return failf("the daemon died before the mount answered (%w): mount with --foreground to see why", status)
	}
	return failf("the daemon died before the mount answered (%w): %s", status, last)
}

// lastWords is the first line of what an ending child wrote to its stderr.
func lastWords(words *os.File) string {
	text, err := io.ReadAll(io.LimitReader(words, stderrKept))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return first
}

// parent is the process that waits for this daemon.
type parent struct {
	pipe *os.File
}

// takeParent finds out whether this process is a daemon whose parent waits.
func takeParent() *parent {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil || fd != readyFD {
		return nil
	}
	_ = os.Unsetenv(readyVariable) // it cannot fail for a name without "="
	unix.CloseOnExec(fd)
	return &parent{pipe: os.NewFile(uintptr(fd), "parent")}
}

// tell gives the verdict and lets go of the parent: its session and terminal, its directory, its pipes. Until then the daemon
// is of its parent's process group: autofs has everybody else wait who comes near the mountpoint while it is being mounted.
func (p *parent) tell(v verdict) error {
	_, err := unix.Setsid()
	err = errors.Join(err, json.NewEncoder(p.pipe).Encode(v))
	null, openErr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if openErr == nil {
		for fd := range 3 {
			openErr = errors.Join(openErr, unix.Dup3(int(null.Fd()), fd, 0))
		}
		openErr = errors.Join(openErr, null.Close())
	}
	return errors.Join(err, openErr, p.pipe.Close())
}
