package onefile

import (
	"fmt"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is done through mappings. A mapping is as long as the file may become, and used up to the file's end.

func (d *driver) mmap() error {
	h := d.pick(func(h *handle) bool {
		return h.reads() && h.area == nil && (h.flags&unix.O_DIRECT == 0 || d.Mapped)
	})
	if h == nil {
		return nil
	}
	prot := unix.PROT_READ
	if h.stores = h.writes() && d.r.IntN(4) > 0; h.stores {
		prot |= unix.PROT_WRITE
	}
	return d.call(h.ino, fmt.Sprintf("%s mmap, to be stored to: %v", h.label, h.stores), func() (err error) {
		h.area, err = unix.Mmap(h.fd, 0, int(d.Most+page-1)&^(page-1), prot, unix.MAP_SHARED)
		return err
	})
}

func mapped(h *handle) bool { return h.area != nil && h.ino.size() > 0 }

// faulty does something with a mapping; a page that cannot be had is EIO.
func faulty(do func()) func() error {
	return func() (err error) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if at := recover(); at != nil {
				if _, fault := at.(interface{ Addr() uintptr }); !fault {
					panic(at)
				}
				err = fmt.Errorf("SIGBUS (%v): %w", at, syscall.EIO)
			}
		}()
		do()
		return nil
	}
}

func (d *driver) load() error {
	h := d.pick(mapped)
	if h == nil {
		return nil
	}
	off := d.r.Int64N(h.ino.size())
	size := min(d.length(1<<20), h.ino.size()-off)
	p := make([]byte, size)
	what := fmt.Sprintf("%s load [%d+%d]", h.label, off, size)
	if err := d.call(h.ino, what, faulty(func() { copy(p, h.area[off:]) })); err != nil {
		return err
	}
	if diff := difference(p, h.ino.content[off:off+size]); diff != "" {
		return wrong("%s: %s", what, diff)
	}
	return nil
}

func (d *driver) store() error {
	h := d.pick(func(h *handle) bool { return mapped(h) && h.stores })
	if h == nil {
		return nil
	}
	i := h.ino
	off := d.r.Int64N(i.size())
	p := d.bytes(min(d.length(min(d.Write, 256<<10)), i.size()-off))
	early := i.early
	i.dirty = true // before the time is looked at
	err := d.change(i, fmt.Sprintf("%s store [%d+%d]", h.label, off, len(p)), change{off: off, bytes: p}, faulty(func() { copy(h.area[off:], p) }))
	i.early = early
	return err
}

func (d *driver) msync() error {
	h := d.pick(func(h *handle) bool { return mapped(h) && h.stores })
	if h == nil {
		return nil
	}
	if err := d.call(h.ino, h.label+" msync", func() error { return unix.Msync(h.area, unix.MS_SYNC) }); err != nil {
		return err
	}
	return d.synced(h.ino, "msync")
}

func (d *driver) munmap() error {
	h := d.pick(func(h *handle) bool { return h.area != nil })
	if h == nil {
		return nil
	}
	return d.munmapOne(h)
}

func (d *driver) munmapOne(h *handle) error {
	area := h.area
	err := d.call(h.ino, h.label+" munmap", func() error { return unix.Munmap(area) })
	if h.area = nil; h.fd < 0 {
		d.forget(h)
	}
	return err
}
