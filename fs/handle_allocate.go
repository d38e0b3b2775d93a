package fs

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/writeback"
)

// Allocate is fallocate(2). The bucket has no holes and nothing to reserve: space is only promised,
// and a hole is zeros.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	const known = unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_ZERO_RANGE
	if mode&^known != 0 {
		return syscall.EOPNOTSUPP
	}
	content, err := h.staged(ctx)
	if err != nil {
		return h.fail("fallocate", err)
	}
	from, to := int64(off), int64(off+size)
	end := content.Size() // what is added behind it is zeros already
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && to > end {
		if err := h.n.truncate(ctx, content, to); err != nil {
			return h.fail("fallocate", err)
		}
	}
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 {
		err = h.zero(ctx, content, from, min(to, end))
	}
	return h.fail("fallocate", err)
}

// zero writes zeros from..to.
func (h *handle) zero(ctx context.Context, content *writeback.File, from, to int64) error {
	zeros := make([]byte, min(max(to-from, 0), maxWrite))
	for from < to {
		got, err := content.WriteAt(ctx, zeros[:min(to-from, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from += int64(got)
	}
	h.n.wrote(ctx)
	return nil
}
