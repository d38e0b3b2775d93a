package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Conn is the connection of one mount with the kernel.
type Conn struct {
	fd     int
	server *fuse.Server
	ps     *fuse.ProtocolServer
	log    *slog.Logger
	rooms  rooms
	kinds  [opcodes]kind
	pace   pace
	width  int // processors
	flying flying
	loops  sync.WaitGroup // those that read or answer
	spares atomic.Int32   // goroutines that wait to be needed
	needed chan bool      // takes one of them, to lead or to assist
	grace  time.Duration

	hands      atomic.Int32  // requests that are being read, or were, and do not fly yet
	numbers    atomic.Uint64 // of requests
	interrupts atomic.Uint64 // of calls that were being answered
	inline     atomic.Uint64 // the number of the request that the leading loop answers itself; 0: none
	relieving  sync.Mutex    // held while another loop is made to lead
	assisting  atomic.Int32  // loops that do not lead
	gone       atomic.Bool   // the connection has ended: what is still answered is cancelled

	resting atomic.Bool   // the watch has nothing to watch
	wake    chan struct{} // one token: it has
	ended   chan struct{} // closed with the connection

	telling sync.RWMutex // held for reading by who writes to fd and is no loop; guards the field below
	closed  bool         // fd may be another file's by now
}

func newConn(fd int, raw fuse.RawFileSystem, o *fuse.MountOptions, server *fuse.Server, log *slog.Logger) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("/dev/fuse: %w", err)
	}
	c := &Conn{fd: fd, server: server, log: log, grace: grace, width: runtime.GOMAXPROCS(0), flying: newFlying(), wake: make(chan struct{}, 1), ended: make(chan struct{}), needed: make(chan bool)}
	c.rooms.most = o.MaxWrite
	c.ps = fuse.NewProtocolServer(&lending{raw, &c.flying}, o)
	in := *server.KernelSettings() // what the kernel said to the Server
	in.Opcode = opInit
	if _, status := c.ps.HandleRequest([][]byte{bytesOf(&in, &in.InHeader)}, [][]byte{make([]byte, smallRoom)}); !status.Ok() {
		return nil, fmt.Errorf("fuse: INIT: %w", syscall.Errno(status))
	}
	return c, nil
}

// Serve answers requests until the kernel ends the connection, and those that it has begun.
func (c *Conn) Serve() {
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.watch()
	}()
	c.start(true)
	c.loops.Wait()
	close(c.ended)
	<-watched
	c.server.Serve() // finds the connection ended, and gives back what the Server has
	c.telling.Lock()
	defer c.telling.Unlock()
	c.closed = true
	_ = unix.Close(c.fd)
}

// work is the life of a goroutine that reads and answers. When another leads in its place it waits to be needed again: a new
// goroutine would have to grow its stack first.
func (c *Conn) work(leads bool) {
	for again := true; again; leads, again = c.spare() {
		c.loop(leads)
	}
}

// spareMost is how many goroutines wait to be needed.
const spareMost = 8

// spare waits to be needed. False: the connection has ended, or there are enough who wait.
func (c *Conn) spare() (leads, needed bool) {
	defer c.spares.Add(-1)
	if c.spares.Add(1) > spareMost {
		return false, false
	}
	select {
	case leads = <-c.needed:
		return leads, true
	case <-c.ended:
		return false, false
	}
}

// loop reads and answers. One loop leads: it waits for requests. It answers the quick ones itself, and lets another lead
// while it answers one that may take long. The others assist while requests come faster than one loop answers them.
func (c *Conn) loop(leads bool) {
	defer c.loops.Done()
	if !leads {
		defer c.assisting.Add(-1)
	}
	q := c.rooms.request()
	defer func() { c.rooms.give(q) }()
	row := 0 // requests that were waiting already
	for {
		waited, err := c.read(q, leads)
		if err != nil {
			if !errors.Is(err, errNone) {
				c.cut(err)
			}
			return
		}
		if row++; waited {
			row = 0
		}
		if leads && row >= rowMost && int(c.assisting.Load()) < c.width-1 {
			row = 0
			c.assisting.Add(1)
			c.start(false)
		}
		number := c.numbers.Add(1)
		if c.resting.Load() && c.resting.Swap(false) {
			c.wake <- struct{}{}
		}
		switch k := &c.kinds[q.opcode()%opcodes]; {
		case !leads:
			c.answer(q, k)
		case k.quick():
			c.inline.Store(number)
			c.answer(q, k)
			if !c.leadsStill(number) {
				return
			}
		default:
			q.shrink(&c.rooms)
			c.start(true)
			c.answer(q, k)
			return
		}
	}
}

// leadsStill is asked by the loop that led when it has answered a request itself. False: it took so long that another leads,
// which is counted by now: were this one gone before, Serve would take the connection for ended.
func (c *Conn) leadsStill(number uint64) bool {
	if c.inline.CompareAndSwap(number, 0) {
		return true
	}
	c.relieving.Lock()
	defer c.relieving.Unlock()
	return false
}

// relieve ends the lead of the loop that still answers the request of that number. The caller then starts another, which is
// counted already.
func (c *Conn) relieve(number uint64) bool {
	c.relieving.Lock()
	defer c.relieving.Unlock()
	if !c.inline.CompareAndSwap(number, 0) {
		return false
	}
	c.loops.Add(1)
	return true
}

// rowMost is how many requests in a row the leader finds waiting before it gets an assistant.
const rowMost = 8

func (c *Conn) start(leads bool) {
	c.loops.Add(1)
	c.run(leads)
}

// run has a goroutine do what start, or relieve, has counted.
func (c *Conn) run(leads bool) {
	select {
	case c.needed <- leads:
	default:
		go c.work(leads)
	}
}

// answer has go-fuse answer a request.
func (c *Conn) answer(q *request, k *kind) {
	start := time.Now()
	op, unique, waits := q.opcode(), q.header().Unique, replies(q.opcode())
	if waits {
		c.flying.add(unique, flight{q, q.header().Caller.Pid, q.nodes(), q.pages()})
		if c.gone.Load() { // cut did not find it
			c.loops.Go(func() { c.cancel(unique) })
		}
	}
	c.hands.Add(-1)
	if op == opInterrupt && c.interrupt(q) {
		return
	}
	out := q.small[:]
	if n := q.payload(); n > smallRoom/2 {
		out = c.rooms.take(n + smallRoom/2)
		defer c.rooms.put(out)
	}
	n, status := c.ps.HandleRequest([][]byte{q.in[:q.n]}, [][]byte{out})
	if waits {
		c.flying.remove(unique)
	}
	if !status.Ok() && waits { // go-fuse does not understand it; somebody waits nevertheless
		n = refuse(out, unique, status)
	}
	if n > 0 {
		if err := c.write(out[:n], q.loan.pieces); err != nil {
			c.log.Error("an answer did not reach the kernel", "opcode", op, "bytes", n, "err", err)
		}
	}
	q.loan.repay()
	k.took(time.Since(start))
}

// write hands an answer to the kernel: all of p, or its header and the pieces. Nobody may wait for it any more.
func (c *Conn) write(p []byte, pieces [][]byte) error {
	var err error
	switch {
	case pieces != nil:
		_, err = unix.Writev(c.fd, append([][]byte{p[:outHeader]}, pieces...))
	case len(p) <= smallRoom:
		err = writeNow(c.fd, p)
	default:
		_, err = unix.Write(c.fd, p)
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// cut interrupts what is being answered when the connection has ended: ENODEV says that the mount is gone.
func (c *Conn) cut(why error) {
	if !errors.Is(why, unix.ENODEV) {
		c.log.Error("requests of the kernel cannot be read any more", "err", why)
	}
	c.gone.Store(true)
	for _, unique := range c.flying.all() {
		c.loops.Go(func() { c.cancel(unique) })
	}
}
