package transport

import (
	"syscall"
	"unsafe"
)

// The calls below do not sleep, so Go's scheduler is not told of them: that would cost more than most of them take.

// readNow reads a request, if one waits: EAGAIN.
func readNow(fd int, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR, syscall.ENOENT: // ENOENT: the request was taken back
		default:
			return 0, errno
		}
	}
}

// writeNow writes a small answer.
func writeNow(fd int, p []byte) error {
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}
