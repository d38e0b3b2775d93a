package ossclient

import (
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
