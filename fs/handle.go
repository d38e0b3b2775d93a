package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// handle is one open of a regular file.
type handle struct {
	n      *node
	flags  uint32 // of open(2)
	writer bool
	paged  bool // it goes through the kernel's pages; set by openFlags
	pager  bool // the kernel may make pages for it: paged, or what it maps though it was opened with O_DIRECT

	logged atomic.Bool // that it is stale

	// The fields below are guarded by n.mu.
	epoch   uint64            // of the node when the file was opened
	stream  *stream.File      // reads of the clean file; made by the first
	version ossclient.Version // what stream reads
	lapsed  ossclient.Version // what others were last found to have replaced
	release func()            // ends the hold on the object; nil when there is none
	closed  bool
}

var (
	_ fusefs.FileReader    = (*handle)(nil)
	_ fusefs.FileWriter    = (*handle)(nil)
	_ fusefs.FileFlusher   = (*handle)(nil)
	_ fusefs.FileFsyncer   = (*handle)(nil)
	_ fusefs.FileReleaser  = (*handle)(nil)
	_ fusefs.FileAllocater = (*handle)(nil)
	_ fusefs.FileLseeker   = (*handle)(nil)
)

// reader is where h reads from: the node's content, or a stream of the version that was opened.
func (h *handle) reader(ctx context.Context) (*writeback.File, *stream.File, error) {
	n := h.n
	n.mu.Lock()
	for (n.moved || n.entry.Pending) && n.content == nil && !n.gone {
		n.mu.Unlock()
		if _, err := n.found(ctx); err != nil {
			return nil, nil, err
		}
		n.mu.Lock()
	}
	defer n.mu.Unlock()
	if h.staleLocked() {
		return nil, nil, stream.ErrStale
	}
	if n.content != nil {
		return n.content, nil, nil
	}
	if h.stream == nil || !n.gone && h.version != n.entry.Version {
		if h.stream != nil { // the same bytes under another key or ETag, by our own doing
			_ = h.stream.Close()
		}
		h.version = n.entry.Version
		h.stream = n.openStream(h.flags&syscall.O_DIRECT != 0)
	}
	return nil, h.stream, nil
}

// fail is Mount.fail for who has the file open. When others have deleted what it is made of that is no news of a name: ESTALE. That is logged
// once: a kernel asks several times for what it did not get.
func (h *handle) fail(op string, err error) syscall.Errno {
	if errors.Is(err, ossclient.ErrNotExist) && !errors.Is(err, writeback.ErrLost) {
		err = fmt.Errorf("%w: %w", stream.ErrStale, err)
	}
	if errors.Is(err, stream.ErrStale) && h.logged.Swap(true) {
		return errno(err)
	}
	return h.n.m.fail(op, h.n.Key(), err)
}

// Read fills dest unless the file ends before: the kernel takes anything less for the end.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.n.readsAt(off, int64(len(dest)))
	for {
		content, clean, err := h.reader(ctx)
		if err != nil {
			return nil, h.fail("read", err)
		}
		if content != nil {
			got, err := content.ReadAt(ctx, dest, off)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, h.fail("read", err)
			}
			return fuse.ReadResultData(dest[:got]), 0
		}
		view, err := clean.View(ctx, dest, off)
		switch {
		case err == nil:
			return reply{view}, 0
		case errors.Is(err, io.EOF):
			return fuse.ReadResultData(nil), 0
		case errors.Is(err, stream.ErrStale):
			if h.n.resent(ctx, clean.Version()) {
				continue
			}
			h.lapse(clean.Version())
		case errors.Is(err, stream.ErrCorrupt):
			h.n.spoiled()
		}
		return nil, h.fail("read", err)
	}
}

// lapse hears that others have replaced a version that is read; what is to be done is done once.
func (h *handle) lapse(v ossclient.Version) {
	h.n.mu.Lock()
	known := h.lapsed == v
	h.lapsed = v
	h.n.mu.Unlock()
	if !known {
		h.n.stale(v)
	}
}

// resent says whether the version that was read is over by our own doing: a copy of the object, with other attributes, may have another ETag.
// One that is on its way is waited for, since it may be in the bucket already.
func (n *node) resent(ctx context.Context, v ossclient.Version) bool {
	n.mu.Lock()
	key, gone := n.key, n.gone
	n.mu.Unlock()
	if gone { // what is sent of that name is of another file, or the removal, which waits for who reads
		return false
	}
	if st, staged := n.m.store.Lookup(key); staged && st.Kind == writeback.Attributes && n.m.store.Send(ctx, key) != nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.gone && n.entry.Version != v
}

// reply is the answer to a READ: go-fuse hands its pieces to the kernel as they lie (Slices) and calls
// Done when that is over.
type reply struct{ *stream.View }

var _ fuse.ReadResult = reply{}

// Size is the answer's length in bytes.
func (r reply) Size() int { return r.Len() }

// Bytes is for a go-fuse that cannot write pieces.
func (r reply) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, piece := range r.View.Slices() {
		buf = append(buf, piece...)
	}
	return buf, fuse.OK
}

// Slices are the pieces.
func (r reply) Slices() ([][]byte, fuse.Status) { return r.View.Slices(), fuse.OK }

// Done gives the pieces back.
func (r reply) Done() { r.Release() }

// Write stores the bytes in the staged file; it waits for the network only when the stage is full.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	got, err := h.write(ctx, data, off)
	if err != nil && got == 0 {
		return 0, h.fail("write", err)
	}
	if h.flags&syscall.O_DSYNC != 0 { // part of O_SYNC too; the kernel sends an fsync by itself, but not with O_DIRECT
		if err := h.n.sync(ctx); err != nil {
			return 0, h.fail("write", err)
		}
	}
	return uint32(got), 0
}

func (h *handle) write(ctx context.Context, data []byte, off int64) (int, error) {
	content, err := h.staged(ctx)
	if err != nil {
		return 0, err
	}
	written := func(context.Context, int64, int64) {}
	if h.paged && pid(ctx) != kernelPID { // what the kernel writes of a mapping it has written before it drops the page
		written = h.n.writesAt()
	}
	got, err := content.WriteAt(ctx, data, off)
	if got > 0 {
		h.n.wrote(ctx)
		h.dropPages(off, int64(got))
		written(ctx, off, int64(got))
	}
	return got, err
}

// staged is the content to change through h.
func (h *handle) staged(ctx context.Context) (*writeback.File, error) {
	if !h.writer {
		return nil, syscall.EBADF
	}
	return h.n.stage(ctx, h)
}

// staleLocked says whether others have changed the file since h opened it, also when somebody else has opened it since and
// changes it. It needs n.mu.
func (h *handle) staleLocked() bool { return h.epoch != h.n.epoch }

// Flush is close(2), once for each descriptor: what was written is journaled when it returns, and
// with write-through the bucket has it.
func (h *handle) Flush(context.Context) syscall.Errno {
	if !h.writer {
		return 0
	}
	return h.fail("close", h.n.settle())
}

// Fsync returns when the bucket has the file, or the disk where the mount says that fsync means that.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return h.fail("fsync", h.n.sync(ctx))
}

// Release ends the handle. Programs do not wait for it, and an unmount may cut it off: Mount.Close
// settles what it then has not. A shared mapping may have been written after the last close.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	err := h.n.settle()
	if err == nil {
		h.handOver(ctx)
	}
	h.close()
	return h.fail("release", err)
}

// close counts the handle out.
func (h *handle) close() {
	n := h.n
	n.mu.Lock()
	if h.closed {
		n.mu.Unlock()
		return
	}
	h.closed = true
	n.opens--
	if h.pager {
		n.pagers--
	}
	if !h.writesOnly() {
		n.readers--
	}
	if h.maps() {
		n.mappers--
	}
	clean, release := h.stream, h.release
	h.stream, h.release = nil, nil
	n.mu.Unlock()
	if clean != nil {
		_ = clean.Close() // a reader that ends has nothing to lose
	}
	writers := 0
	if h.writer {
		writers = 1
	}
	n.giveBack(writers)
	if release != nil {
		release()
	}
}

// Lseek finds data and holes; a bucket's object is all data.
func (h *handle) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	var out fuse.AttrOut
	if e := h.n.Getattr(ctx, h, &out); e != 0 {
		return 0, e
	}
	const seekData, seekHole = 3, 4
	switch {
	case whence != seekData && whence != seekHole:
		return 0, syscall.EINVAL
	case off >= out.Size:
		return 0, syscall.ENXIO
	case whence == seekHole:
		return out.Size, 0
	}
	return off, 0
}
