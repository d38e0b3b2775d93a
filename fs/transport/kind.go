package transport

import (
	"sync/atomic"
	"time"
)

// The opcodes that need attention (include/uapi/linux/fuse.h).
const (
	opForget      = 2
	opRename      = 12
	opRead        = 15
	opWrite       = 16
	opGetxattr    = 22
	opListxattr   = 23
	opInit        = 26
	opReaddir     = 28
	opInterrupt   = 36
	opIoctl       = 39
	opBatchForget = 42
	opReaddirplus = 44
	opRename2     = 45

	opcodes = 64 // there are fewer
)

// replies says whether somebody waits for the answer to a request.
func replies(op uint32) bool { return op != opForget && op != opBatchForget && op != opInterrupt }

// kind is what is known of the requests of one opcode: whether the last ones were answered without waiting.
type kind struct{ slow atomic.Int32 }

const (
	quickWithin = 200 * time.Microsecond
	slowFor     = 8 // quick requests in a row, after a slow one, until the kind counts as quick again
)

func (k *kind) quick() bool { return k.slow.Load() == 0 }

func (k *kind) took(d time.Duration) {
	if d > quickWithin {
		k.slow.Store(slowFor)
	} else if n := k.slow.Load(); n > 0 {
		k.slow.CompareAndSwap(n, n-1)
	}
}
