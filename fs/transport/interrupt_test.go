package transport

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A request that is cancelled, or whose connection ends, before go-fuse has it is cancelled all the same: else it would last as long
// as the bucket takes, for a program that is killed already.
func TestCancelBeforeGoFuseHasIt(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		d, begun, ended := waiting()
		_, c, _ := mounted(t, d)
		q := asked(opLookup, 1<<60, 1, []byte("waits\x00"))
		c.flying.add(1<<60, flight{q: q})
		canceled := make(chan struct{})
		go func() {
			c.cancel(1 << 60)
			close(canceled)
		}()
		others()
		go func() {
			c.ps.HandleRequest([][]byte{q.in[:q.n]}, [][]byte{make([]byte, smallRoom)})
			c.flying.remove(1 << 60)
		}()
		within(t, "the request", begun)
		within(t, "its end", ended)
		within(t, "the cancelling", canceled)
	})
	t.Run("at the end of the connection", func(t *testing.T) {
		d, begun, ended := waiting()
		_, c, _ := mounted(t, d)
		c.cut(unix.ENODEV)
		done := make(chan struct{})
		go func() {
			c.hands.Add(1)
			c.answer(asked(opLookup, 1<<60, 1, []byte("waits\x00")), &kind{})
			close(done)
		}()
		within(t, "the request", begun)
		within(t, "its end", ended)
		within(t, "its answer", done)
	})
}

// A request that comes while the watch is about to rest wakes it.
func TestRequestComesWhenTheWatchRests(t *testing.T) {
	c := &Conn{wake: make(chan struct{}, 1)}
	c.numbers.Store(7)
	if c.rest(7); !c.resting.Load() || len(c.wake) != 0 {
		t.Error("it does not rest though nothing came")
	}
	if c.rest(6); c.resting.Load() || len(c.wake) != 1 {
		t.Error("it rests though a request came")
	}
}

// A signal to the thread that waits for requests, as Go sends them to its own, ends nothing.
func TestSignalWhileNoRequestComes(t *testing.T) {
	d := &top{lookup: func(context.Context, string) syscall.Errno { return 0 }}
	dir, _, _ := mounted(t, d)
	for range 10 {
		signalled := 0
		for end := time.Now().Add(time.Minute); signalled == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no thread waits for requests")
			}
			tasks, err := filepath.Glob("/proc/self/task/*")
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range tasks {
				call, err := os.ReadFile(filepath.Join(task, "syscall"))
				if err != nil || !strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_POLL)+" ") && !strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_PPOLL)+" ") {
					continue
				}
				var thread int
				if _, err := fmt.Sscan(filepath.Base(task), &thread); err != nil {
					t.Fatal(err)
				}
				if err := unix.Tgkill(unix.Getpid(), thread, unix.SIGURG); err != nil {
					t.Fatal(err)
				}
				signalled++
			}
		}
		absent(t, dir, "x")
	}
}

// A mount has the descriptor that is new, whatever other mounts this process has.
func TestDescriptorOfAMount(t *testing.T) {
	mayMount(t)
	for range 5 {
		before := devices()
		fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if got, err := deviceOf("/nowhere", before); got != fd || err != nil {
			t.Errorf("descriptor %d, %v, want %d", got, err, fd)
		}
		if got, err := deviceOf(fmt.Sprintf("/dev/fd/%d", fd), before); got != fd || err != nil {
			t.Errorf("by its number: descriptor %d, %v, want %d", got, err, fd)
		}
	}
	if fd, err := deviceOf("/nowhere", devices()); err == nil {
		t.Errorf("descriptor %d is none of a new mount", fd)
	}
}
