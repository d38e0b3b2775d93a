package writeback

import (
	"context"
	"errors"
	"sync/atomic"
)

// sentState is the state of a File that is being sent. What is sent is of that state alone, or nothing is
// stored: a write to bytes of it makes everything that is still to be read of it fail, and so a PutObject
// remain incomplete and an upload in parts not be completed. What may be in the bucket is then either the whole
// state, known by its checksum, or what was there before.
type sentState struct {
	size  int64
	stale atomic.Bool
	done  chan struct{} // closed when it is not being sent any more
}

// errOvertaken says that a file was written to while it was being sent.
var errOvertaken = errors.New("writeback: written to while it was being sent")

// lateMost is how often in a row a file is written to while it is sent before writers wait until it was.
const lateMost = 3

// overtake tells that bytes from off on change.
func (st *sentState) overtake(off int64) {
	if st != nil && off < st.size {
		st.stale.Store(true)
	}
}

func (st *sentState) overtaken() error {
	if st != nil && st.stale.Load() {
		return errOvertaken
	}
	return nil
}

// lockUnsent locks f.mu for a change of bytes from off on. It waits for what is being sent of them when that
// could not be sent for such changes several times, so that it is sent at all.
func (f *File) lockUnsent(ctx context.Context, off int64) error {
	for {
		f.mu.Lock()
		st := f.sent
		if st == nil || f.late < lateMost || off >= st.size || st.stale.Load() {
			return nil
		}
		f.mu.Unlock()
		select {
		case <-st.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endSent notes how the sending of a state has ended.
func (f *File) endSent(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent == nil {
		return
	}
	close(f.sent.done)
	if f.sent = nil; errors.Is(err, errOvertaken) {
		f.late++
	} else {
		f.late = 0
	}
}
