package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ossfs/ossfs/ossclient"
)

// firstGeneration leaves room for the one before it.
const firstGeneration = 1

// open opens or makes the store. No lock is held, nobody uses it yet.
func (x *Index) open() (err error) {
	defer recovered(&err)
	db, err := pebble.Open(x.store(), x.options())
	if err != nil {
		return err
	}
	x.mu.Lock()
	broken := x.broken
	x.broken = nil
	x.mu.Unlock()
	generation := uint32(firstGeneration)
	b, closer, err := db.Get([]byte{kindMeta})
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return errors.Join(err, db.Close())
	default:
		if len(b) == 4 {
			generation = binary.BigEndian.Uint32(b)
		}
		if err := closer.Close(); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if broken != nil {
		return errors.Join(broken, db.Close())
	}
	size, err := db.EstimateDiskUsage(generationKey(generation), generationKey(generation+1))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	x.dbMu.Lock()
	defer x.dbMu.Unlock()
	x.db, x.generation, x.written = db, generation, int64(size)
	return nil
}

// options ask for little memory, that no fault ends the program, and that no write waits in pebble, which for a store that is gone would
// be for ever: this is a cache.
func (x *Index) options() *pebble.Options {
	o := &pebble.Options{
		CacheSize: indexCache, MemTableSize: indexMemTable, MemTableStopWritesThreshold: 1 << 20, L0StopWritesThreshold: 1 << 20, MaxOpenFiles: indexFiles,
		FS:         vfs.Default, // without pebble's own checks of the disk's health, whose goroutine outlives an Open that fails
		DisableWAL: true, FormatMajorVersion: pebble.FormatNewest, Logger: indexLogger{x},
		EventListener: &pebble.EventListener{
			BackgroundError: x.breakdown,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { x.breakdown(fmt.Errorf("%s", i.String())) },
		},
	}
	if x.dir == "" {
		o.FS = vfs.NewMem()
	}
	return o
}

// beginAnew throws the store away and makes another. No lock is held.
func (x *Index) beginAnew() error {
	x.dbMu.Lock()
	db := x.db
	x.db = nil
	x.dbMu.Unlock()
	if db != nil {
		abandon(db)
	}
	x.mu.Lock()
	x.broken = nil
	x.mu.Unlock()
	if x.dir != "" {
		if err := os.RemoveAll(x.store()); err != nil {
			return err
		}
		if err := os.MkdirAll(x.dir, 0o700); err != nil {
			return err
		}
	}
	return x.open()
}

// abandon closes a broken store. It may be so broken that Close does not return; then its memory is lost, the
// goroutine with it, but the mount goes on.
func abandon(db *pebble.DB) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		defer recovered(&err)
		_ = db.Close() // what it says is known: the store is broken
	}()
	select {
	case <-done:
	case <-time.After(abandonWait):
	}
}

const abandonWait = 2 * time.Second

// recovered turns a panic, pebble's way to say that a file cannot be made, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("pebble: %v", p)
	}
}

// inUse says whether somebody else has the store open.
func inUse(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") // pebble has no error value for it
}

// run writes what is queued, until stop is closed. It alone changes db.
func (x *Index) run() {
	defer close(x.stopped)
	flushed := time.Now()
	dirty := false
	for {
		select {
		case <-x.stop:
			for x.write() {
			}
			return
		case done := <-x.flushes:
			for x.write() {
			}
			x.flush(true)
			dirty, flushed = false, time.Now()
			close(done)
			continue
		case <-x.wake:
		case <-time.After(indexFlush):
		}
		x.mend()
		if x.gather() {
			dirty = x.write() || dirty
		}
		if dirty && time.Since(flushed) >= indexFlush {
			x.flush(false)
			dirty, flushed = false, time.Now()
		}
	}
}

// gather waits a little for more to write; it returns false when there is nothing, or no time for it.
func (x *Index) gather() bool {
	x.mu.Lock()
	n := len(x.queued)
	x.mu.Unlock()
	if n == 0 {
		return false
	}
	if n < indexBatch {
		select {
		case <-time.After(indexDelay):
		case <-x.stop:
		}
	}
	return true
}

// mend begins a broken store anew.
func (x *Index) mend() {
	x.mu.Lock()
	err := x.broken
	x.mu.Unlock()
	if err == nil {
		return
	}
	x.log.Warn("the attribute index cannot be used and is begun anew", "dir", x.dir, "err", brief(err))
	if err := x.beginAnew(); err != nil {
		x.log.Warn("there is no attribute index on disk; attributes are asked of the bucket", "dir", x.dir, "err", brief(err))
	}
}

// write writes what is queued as one batch; false when there was nothing.
func (x *Index) write() bool {
	x.mu.Lock()
	if len(x.queued) == 0 {
		x.mu.Unlock()
		return false
	}
	x.writing, x.queued = x.queued, make(map[ossclient.Key][]byte)
	x.mu.Unlock()
	x.dbMu.RLock()
	db := x.db
	x.dbMu.RUnlock()
	if db == nil { // writing and queued are all there is: two generations in memory
		return true
	}
	var size int64
	err := x.room(db)
	if err == nil {
		size, err = x.apply(db)
	}
	if err == nil {
		err = x.turn(db, size)
	}
	if err != nil {
		x.breakdown(err)
	}
	x.mu.Lock()
	x.writing = nil
	x.mu.Unlock()
	return true
}

// room waits until so much is on the disk that more may be written, or the store is broken.
func (x *Index) room(db *pebble.DB) error {
	for db.Metrics().MemTable.Size >= indexBehind {
		x.mu.Lock()
		broken := x.broken
		x.mu.Unlock()
		if broken != nil {
			return broken
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// apply commits writing, of which nobody changes anything.
func (x *Index) apply(db *pebble.DB) (size int64, err error) {
	defer recovered(&err)
	b := db.NewBatch()
	var buf []byte
	for key, record := range x.writing {
		buf = append(append(buf[:0], generationKey(x.generation)...), key...)
		if record != nil {
			size += int64(len(buf) + len(record))
			if err := b.Set(buf, record, nil); err != nil {
				return 0, err
			}
			continue
		}
		for _, generation := range []uint32{x.generation, x.generation - 1} {
			if err := b.Delete(recordKey(generation, key), nil); err != nil {
				return 0, err
			}
		}
	}
	return size, b.Commit(pebble.NoSync)
}

// turn drops the old generation when the young one is half of the limit.
func (x *Index) turn(db *pebble.DB, size int64) (err error) {
	x.written += size
	if x.written < x.limit/2 {
		return nil
	}
	defer recovered(&err)
	next := x.generation + 1
	b := db.NewBatch()
	if err := b.DeleteRange(generationKey(0), generationKey(x.generation), nil); err != nil {
		return err
	}
	if err := b.Set([]byte{kindMeta}, binary.BigEndian.AppendUint32(nil, next), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	x.dbMu.Lock()
	defer x.dbMu.Unlock()
	x.generation, x.written = next, 0
	return nil
}

// flush has the memory of the store written to the disk; wait: it returns when it is.
func (x *Index) flush(wait bool) {
	x.dbMu.RLock()
	db := x.db
	x.dbMu.RUnlock()
	if db == nil {
		return
	}
	var err error
	func() {
		defer recovered(&err)
		if wait {
			err = x.flushLast(db)
			return
		}
		_, err = db.AsyncFlush()
	}()
	if err != nil {
		x.breakdown(err)
	}
}

// flushLast writes everything to the disk, or says why that cannot be: of a store whose files are gone pebble would try for ever.
func (x *Index) flushLast(db *pebble.DB) (err error) {
	defer recovered(&err)
	flushed, err := db.AsyncFlush()
	if err != nil {
		return err
	}
	for {
		x.mu.Lock()
		broken := x.broken
		x.mu.Unlock()
		if broken != nil {
			return broken
		}
		select {
		case <-flushed:
			x.signal() // what has woken us may have been something to be written
			return nil
		case <-x.wake: // by a breakdown, for one
		}
	}
}

// indexLogger hears what pebble has to say. What pebble thinks is fatal ends this store only.
type indexLogger struct{ x *Index }

var _ pebble.Logger = indexLogger{}

func (l indexLogger) Infof(string, ...any) {}

func (l indexLogger) Errorf(format string, args ...any) {
	l.x.log.Debug("the attribute index: " + fmt.Sprintf(format, args...))
}

func (l indexLogger) Fatalf(format string, args ...any) {
	l.x.breakdown(fmt.Errorf(format, args...))
}

// brief is an error of pebble's on one line: formatted by a logger it would come with its stack.
func brief(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
