package journal

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/ossfs/ossfs/writeback/disk"
)

// Log is an open journal. Its methods may be called at the same time; records keep the order in which
// Append was entered.
type Log struct {
	fs   disk.FS
	dir  string
	boot string

	mu      sync.Mutex // guards the fields below
	f       disk.File  // the segment being written
	number  uint64     // its number
	end     int64      // its length
	seq     uint64     // of the last record
	synced  uint64     // the last record before the last durable marker
	ahead   uint64     // the last record that is durable, believed or not
	since   int64      // bytes of log since the last snapshot
	snap    int64      // bytes of the last snapshot
	older   []string   // files the next snapshot makes superfluous
	buf     []byte
	failed  error // an append that could neither be written nor undone
	doubt   bool  // a sync failed: what a segment has that was not durable may never be
	room    int64 // up to here the segment can be written though the disk be full
	syncing sync.Mutex
}

const (
	logPrefix  = "log."
	snapPrefix = "snap."
	tempPrefix = "temp."
)

func fileName(prefix string, n uint64) string { return fmt.Sprintf("%s%016x", prefix, n) }

func fileNumber(prefix, name string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, prefix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

// startSegment makes log.N with its header and makes it the one written to. The caller holds mu, or
// nobody else knows l yet.
func (l *Log) startSegmentLocked(n uint64) error {
	name := path.Join(l.dir, fileName(logPrefix, n))
	f, err := l.fs.Create(name)
	if err != nil {
		return err
	}
	head := appendFrame(nil, frame{seq: l.seq, kind: kindHeader, payload: []byte(l.boot)})
	if _, err := f.WriteAt(head, 0); err != nil {
		return errors.Join(err, f.Close(), l.fs.Remove(name))
	}
	if l.f != nil {
		l.older = append(l.older, path.Join(l.dir, fileName(logPrefix, l.number)))
	}
	l.f, l.number, l.end, l.room = f, n, int64(len(head)), 0
	return nil
}

// Reserve is how many bytes the log keeps for a full disk, and Spare what of it is left for the records that make
// room again.
const (
	Reserve = 1 << 20
	Spare   = Reserve / 2
)

// Append writes a record; it is in the hands of the operating system when Append returns its number.
// After an error the record is not in the log. keep is how much of the Reserve must be left: a record that makes a
// full disk fuller is refused sooner than one that empties it.
func (l *Log) Append(payload []byte, keep int64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomLocked(int64(frameHead+len(payload)), keep); err != nil {
		return 0, err
	}
	if err := l.writeLocked(frame{l.seq + 1, kindRecord, payload}); err != nil {
		return 0, err
	}
	l.seq++
	return l.seq, nil
}

// roomLocked sees to it that n bytes can be written and keep bytes more. Space is taken in larger pieces, as long as
// there are any.
func (l *Log) roomLocked(n, keep int64) error {
	if l.room >= l.end+n+Reserve {
		return nil
	}
	var err error
	for _, more := range []int64{2 * Reserve, Reserve, keep} {
		if err = l.f.Reserve(l.end, n+more); err == nil {
			l.room = l.end + n + more
			return nil
		}
	}
	if errors.Is(err, errors.ErrUnsupported) || l.room >= l.end+n+keep || keep == 0 {
		return nil // the write says whether there is room
	}
	return err
}

func (l *Log) writeLocked(f frame) error {
	if l.failed != nil {
		return l.failed
	}
	l.buf = appendFrame(l.buf[:0], f)
	if _, err := l.f.WriteAt(l.buf, l.end); err != nil {
		// What was written of the frame must not stand before the next one. Should that fail too, a
		// reader would pass over it, as over any damage; it is the same as an overwrite from here.
		if terr := l.f.Truncate(l.end); terr != nil {
			l.failed = fmt.Errorf("journal: %w (and cannot be repaired: %v)", err, terr)
		}
		return err
	}
	l.end += int64(len(l.buf))
	l.since += int64(len(l.buf))
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return nil
}

// Sync makes durable every record up to the last one appended when data is called, and returns its
// number. data is called first and makes durable what those records speak of. After the segment's own sync has
// failed it is ErrDoubtful until Compact has written everything anew: the operating system may have dropped
// what it could not write, and a later success would not say so.
func (l *Log) Sync(data func() error) (uint64, error) {
	l.syncing.Lock() // one at a time; mu is not held over the disk's work
	defer l.syncing.Unlock()
	l.mu.Lock()
	upto, doubt := l.seq, l.doubt
	l.mu.Unlock()
	if doubt {
		return 0, ErrDoubtful
	}
	if err := data(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	payload := []byte(strconv.FormatUint(upto, 10))
	err := l.writeLocked(frame{l.seq, kindMarker, payload})
	f := l.f
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := l.syncSegment(f); err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.synced, l.ahead = max(l.synced, upto), max(l.ahead, upto)
	l.mu.Unlock()
	return upto, nil
}

// Ahead makes durable the records that were appended before it was called, without a marker: after a loss of power they
// are there, but not believed unless what they speak of is. Those who call it at the same time share one sync.
func (l *Log) Ahead() error {
	l.mu.Lock()
	upto := l.seq
	l.mu.Unlock()
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	f, doubt, done, now := l.f, l.doubt, l.ahead >= upto, l.seq
	l.mu.Unlock()
	switch {
	case doubt:
		return ErrDoubtful
	case done:
		return nil
	}
	if err := l.syncSegment(f); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = now
	return nil
}

// syncSegment syncs a segment. Once that has failed nothing in it is trusted.
func (l *Log) syncSegment(f disk.File) error {
	err := f.Sync()
	if err != nil {
		l.mu.Lock()
		l.doubt = true
		l.mu.Unlock()
	}
	return err
}

// ErrDoubtful says that a sync has failed before, and that the log must be compacted.
var ErrDoubtful = errors.New("journal: an earlier sync failed: the log is to be written anew")

// Doubtful says whether a sync has failed since everything was last written anew.
func (l *Log) Doubtful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubt
}

// Seq is the number of the last record; Synced that of the last durable one.
func (l *Log) Seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq
}

// Synced is the number of the last record that a loss of power cannot take.
func (l *Log) Synced() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.synced
}

// grownFrom is the length from which on a log is compacted: the content of small files passes through it.
const grownFrom = 64 << 20

// Grown says whether the log has become so much longer than its last snapshot that it should be
// compacted: it is then at least twice as long, and over 64 MiB.
func (l *Log) Grown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since > max(grownFrom, 2*l.snap)
}

// Close closes the segment without syncing it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = errors.New("journal: closed")
	}
	return l.f.Close()
}
