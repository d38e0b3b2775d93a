package ossserver

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// speed is how slow the server pretends to be.
type speed struct {
	latency   atomic.Int64 // nanoseconds
	bandwidth atomic.Int64 // bytes per second; 0: no limit
}

// listener gives its connections the server's bandwidth.
type listener struct {
	net.Listener
	speed *speed
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{TCPConn: c.(*net.TCPConn), speed: l.speed}, nil
}

// conn is a connection whose bytes take time. Without a limit it costs nothing, and the kernel still moves files
// (sendfile), because ReadFrom is passed on.
type conn struct {
	*net.TCPConn
	speed   *speed
	in, out pace // each used by one goroutine at a time, as net/http does
}

// slice is how much of a limited connection is moved at once.
const slice = 32 << 10

func (c *conn) Read(p []byte) (int, error) {
	limit := c.speed.bandwidth.Load()
	if limit > 0 && len(p) > slice {
		p = p[:slice]
	}
	n, err := c.TCPConn.Read(p)
	if limit > 0 {
		c.in.wait(n, limit)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	limit := c.speed.bandwidth.Load()
	if limit <= 0 {
		return c.TCPConn.Write(p)
	}
	done := 0
	for done < len(p) {
		n, err := c.TCPConn.Write(p[done:min(done+slice, len(p))])
		done += n
		if err != nil {
			return done, err
		}
		c.out.wait(n, limit)
	}
	return done, nil
}

// ReadFrom lets the kernel copy a file to the connection when there is no limit.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if c.speed.bandwidth.Load() <= 0 {
		return c.TCPConn.ReadFrom(r)
	}
	return io.CopyBuffer(struct{ io.Writer }{c}, r, make([]byte, slice))
}

var (
	_ net.Conn      = (*conn)(nil)
	_ io.ReaderFrom = (*conn)(nil)
)

// pace knows until when a direction of a connection is busy.
type pace struct{ until time.Time }

// wait lets n bytes take their time.
func (p *pace) wait(n int, perSecond int64) {
	now := time.Now()
	if p.until.Before(now) {
		p.until = now
	}
	p.until = p.until.Add(time.Duration(int64(n) * int64(time.Second) / perSecond))
	if d := p.until.Sub(now); d > time.Millisecond {
		time.Sleep(d)
	}
}
