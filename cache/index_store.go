package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/ossfs/ossfs/ossclient"
)

// Index remembers the attributes of objects on disk, under their identity, across mounts.
//
// It is a pebble store without a write-ahead log: what was not yet flushed when the program is killed is lost, and
// asked for again. Writes are queued, visible at once, and written in batches; when the disk is so slow that
// the queue is full, they are dropped. Its size is bounded by two generations: records go to the young one, and
// when that has half of the limit, the old one is dropped, the young one becomes the old one, and what is found there
// is copied to the new. A store that is damaged, or that somebody deleted, is thrown away and begun anew; whatever
// happens to it, Get finds nothing and no more. It is safe for concurrent use.
type Index struct {
	dir   string
	limit int64
	log   *slog.Logger

	wake    chan struct{}      // a token: something is queued, or the store is broken
	flushes chan chan struct{} // each is closed when what was queued before is on the disk
	stop    chan struct{}
	stopped chan struct{} // closed when the writer has ended

	hits, misses atomic.Int64 // of Get and GetPage

	mu      sync.Mutex               // guards the fields below; a leaf
	queued  map[ossclient.Key][]byte // records to be written; nil: to be deleted
	writing map[ossclient.Key][]byte // the batch being written
	broken  error                    // why the store must be begun anew

	dbMu       sync.RWMutex // held while db is used, and for writing while it is replaced; taken before mu
	db         *pebble.DB   // nil: there is no store, what is queued is all there is
	generation uint32       // the young one
	written    int64        // bytes in it
}

const (
	indexQueue    = 1 << 15 // records that may wait to be written
	indexBatch    = 1 << 12 // records that are written at once without waiting for more
	indexDelay    = 50 * time.Millisecond
	indexFlush    = 10 * time.Second // after this time what is written is also flushed
	indexCache    = 4 << 20
	indexMemTable = 1 << 20
	indexBehind   = 4 * indexMemTable // bytes of memory that wait to be written to the disk, at most
	indexFiles    = 64
	indexPrefix   = 5 // bytes before the key: kind and generation
	kindMeta      = 0
	kindRecord    = 1
)

// OpenIndex opens the index in a directory of its own, or begins one; in memory if dir is empty. limit bounds its size in bytes, roughly. log may
// be nil. The error says that the directory cannot be used, or is in use.
func OpenIndex(dir string, limit int64, log *slog.Logger) (*Index, error) {
	if log == nil {
		log = slog.Default()
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the attribute index: %w", err)
		}
	}
	x := &Index{
		dir: dir, limit: limit, log: log, wake: make(chan struct{}, 1), flushes: make(chan chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
		queued: make(map[ossclient.Key][]byte),
	}
	if err := x.open(); err != nil {
		if inUse(err) {
			return nil, fmt.Errorf("the attribute index in %s: %w", dir, err)
		}
		x.log.Warn("the attribute index is damaged and is begun anew", "dir", dir, "err", brief(err))
		if err := x.beginAnew(); err != nil {
			return nil, fmt.Errorf("the attribute index in %s: %w", dir, err)
		}
	}
	go x.run()
	return x, nil
}

// Close writes what is queued and closes the store. One that cannot be written, because its files are gone, say, is
// given up: pebble would try for ever.
func (x *Index) Close() error {
	close(x.stop)
	<-x.stopped
	x.dbMu.Lock()
	defer x.dbMu.Unlock()
	if x.db == nil {
		return nil
	}
	db := x.db
	x.db = nil
	if err := x.flushLast(db); err != nil {
		x.log.Warn("the attribute index could not be written and is given up", "dir", x.dir, "err", brief(err))
		abandon(db)
		return nil // it is a cache: the next Open begins it anew
	}
	return db.Close()
}

// Flush returns when what was put before survives the death of the program.
func (x *Index) Flush() {
	done := make(chan struct{})
	select {
	case x.flushes <- done:
		<-done
	case <-x.stopped: // Close does it
	}
}

// Stats says how many records Get and GetPage have found, and how many not.
func (x *Index) Stats() (hits, misses int64) { return x.hits.Load(), x.misses.Load() }

func (x *Index) count(found, asked int) {
	x.hits.Add(int64(found))
	x.misses.Add(int64(asked - found))
}

// Get is the record of the object with this identity.
func (x *Index) Get(key ossclient.Key, id Identity) (Record, bool) {
	r, ok := x.get(key, id)
	if ok {
		x.count(1, 1)
	} else {
		x.count(0, 1)
	}
	return r, ok
}

func (x *Index) get(key ossclient.Key, id Identity) (Record, bool) {
	if b, ok := x.waiting(key); ok {
		return x.decode(key, b, &id, false)
	}
	x.dbMu.RLock()
	defer x.dbMu.RUnlock()
	for _, generation := range x.generations() {
		b, closer, err := x.db.Get(recordKey(generation, key))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			x.breakdown(err)
			return Record{}, false
		}
		r, ok := x.decode(key, b, &id, generation != x.generation)
		if err := closer.Close(); err != nil {
			x.breakdown(err)
		}
		return r, ok
	}
	return Record{}, false
}

// Has says whether there is a record of the key, of whatever version.
func (x *Index) Has(key ossclient.Key) bool {
	if b, ok := x.waiting(key); ok {
		return b != nil
	}
	x.dbMu.RLock()
	defer x.dbMu.RUnlock()
	for _, generation := range x.generations() {
		_, closer, err := x.db.Get(recordKey(generation, key))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err == nil {
			err = closer.Close()
		}
		if err != nil {
			x.breakdown(err)
		}
		return err == nil
	}
	return false
}

// GetPage calls found for each of the objects that is known. Objects are best in the order of their keys, and near to
// each other.
func (x *Index) GetPage(objects []ossclient.Object, found func(i int, r Record)) {
	hits := 0
	x.getPage(objects, func(i int, r Record) {
		hits++
		found(i, r)
	})
	x.count(hits, len(objects))
}

func (x *Index) getPage(objects []ossclient.Object, found func(i int, r Record)) {
	rest := make([]int, 0, len(objects))
	for i := range objects {
		b, ok := x.waiting(objects[i].Key)
		if !ok {
			rest = append(rest, i)
			continue
		}
		id := IdentityOf(&objects[i])
		if r, ok := x.decode(objects[i].Key, b, &id, false); ok {
			found(i, r)
		}
	}
	x.dbMu.RLock()
	defer x.dbMu.RUnlock()
	for _, generation := range x.generations() {
		if len(rest) > 0 {
			rest = x.getFrom(generation, objects, rest, found)
		}
	}
}

// getFrom reads the records of the objects with the given numbers, and returns the numbers of those that have none.
func (x *Index) getFrom(generation uint32, objects []ossclient.Object, which []int, found func(int, Record)) (missing []int) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: generationKey(generation), UpperBound: generationKey(generation + 1)})
	if err != nil {
		x.breakdown(err)
		return nil
	}
	missing = which[:0]
	buf := generationKey(generation)
	valid := false
	for _, i := range which {
		key := objects[i].Key
		if valid = valid && it.Next() && string(it.Key()[indexPrefix:]) == string(key); !valid {
			buf = append(buf[:indexPrefix], key...)
			valid = it.SeekGE(buf)
		}
		if !valid || string(it.Key()[indexPrefix:]) != string(key) {
			missing = append(missing, i)
			continue
		}
		b, err := it.ValueAndErr()
		if err != nil {
			x.breakdown(err)
			continue
		}
		id := IdentityOf(&objects[i])
		if r, ok := x.decode(key, b, &id, generation != x.generation); ok {
			found(i, r)
		}
	}
	if err := it.Close(); err != nil {
		x.breakdown(err)
	}
	return missing
}

// Put remembers the record of the object with this identity, and forgets any other of the key.
func (x *Index) Put(key ossclient.Key, id Identity, r Record) { x.queue(key, encodeRecord(&id, &r)) }

// Delete forgets a key.
func (x *Index) Delete(key ossclient.Key) { x.queue(key, nil) }

func (x *Index) queue(key ossclient.Key, b []byte) {
	x.mu.Lock()
	if len(x.queued) < indexQueue {
		x.queued[key] = b
	} else if _, ok := x.queued[key]; ok {
		x.queued[key] = b
	}
	x.mu.Unlock()
	x.signal()
}

func (x *Index) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// waiting is a record that is queued or being written; nil when it is to be deleted.
func (x *Index) waiting(key ossclient.Key) (b []byte, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b, ok = x.queued[key]; !ok {
		b, ok = x.writing[key]
	}
	return b, ok
}

// decode reads a record. One whose identity was approximate, or which is of the old generation, is queued again.
func (x *Index) decode(key ossclient.Key, b []byte, want *Identity, old bool) (Record, bool) {
	if b == nil {
		return Record{}, false
	}
	r, id, ok, err := decodeRecord(b, want)
	if err != nil {
		x.breakdown(err)
		return Record{}, false
	}
	if ok && (old || id.Approximate && !want.Approximate) {
		x.queue(key, encodeRecord(want, &r))
	}
	return r, ok
}

// breakdown notes that the store is not to be trusted; the writer begins it anew.
func (x *Index) breakdown(err error) {
	x.mu.Lock()
	if x.broken == nil {
		x.broken = err
	}
	x.mu.Unlock()
	x.signal()
}

// generations lists those that hold something, the young one first; none when there is no store. dbMu is held.
func (x *Index) generations() []uint32 {
	if x.db == nil {
		return nil
	}
	return []uint32{x.generation, x.generation - 1}
}

func generationKey(generation uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kindRecord}, generation)
}

func recordKey(generation uint32, key ossclient.Key) []byte {
	return append(generationKey(generation), key...)
}

// store is where pebble has its files: a format that is not understood can be begun anew beside it.
func (x *Index) store() string { return filepath.Join(x.dir, "pebble") }
