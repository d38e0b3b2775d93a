package transport

import (
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errNone says that no request waits.
const errNone = syscall.EAGAIN

// read gives the next request. The leader waits for it, and waited says whether it had to; others find one or none.
func (c *Conn) read(q *request, leads bool) (waited bool, err error) {
	if err = c.take(q); err != errNone || !leads {
		return false, err
	}
	start := time.Now()
	for soon := c.pace.soon(); soon && time.Since(start) < awake; {
		if err = c.take(q); err != errNone {
			break
		}
	}
	for err == errNone {
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return true, err
		}
		err = c.take(q)
	}
	c.pace.came(time.Since(start), c.width)
	return true, err
}

// take reads a request, if one waits. It is in a hand until it flies.
func (c *Conn) take(q *request) (err error) {
	c.hands.Add(1)
	if q.n, err = readNow(c.fd, q.in); err != nil {
		c.hands.Add(-1)
	}
	return err
}

// pace says whether it is worth while to stay awake for the next request: when the last ones came soon, and another
// processor is there to make it.
type pace struct{ credit atomic.Int32 }

const (
	awake     = 60 * time.Microsecond // for the next request
	creditMax = 8
	missed    = 2 // what a request that came late costs
)

func (p *pace) soon() bool { return p.credit.Load() > 0 }

// came notes after how long the next request came. One loop leads: nobody else notes anything meanwhile.
func (p *pace) came(after time.Duration, width int) {
	credit := p.credit.Load()
	if after > awake || width == 1 {
		p.credit.Store(max(credit-missed, 0))
	} else {
		p.credit.Store(min(credit+1, creditMax))
	}
}
