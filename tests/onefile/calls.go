package onefile

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// What is done through a descriptor.

func (d *driver) write() error {
	h := d.pick((*handle).writes)
	if h == nil {
		return nil
	}
	return d.writeAt(h, d.offset(h.ino), d.length(d.Write))
}

func (d *driver) writeAt(h *handle, off, size int64) error {
	if h.flags&unix.O_APPEND != 0 { // whatever offset pwrite(2) is given
		off = h.ino.size()
	}
	if size = min(size, d.most(h.ino)-off); size <= 0 {
		return nil
	}
	p := d.bytes(size)
	err := d.change(h.ino, fmt.Sprintf("%s pwrite [%d+%d]", h.label, off, size), change{off: off, bytes: p}, func() error {
		return whole(p, off, func(p []byte, off int64) (int, error) { return unix.Pwrite(h.fd, p, off) })
	})
	if err != nil || h.flags&unix.O_DSYNC == 0 {
		return err
	}
	if h.ino.dirty { // only what was written is synced, and not what was stored elsewhere
		return nil
	}
	return d.synced(h.ino, "a write with O_DSYNC")
}

// whole repeats a call until it has done all bytes.
func whole(p []byte, off int64, do func([]byte, int64) (int, error)) error {
	for len(p) > 0 {
		n, err := do(p, off)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// fill writes a file in order, as a copy does.
func (d *driver) fill() error {
	h := d.pick((*handle).writes)
	if h == nil {
		return nil
	}
	off, size := int64(0), page*(1+d.r.Int64N(64))
	if d.r.IntN(2) == 0 || h.flags&unix.O_APPEND != 0 {
		off = h.ino.size()
	}
	for end := off + d.length(d.Most); off < min(end, d.most(h.ino)); off += size {
		if err := d.writeAt(h, off, size); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) read() error {
	h := d.pick((*handle).reads)
	if h == nil {
		return nil
	}
	return d.readAt(h, d.offset(h.ino), d.length(1<<20))
}

func (d *driver) readAt(h *handle, off, size int64) error {
	p, got := make([]byte, size), 0
	what := fmt.Sprintf("%s pread [%d+%d]", h.label, off, size)
	err := d.call(h.ino, what, func() error {
		got = 0
		for got < len(p) {
			n, err := unix.Pread(h.fd, p[got:], off+int64(got))
			if err != nil || n == 0 {
				return err
			}
			got += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	want := h.ino.content[min(off, h.ino.size()):min(off+size, h.ino.size())]
	if diff := difference(p[:got], want); diff != "" {
		return wrong("%s: %s", what, diff)
	}
	return nil
}

func (d *driver) ftruncate() error {
	h := d.pick((*handle).writes)
	if h == nil {
		return nil
	}
	size := d.offset(h.ino)
	return d.change(h.ino, fmt.Sprintf("%s ftruncate to %d", h.label, size), change{off: size, cut: true}, func() error { return unix.Ftruncate(h.fd, size) })
}

func (d *driver) fallocate() error {
	h := d.pick((*handle).writes)
	if h == nil {
		return nil
	}
	i := h.ino
	off := d.offset(i)
	size := min(d.length(d.Write), d.most(i)-off)
	if size <= 0 {
		return nil
	}
	modes := []uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE}
	mode := modes[d.r.IntN(len(modes))]
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && off+size > i.size() {
		i.begin(change{off: off + size, cut: true})
	}
	var c change // none: room is reserved, which changes nothing
	if mode&^unix.FALLOC_FL_KEEP_SIZE != 0 && off < i.size() {
		c = change{off: off, bytes: make([]byte, min(size, i.size()-off))}
	}
	early := i.early
	err := d.change(i, fmt.Sprintf("%s fallocate %#x [%d+%d]", h.label, mode, off, size), c, func() error { return unix.Fallocate(h.fd, mode, off, size) })
	if err != nil {
		return err
	}
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && off+size > i.size() {
		i.apply(change{off: off + size, cut: true})
	} else if c.bytes == nil { // nothing may have been changed: the time may be set or not
		i.early = early
	}
	return nil
}

func (d *driver) copyRange() error {
	from, to := d.pick((*handle).reads), d.pick(func(h *handle) bool { return h.writes() && h.flags&unix.O_APPEND == 0 })
	if from == nil || to == nil || from.ino.stale || from.ino.size() == 0 {
		return nil
	}
	off, at := d.r.Int64N(from.ino.size()), d.offset(to.ino)
	size := min(d.length(d.Write), from.ino.size()-off, d.most(to.ino)-at)
	if size <= 0 || from.ino == to.ino && off < at+size && at < off+size {
		return nil // EINVAL
	}
	p := append([]byte(nil), from.ino.content[off:off+size]...)
	return d.change(to.ino, fmt.Sprintf("%s copy_file_range [%d+%d] to %s at %d", from.label, off, size, to.label, at), change{off: at, bytes: p}, func() error {
		return whole(p, at, func(p []byte, at int64) (int, error) {
			from, off := from.fd, off+size-int64(len(p))
			return unix.CopyFileRange(from, &off, to.fd, &at, len(p), 0)
		})
	})
}

// seek checks that what is called a hole has no bytes.
func (d *driver) seek() error {
	h := d.pick(func(h *handle) bool { return h.fd >= 0 })
	if h == nil || h.ino.size() == 0 {
		return nil
	}
	off, end := d.r.Int64N(h.ino.size()), h.ino.size()
	var data, hole int64
	err := d.call(h.ino, fmt.Sprintf("%s SEEK_DATA and SEEK_HOLE from %d", h.label, off), func() (err error) {
		data, err = unix.Seek(h.fd, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole
			data, err = end, nil
		}
		if err == nil {
			hole, err = unix.Seek(h.fd, off, unix.SEEK_HOLE)
		}
		return err
	})
	if err != nil {
		return err
	}
	if data < off || data > end || hole < off || hole > end {
		return wrong("%s has %d bytes: data from %d on begin at %d, a hole at %d", h.label, end, off, data, hole)
	}
	for at := off; at < data; at++ {
		if h.ino.content[at] != 0 {
			return wrong("%s has a byte at %d, and from %d on there is said to be a hole up to %d", h.label, at, off, data)
		}
	}
	return d.refused(h.label+" SEEK_DATA from the end", unix.ENXIO, func() error {
		_, err := unix.Seek(h.fd, end, unix.SEEK_DATA)
		return err
	})
}

func (d *driver) fsync() error {
	h := d.pick(func(h *handle) bool { return h.fd >= 0 })
	if h == nil {
		return nil
	}
	what, do := "fsync", unix.Fsync
	if d.r.IntN(2) == 0 {
		what, do = "fdatasync", unix.Fdatasync
	}
	if err := d.call(h.ino, h.label+" "+what, func() error { return do(h.fd) }); err != nil {
		return err
	}
	return d.synced(h.ino, what)
}

// synced notes that a file is confirmed, and has the other side look whether the bucket has it.
func (d *driver) synced(i *inode, by string) error {
	i.confirm()
	i.clean()
	if name := d.nameOf(i); name != "" && !d.Local {
		d.overwritten(name)
		return d.ask(Message{Ask: InBucket, What: by, Files: d.files(name)})
	}
	return nil
}

// clean notes that the kernel has written what was stored through mappings.
func (i *inode) clean() {
	if i.dirty && i.late.IsZero() {
		i.late = time.Now().Add(slack)
	}
	i.dirty = false
}

// syncRange promises nothing here.
func (d *driver) syncRange() error {
	h := d.pick(func(h *handle) bool { return h.fd >= 0 })
	if h == nil {
		return nil
	}
	return d.call(h.ino, h.label+" sync_file_range", func() error {
		return unix.SyncFileRange(h.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	})
}

// drop has the kernel forget the pages of the file.
func (d *driver) drop() error {
	h := d.pick(func(h *handle) bool { return h.fd >= 0 })
	if h == nil {
		return nil
	}
	return d.call(h.ino, h.label+" POSIX_FADV_DONTNEED", func() error { return unix.Fadvise(h.fd, 0, 0, unix.FADV_DONTNEED) })
}

// close closes a descriptor, or another one of the same open file; a mapping may stay.
func (d *driver) close() error {
	h := d.pick(func(h *handle) bool { return h.fd >= 0 })
	if h == nil {
		return nil
	}
	if d.r.IntN(4) == 0 {
		return d.closeDup(h)
	}
	return d.closeOne(h)
}

func (d *driver) closeDup(h *handle) error {
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return d.closed(h, d.call(h.ino, h.label+" dup and close", func() error { return unix.Close(fd) }))
}

func (d *driver) closeOne(h *handle) error {
	fd := h.fd
	err := d.closed(h, d.call(h.ino, h.label+" close", func() error { return unix.Close(fd) }))
	if h.fd = -1; h.area == nil {
		d.forget(h)
	}
	return err
}

// closed notes what the close of a descriptor has confirmed.
func (d *driver) closed(h *handle, err error) error {
	if err != nil || !h.writes() {
		return err
	}
	h.ino.confirm()
	h.ino.clean()
	if name := d.nameOf(h.ino); name != "" && d.Through {
		d.overwritten(name)
		return d.ask(Message{Ask: InBucket, What: "close", Files: d.files(name)})
	}
	return nil
}
