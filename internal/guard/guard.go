// Package guard has a second process end a FUSE connection when the one that serves it was killed.
//
// The kernel ends a connection itself when the last thread that has /dev/fuse open is gone. A thread may not go, though: while
// it hands pages to the kernel, or has it forget some, it waits for a page, or an inode, that a program's request has locked, and
// no signal ends that wait. Killed at that moment, the process can no longer answer the request, the program waits for the
// answer, and the thread for the program: for ever, as far as Linux is concerned. A write to the connection's "abort"
// file answers every request with an error, and so lets all of them go (Documentation/filesystems/fuse/fuse.rst, "Control
// filesystem"; "Abort" there). Somebody has to be left who writes it.
//
// The guard learns of the death by a pipe of which one thread alone has the other end, in a table of descriptors of its own:
// it does nothing but wait for the guard, so that it can always go, and the kernel closes the end then. The "abort" file is
// opened at the beginning: the connection's number may be another's later.
package guard

import (
	"errors"
	"fmt"
	"math"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is the name of a guard: its first argument, and what ps(1) and killall(1) know it by. It has nothing of the
// program's: who kills all processes of that name leaves the guards.
const Name = "fuse-guard"

// The descriptors of a guard, after the usual three.
const (
	abortFD = 3
	aliveFD = 4
)

// Guard is the guard of this process.
type Guard struct {
	pid   int
	ended chan struct{} // closed when it has ended

	mu     sync.Mutex // guards the fields below
	reaped bool       // pid may be another's
	closed bool
}

// Start starts a guard: this very program with the arguments Name and what, which is to call Serve then. open opens what the
// guard writes to, in a table of descriptors that nobody else sees; unexpected hears that the guard ended before Close. It
// needs Linux 5.9.
func Start(what string, open func() (fd int, err error), unexpected func(error)) (*Guard, error) {
	g := &Guard{ended: make(chan struct{})}
	started, died := make(chan error, 1), make(chan error, 1)
	go g.live(what, open, started, died)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("a guard of the connection: %w", err)
	}
	go func() { // it ends with the guard
		defer close(g.ended)
		err := <-died
		g.mu.Lock()
		closed := g.closed
		g.mu.Unlock()
		if !closed {
			unexpected(err)
		}
	}()
	return g, nil
}

// live is the life of the thread whose death the guard hears of. Locked to it and never unlocked, it ends with the goroutine.
// What is called here has no descriptors but its own: everybody else hears by the channels.
func (g *Guard) live(what string, open func() (int, error), started, died chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() { // the runtime does not end this one, and /proc shows its descriptors as the process's
		begun := make(chan struct{})
		go func() {
			runtime.LockOSThread() // not this one: it is taken
			close(begun)
			g.live(what, open, started, died)
		}()
		<-begun
		runtime.UnlockOSThread()
		return
	}
	pid, err := start(what, open)
	g.pid = pid
	started <- err
	if err == nil {
		died <- g.reap()
	}
}

// start makes a table of descriptors for this thread that has the pipe alone, and the guard with its other end.
func start(what string, open func() (int, error)) (pid int, err error) {
	if err := unix.CloseRange(0, math.MaxUint32, unix.CLOSE_RANGE_UNSHARE); err != nil {
		return 0, fmt.Errorf("close_range: %w", err)
	}
	for fd := range 3 {
		null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil || null != fd {
			return 0, fmt.Errorf("/dev/null is descriptor %d: %w", null, err)
		}
	}
	abort, err := open()
	if err != nil {
		return 0, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("pipe: %w", err)
	}
	pid, err = syscall.ForkExec("/proc/self/exe", []string{Name, what}, &syscall.ProcAttr{
		Dir: "/", Env: []string{}, // the credentials may be there
		Files: []uintptr{0, 1, 2, uintptr(abort), uintptr(pipe[0])},
		Sys:   &syscall.SysProcAttr{Setsid: true}, // the terminal's signals are not for it
	})
	if err != nil {
		return 0, fmt.Errorf("/proc/self/exe: %w", err)
	}
	return pid, errors.Join(unix.Close(abort), unix.Close(pipe[0]))
}

// reap waits for the guard's end.
func (g *Guard) reap() error {
	for {
		err := unix.Waitid(unix.P_PID, g.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for the guard: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	var status unix.WaitStatus
	if _, err := unix.Wait4(g.pid, &status, 0, nil); err != nil {
		return fmt.Errorf("waiting for the guard: %w", err)
	}
	if status.Signaled() {
		return fmt.Errorf("the guard ended by %v", status.Signal())
	}
	return fmt.Errorf("the guard ended with status %d", status.ExitStatus())
}

// PID is the guard's number.
func (g *Guard) PID() int { return g.pid }

// Close ends the guard, which does nothing more.
func (g *Guard) Close() {
	g.mu.Lock()
	if g.closed = true; !g.reaped {
		_ = unix.Kill(g.pid, unix.SIGKILL) // it is ours, and not reaped
	}
	g.mu.Unlock()
	<-g.ended
}

// Serve is the life of a guard. It returns the exit status of the process.
func Serve() int {
	// Who asks a service to end asks all of its processes, and the other has much to do before it does.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(Name+"\x00"))), 0, 0, 0) // else it is "exe"
	var p [1]byte
	for {
		n, err := unix.Read(aliveFD, p[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n > 0:
			return 1 // not started by Start
		default:
			if _, err := unix.Write(abortFD, []byte("1")); err != nil {
				return 1
			}
			return 0
		}
	}
}
