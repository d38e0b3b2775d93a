package ossclient

import (
	"context"
	"io"
	"net"
	"sync"
)

// sendChunk is how much of a body is handed to the kernel at once.
const sendChunk = 256 << 10

// dialer makes connections whose unacknowledged bytes may wait for stallLimit and no longer, and which
// send bodies in large pieces.
type dialer struct {
	net.Dialer
	chunks sync.Pool // of *[]byte of sendChunk bytes
}

func newDialer() *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, Control: limitUnacknowledged}}
	d.chunks.New = func() any { p := make([]byte, sendChunk); return &p }
	return d
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, chunks: &d.chunks}, nil
	}
	return c, nil
}

// conn is a TCP connection for net/http, which hands bodies to ReadFrom.
type conn struct {
	*net.TCPConn
	chunks *sync.Pool
}

var (
	_ net.Conn      = (*conn)(nil)
	_ io.ReaderFrom = (*conn)(nil)
)

// ReadFrom sends a body. net.TCPConn's own would copy it in pieces of 32 KiB.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	chunk := c.chunks.Get().(*[]byte)
	defer c.chunks.Put(chunk)
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
