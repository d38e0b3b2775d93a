package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	mountWord     = "{}"
	mountVariable = "OSSFS_MOUNT"
)

// findProgram finds the command's program before anything is started; empty when there is no command.
func findProgram(words []string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	name := words[0]
	if strings.Contains(name, mountWord) { // it lies in the mount, and is there only later
		return name, nil
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return filepath.Abs(path)
	case strings.Contains(name, "/"):
		return "", failf("%s: %w", name, reason(errors.Unwrap(err)))
	default:
		return "", failf("%s is not installed: %sapt-get install %s", name, sudo(), packageOf(name))
	}
}

// runInMount runs the command and waits for it. The command gets the terminal's signals itself; those
// sent to this process alone are passed on.
//
// A shell stands between: this process serves the mount, and must not wait in fork for a program that
// lies in it.
func runInMount(inv *invocation, program, mountpoint string, signals <-chan os.Signal) error {
	words := make([]string, 0, len(inv.rest))
	for _, word := range inv.rest[1:] {
		words = append(words, strings.ReplaceAll(word, mountWord, mountpoint))
	}
	program = strings.ReplaceAll(program, mountWord, mountpoint)
	cmd := exec.Command("/bin/sh", append([]string{"-c", `exec "$0" "$@"`, program}, words...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, inv.out, inv.err
	cmd.Env = append(os.Environ(), mountVariable+"="+mountpoint)
	if err := cmd.Start(); err != nil {
		return failf("%s: %w", inv.rest[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM { // SIGINT comes from the terminal, to both of us
				_ = cmd.Process.Signal(sig) // gone already is as good
			}
		case err := <-done:
			return exitOf(err, cmd.ProcessState)
		}
	}
}
