package transport

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A signal to a program that waits for an answer interrupts its call; the kernel says so with another request, and does
// not say which signal. Files of a local disk know no such thing, and few programs expect it: ls gives up when a window
// changes its size. So a call has some time to end as if nothing had been, unless the signal ends the program.
const (
	grace     = time.Second
	lookEvery = 20 * time.Millisecond
)

// interrupt has a request interrupted in time. False: it is not being answered, as far as is known.
func (c *Conn) interrupt(q *request) bool {
	in := *(*fuse.InterruptIn)(unsafe.Pointer(&q.in[0]))
	caller, flies := c.flying.caller(in.Unique)
	if !flies {
		return false
	}
	c.interrupts.Add(1)
	c.loops.Add(1)
	go func() {
		defer c.loops.Done()
		for begun := time.Now(); !dying(caller) && time.Since(begun) < c.grace; time.Sleep(lookEvery) {
			if _, flies := c.flying.caller(in.Unique); !flies {
				return
			}
		}
		c.cancel(in.Unique)
	}()
	return true
}

// cancel ends the context in which a request is answered, if it still is. One that was just read go-fuse does not have yet, and would
// not hear of that: it is told again.
func (c *Conn) cancel(unique uint64) {
	for flies := true; flies && !c.canceled(unique); _, flies = c.flying.caller(unique) {
		time.Sleep(lookEvery)
	}
}

// canceled tells go-fuse. False: it does not have the request, or was told before.
func (c *Conn) canceled(unique uint64) bool {
	in := fuse.InterruptIn{Unique: unique}
	in.Opcode = opInterrupt
	n, _ := c.ps.HandleRequest([][]byte{bytesOf(&in, &in.InHeader)}, [][]byte{make([]byte, smallRoom)})
	return n == 0 // else it says EAGAIN
}

// dying says whether a thread is about to be killed: a signal that ends a program without a core dump has SIGKILL pending
// for each thread of it (complete_signal in the kernel's signal.c). One that dumps core is acted on only when the call has
// ended; and of a thread that we cannot see, in a container, nothing is known.
func dying(thread uint32) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if mask, ok := strings.CutPrefix(lines.Text(), "SigPnd:\t"); ok {
			pending, err := strconv.ParseUint(mask, 16, 64)
			return err == nil && pending&(1<<(unix.SIGKILL-1)) != 0
		}
	}
	return false
}
