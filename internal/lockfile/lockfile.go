// Package lockfile keeps two processes from one directory: a file with flock(2)'s exclusive lock, and in it, as a hint
// to people, the process that holds it.
package lockfile

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long Take waits for a holder to end. What the kernel ends, after kill -9 or for want of memory, holds
// its locks until it has been taken apart; its mount answers ENOTCONN before, and whoever saw that may mount again at once.
const Patience = 2 * time.Second

const step = 20 * time.Millisecond // between two attempts

// HeldError says that another process held the lock all the time.
type HeldError struct {
	Name string
	PID  string // as the holder wrote it; empty when unknown
}

// Error names the holder.
func (e *HeldError) Error() string {
	if e.PID == "" {
		return e.Name + " is locked by another process"
	}
	return e.Name + " is locked by process " + e.PID
}

// Take makes the file if it is not there, and takes its lock, for as long as the process lives or until Close. A symbolic link is not
// followed. When another process holds it for Patience, the error is a *HeldError.
func Take(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &HeldError{Name: name, PID: holder(f)}
	} else if err != nil {
		err = &os.PathError{Op: "flock", Path: name, Err: err}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err == nil { // the lock does not need the hint
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func lock(f *os.File) error {
	for until := time.Now().Add(Patience); ; time.Sleep(step) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || !time.Now().Before(until) {
			return err
		}
	}
}

func holder(f *os.File) string {
	pid := make([]byte, 20)
	n, _ := f.ReadAt(pid, 0) // without it nobody is named
	return strings.TrimSpace(string(pid[:n]))
}
