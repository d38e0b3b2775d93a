package onefile

import (
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What is done by name.

func (d *driver) open() error {
	if len(d.handles) >= mostOpen {
		return d.close()
	}
	flags := []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR}[d.r.IntN(4)]
	for _, more := range []struct{ flag, once int }{{unix.O_APPEND, 8}, {unix.O_DIRECT, 5}, {unix.O_SYNC, 24}, {unix.O_DSYNC, 24}, {unix.O_TRUNC, 12}} {
		if d.r.IntN(more.once) == 0 {
			flags |= more.flag
		}
	}
	name := d.name()
	if i := d.names[name]; i != nil && i.dirty && d.Noise {
		flags &^= unix.O_TRUNC // the kernel lets an open of somebody else write the pages in between, and they are there again
	}
	_, err := d.openAs(name, flags)
	return err
}

// openAs opens a name, which is made when it is not there.
func (d *driver) openAs(name string, flags int) (*handle, error) {
	d.labelled++
	h := &handle{label: fmt.Sprintf("#%d", d.labelled), flags: flags, ino: d.names[name]}
	create := func() (err error) {
		h.fd, err = unix.Open(d.path(name), flags|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
		return err
	}
	what := fmt.Sprintf("%s open %s %s", h.label, name, flagNames(flags))
	var err error
	switch {
	case h.ino == nil:
		if d.Nameless != math.MaxInt64 { // it may be sent at any time
			d.overwritten(name)
		}
		h.ino = d.newInode()
		err = d.rename(what+", a new file", d.with(name, h.ino), "", create)
		h.ino.touch(h.ino.early, time.Now().Add(slack))
	case flags&unix.O_TRUNC != 0:
		err = d.change(h.ino, what, change{cut: true}, create)
		if err == nil && !h.writes() { // nothing closes it
			h.ino.confirm()
		}
	default:
		err = d.call(h.ino, what, create)
	}
	if err != nil {
		return nil, err
	}
	d.handles = append(d.handles, h)
	return h, nil
}

func flagNames(flags int) string {
	s := []string{"O_RDONLY", "O_WRONLY", "O_RDWR"}[flags&unix.O_ACCMODE]
	for _, x := range []struct {
		flag int
		name string
	}{{unix.O_APPEND, "O_APPEND"}, {unix.O_DIRECT, "O_DIRECT"}, {unix.O_SYNC, "O_SYNC"}, {unix.O_TRUNC, "O_TRUNC"}} {
		if flags&x.flag == x.flag {
			s += "|" + x.name
		}
	}
	if flags&unix.O_SYNC == unix.O_DSYNC {
		s += "|O_DSYNC"
	}
	return s
}

func (d *driver) truncate() error {
	name := d.existing()
	if name == "" {
		return nil
	}
	i := d.names[name]
	size := d.offset(i)
	err := d.change(i, fmt.Sprintf("truncate %s to %d", name, size), change{off: size, cut: true}, func() error { return unix.Truncate(d.path(name), size) })
	if err == nil && !i.dirty {
		i.confirm()
	}
	return err
}

func (d *driver) move() error {
	from, to := d.existing(), d.name()
	if from == "" || from == to || !d.spare(to) {
		return nil
	}
	moved, replaced := d.names[from], d.names[to]
	next := d.with(to, moved)
	delete(next, from)
	if replaced != nil && d.r.IntN(8) == 0 {
		return d.refused(fmt.Sprintf("rename %s to %s, which must not be there", from, to), unix.EEXIST, func() error {
			return unix.Renameat2(unix.AT_FDCWD, d.path(from), unix.AT_FDCWD, d.path(to), unix.RENAME_NOREPLACE)
		})
	}
	return d.rename(fmt.Sprintf("rename %s to %s", from, to), next, to, func() error { return unix.Rename(d.path(from), d.path(to)) })
}

func (d *driver) exchange() error {
	a, b := d.existing(), d.existing()
	if a == "" || b == "" || a == b {
		return nil
	}
	next := d.with(a, d.names[b])
	next[b] = d.names[a]
	err := d.rename(fmt.Sprintf("exchange %s and %s", a, b), next, a, func() error {
		return unix.Renameat2(unix.AT_FDCWD, d.path(a), unix.AT_FDCWD, d.path(b), unix.RENAME_EXCHANGE)
	})
	d.overwritten(b)
	return err
}

func (d *driver) unlink() error {
	name := d.existing()
	if name == "" {
		name = names()[0]
		return d.refused("unlink "+name, unix.ENOENT, func() error { return unix.Unlink(d.path(name)) })
	}
	if !d.spare(name) {
		return nil
	}
	return d.rename("unlink "+name, d.with(name, nil), "", func() error { return unix.Unlink(d.path(name)) })
}

// replace writes another file and puts it in the place of the one that is there, as editors do.
func (d *driver) replace() error {
	if len(d.handles) >= mostOpen {
		return nil
	}
	const temp = "g"
	if d.names[temp] != nil || !d.spare("f") {
		return nil
	}
	h, err := d.openAs(temp, unix.O_WRONLY)
	if err != nil {
		return err
	}
	for off, end := int64(0), d.length(d.Most); off < end; off += min(d.Write, 256<<10) {
		if err := d.writeAt(h, off, min(end-off, d.Write, 256<<10)); err != nil {
			return err
		}
	}
	if d.r.IntN(3) == 0 {
		if err := d.call(h.ino, h.label+" fsync", func() error { return unix.Fsync(h.fd) }); err != nil {
			return err
		}
		if err := d.synced(h.ino, "fsync"); err != nil {
			return err
		}
	}
	if d.r.IntN(8) > 0 { // some rename first
		if err := d.closeOne(h); err != nil {
			return err
		}
	}
	next := d.with("f", h.ino)
	delete(next, temp)
	return d.rename("rename "+temp+" to f", next, "f", func() error { return unix.Rename(d.path(temp), d.path("f")) })
}

// attributes sets the mode, or the times, by name or by descriptor.
func (d *driver) attributes() error {
	i, path, label := (*inode)(nil), "", ""
	if h := d.pick(func(h *handle) bool { return h.fd >= 0 }); h != nil && d.r.IntN(2) == 0 {
		i, path, label = h.ino, fmt.Sprintf("/proc/self/fd/%d", h.fd), h.label
	} else if name := d.existing(); name != "" {
		i, path, label = d.names[name], d.path(name), name
	} else {
		return nil
	}
	i.reset = true
	if d.r.IntN(2) == 0 {
		mode := 0o600 | uint32(d.r.IntN(0o100))
		if err := d.call(i, fmt.Sprintf("chmod %s %o", label, mode), func() error { return os.Chmod(path, os.FileMode(mode)) }); err != nil {
			return err
		}
		i.mode, i.reset, i.undated = mode, false, false // the times are stored with it
		return nil
	}
	to := time.Unix(d.r.Int64N(1_700_000_000), d.r.Int64N(1_000_000_000))
	early, late := i.early, i.late
	i.early, i.late = time.Time{}, time.Time{}
	ts := unix.Timespec{Sec: to.Unix(), Nsec: int64(to.Nanosecond())}
	err := d.call(i, fmt.Sprintf("utimens %s %d.%09d", label, ts.Sec, ts.Nsec), func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, 0)
	})
	if err != nil {
		i.early, i.late = early, late
		return err
	}
	i.early, i.late, i.reset, i.undated = to, to, false, false
	return nil
}
