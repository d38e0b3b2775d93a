package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/writeback"
)

// The folders below the state directory that belong to a mount's parts.
const (
	stateDirMode = 0o700
	indexFolder  = "index"
	indexLimit   = 1 << 30 // bytes on disk
)

// Mount is a mounted bucket. Its life is Mount, then Unmount or an umount(8) by somebody else, which
// Wait tells of, then Close.
type Mount struct {
	options Options
	memory  *budget.Budget
	index   *cache.Index
	ranges  *cache.Ranges
	pool    *stream.Pool
	store   *writeback.Store
	tree    *namespace.Tree
	nodes   *table
	gate    *gate
	notify  *notifier
	prune   *pruner
	calls   *calls
	absent  absences
	lookers lookers
	root    *node
	served  chan struct{} // closed when the kernel's connection has ended
	ready   chan struct{} // closed when tree is set
	closing sync.Once
	closed  error
	leaving sync.RWMutex // held for reading by umount2(2), which lasts longer than the connection when the kernel knows many inodes

	changes   atomic.Uint64 // counts the changes that we made to what the tree says of nodes
	refreshed atomic.Uint64 // changes at the last refresh: what was asked for before may be of no use to the kernel

	keys sync.RWMutex // held for writing while a rename changes the keys of live nodes; before node.mu
}

// open builds everything but the kernel's side: index, journal, read path and namespace. Entries that an
// earlier mount left unsent are there when it returns.
func open(ctx context.Context, o Options) (*Mount, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.StateDir, stateDirMode); err != nil {
		return nil, fmt.Errorf("mount: state directory: %w", err)
	}
	m := &Mount{
		options: o, memory: budget.New(o.Memory), nodes: newTable(), gate: newGate(), notify: newNotifier(),
		served: make(chan struct{}), ready: make(chan struct{}),
	}
	m.prune = newPruner(m.nodes, o.Memory, o.Inodes)
	if err := m.openParts(ctx); err != nil {
		return nil, errors.Join(err, m.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// openParts opens the journal first: its lock says whether the state directory is ours.
func (m *Mount) openParts(ctx context.Context) (err error) {
	o := &m.options
	m.store, err = writeback.Open(ctx, writeback.Options{
		Dir: o.StateDir, Bucket: o.Bucket, Delay: o.WriteBack, WriteThrough: o.WriteThrough, StageBudget: o.StageSize, SinglePut: o.SinglePut, Young: o.Young,
		Memory: m.memory, OnConflict: o.OnConflict, Believe: o.TTL, Host: o.Host, NewObjects: o.NewObjects, LocalFsync: o.LocalFsync,
		Confirmed: m.confirmed, Forget: m.keepTold, Beside: m.beside, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	m.index, err = cache.OpenIndex(filepath.Join(o.StateDir, indexFolder), indexLimit, o.Logger)
	if err != nil {
		return err
	}
	if !o.NoHead { // else nobody would ask again
		for _, key := range m.store.Told() {
			m.index.Delete(key)
		}
	}
	m.ranges = cache.NewRanges(o.Memory / 3 * 2) // the rest is for windows and uploads
	m.pool = stream.New(stream.Options{
		Source: o.Bucket, Ranges: m.ranges, Budget: m.memory, Room: pageCacheRoom, Logger: o.Logger,
	})
	m.tree = namespace.New(namespace.Options{
		Bucket: o.Bucket, Overlay: m.store, Index: m.index, Root: o.Prefix, Defaults: o.Defaults, TTL: o.TTL,
		NoHead: o.NoHead, Logger: o.Logger, Changed: m.changed,
	})
	close(m.ready)
	e := m.tree.Root()
	m.root = &node{m: m, typ: attr.TypeDir, ino: rootIno, key: e.Key, entry: e}
	m.nodes.keep(m.root, e.Key)
	return nil
}

// Start mounts a bucket; the mount answers when it returns. Errors say what is wrong with which
// option; nothing is left mounted or open then.
func Start(ctx context.Context, o Options) (*Mount, error) {
	m, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := m.attach(); err != nil {
		return nil, errors.Join(err, m.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// Close ends everything that Start began, after the kernel has let go: it journals what open files
// have written, stops sending, and gives everything back. What is unsent is sent by the next mount. It
// may be called more than once.
func (m *Mount) Close(ctx context.Context) error {
	m.closing.Do(func() { m.closed = m.close(ctx) })
	return m.closed
}

func (m *Mount) close(ctx context.Context) error {
	m.leaving.Lock() // who has asked for the unmount is to hear that it is done
	defer m.leaving.Unlock()
	var err error
	for _, n := range m.nodes.all() { // an unmount may have cut off their Release
		err = errors.Join(err, n.settle())
		n.abandon()
	}
	m.prune.close()
	m.notify.close()
	if m.tree == nil {
		close(m.ready) // a confirmation may wait for it
	}
	if m.store != nil {
		err = errors.Join(err, m.store.Close(ctx))
	}
	if m.tree != nil {
		m.tree.Close()
	}
	if m.pool != nil {
		m.pool.Close()
	}
	if m.ranges != nil {
		m.ranges.Close()
	}
	if m.index != nil {
		err = errors.Join(err, m.index.Close())
	}
	return err
}
