package journal

import (
	"errors"
	"path"
	"slices"

	"github.com/ossfs/ossfs/writeback/disk"
)

// Compact forgets the past. freeze keeps records from being appended while it calls rotate, which starts
// a new segment, and takes a view of what all records until then came to. The view's records become the
// snapshot, written while others append to the new segment; when it is durable the older files are removed.
func (l *Log) Compact(freeze func(rotate func() error) (view func(emit func(payload []byte) error) error, err error)) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	var previous disk.File
	var number, seq uint64
	var since, end int64
	var older []string
	view, err := freeze(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed != nil {
			return l.failed
		}
		previous, number, seq, since, end = l.f, l.number+1, l.seq, l.since, l.end
		err := l.startSegmentLocked(number)
		older = slices.Clone(l.older)
		return err
	})
	if err != nil {
		return err
	}
	trimmed := previous.Truncate(end) // gives back what it kept for a full disk
	size, err := l.writeSnapshot(number, seq, view)
	// The snapshot says all that the previous segment says: that one need not be synced, and cannot be when
	// a sync of it has failed.
	if err := errors.Join(err, trimmed, l.fs.SyncDir(l.dir)); err != nil {
		// The older files stay, and so does all they say: whoever syncs next looks at the new segment alone.
		return errors.Join(err, l.syncSegment(previous), previous.Close())
	}
	_ = previous.Close() // it is not needed any more
	for _, name := range older {
		if err := l.fs.Remove(name); err != nil {
			return err // read again by the next Open, to the same effect
		}
	}
	l.mu.Lock()
	l.older = append([]string{path.Join(l.dir, fileName(snapPrefix, number))}, l.older[len(older):]...)
	l.doubt = false
	l.since -= since
	l.snap = size
	l.mu.Unlock()
	return nil
}

// writeSnapshot writes snap.N under another name first: a snapshot that has its name is whole.
func (l *Log) writeSnapshot(number, seq uint64, view func(emit func([]byte) error) error) (int64, error) {
	temp := path.Join(l.dir, fileName(tempPrefix, number))
	f, err := l.fs.Create(temp)
	if err != nil {
		return 0, err
	}
	w := snapshotWriter{write: f.WriteAt, seq: seq}
	err = w.put(frame{seq, kindHeader, []byte(l.boot)})
	if err == nil {
		err = view(func(payload []byte) error { return w.put(frame{seq, kindRecord, payload}) })
	}
	if err == nil {
		err = errors.Join(w.put(frame{seq, kindEnd, nil}), w.flush())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = l.fs.Rename(temp, path.Join(l.dir, fileName(snapPrefix, number)))
	}
	if err != nil {
		return 0, errors.Join(err, l.fs.Remove(temp))
	}
	return w.off, nil
}

type snapshotWriter struct {
	write func(p []byte, off int64) (int, error)
	seq   uint64
	buf   []byte
	off   int64
}

func (w *snapshotWriter) put(f frame) error {
	w.buf = appendFrame(w.buf, f)
	if len(w.buf) < 1<<20 {
		return nil
	}
	return w.flush()
}

func (w *snapshotWriter) flush() error {
	n, err := w.write(w.buf, w.off)
	w.off += int64(n)
	w.buf = w.buf[:0]
	return err
}
