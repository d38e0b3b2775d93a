package ossclient

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// SetPatience shortens the waits that tests provoke.
func SetPatience(b *Bucket, stall, answer time.Duration) { b.patience = patience{stall, answer} }

// OpenPatiently is Open with shorter waits.
func OpenPatiently(ctx context.Context, cfg Config, stall, answer time.Duration) (*Bucket, error) {
	return open(ctx, cfg, patience{stall, answer})
}

// Operations names every kind of request that is sent.
func Operations() []string {
	var names []string
	for op := range operations {
		if operation(op) != opSignURL {
			names = append(names, operation(op).String())
		}
	}
	return names
}

// SetDial sends every connection elsewhere.
func SetDial(b *Bucket, addr string) {
	d := newDialer()
	b.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.dial(ctx, network, addr)
	}
}

// SetSkew pretends that our clock is wrong.
func SetSkew(b *Bucket, d time.Duration) { b.skew.Store(int64(d)) }

// CountDials counts new connections.
func CountDials(b *Bucket, n *atomic.Int32) {
	dial := b.transport.DialContext
	b.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
}
