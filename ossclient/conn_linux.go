package ossclient

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged has the kernel give up a connection whose sent bytes are not acknowledged for
// stallLimit (TCP_USER_TIMEOUT, tcp(7)): what the kernel has taken from us, no watch of ours can see.
func limitUnacknowledged(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// An old kernel or another protocol refuses; the deadline for the answer remains.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(stallLimit.Milliseconds()))
	})
}

// alive says whether nothing was heard of an idle connection: its end, or what nobody asked for. TLS may have sent tickets.
func (l *link) alive() bool {
	if l.raw == nil {
		return true
	}
	quiet := false
	err := l.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN) || n > 0 && l.tls
		return true
	})
	return err == nil && quiet
}
