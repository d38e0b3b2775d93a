package ossclient

import (
	"context"
	"io"
	"net"
	"sync"
)

// How much of a body is handed to the kernel at once: with a mebibyte a GiB costs a quarter less of the
// processor's time than with 256 KiB, but bodies that are smaller shall not hold so much.
const (
	sendChunk  = 256 << 10
	sendChunks = 1 << 20
)

// dialer makes connections whose unacknowledged bytes may wait for stallLimit and no longer, and which
// send bodies in large pieces.
type dialer struct {
	net.Dialer
	small, large sync.Pool // of *[]byte
}

func newDialer() *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, Control: limitUnacknowledged}}
	d.small.New = func() any { p := make([]byte, sendChunk); return &p }
	d.large.New = func() any { p := make([]byte, sendChunks); return &p }
	return d
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, dialer: d}, nil
	}
	return c, nil
}

// pool is where the memory for sending r comes from: net/http says how much of a body is left.
func (d *dialer) pool(r io.Reader) *sync.Pool {
	if l, ok := r.(*io.LimitedReader); ok && l.N > sendChunk {
		return &d.large
	}
	return &d.small
}

// conn is a TCP connection for net/http, which hands bodies to ReadFrom.
type conn struct {
	*net.TCPConn
	dialer *dialer
}

var (
	_ net.Conn      = (*conn)(nil)
	_ io.ReaderFrom = (*conn)(nil)
)

// ReadFrom sends a body. net.TCPConn's own would copy it in pieces of 32 KiB. (sendfile was measured: it costs
// no less than reading and writing a mebibyte at a time, and its bytes could change after their sum is taken.)
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	pool := c.dialer.pool(r)
	chunk := pool.Get().(*[]byte)
	defer pool.Put(chunk)
	var total int64
	for {
		n, err := r.Read(*chunk)
		if n > 0 {
			m, werr := c.TCPConn.Write((*chunk)[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}
