package onefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// Config says what a driver does.
type Config struct {
	Dir      string  // the mountpoint
	Seed     uint64  // of all that it chooses
	Steps    int     // how many times it chooses
	Most     int64   // bytes: how large a file becomes
	Nameless int64   // bytes: how large all files together may be that are open and have no name; they cannot be sent
	Write    int64   // bytes: how much is written at once
	Edges    []int64 // sizes that the mount treats differently: places to aim at
	Local    bool    // fsync means the local disk
	Through  bool    // close(2) uploads
	Noise    bool    // another process reads all the time, and so brings pages back
	Mapped   bool    // a file that is open with O_DIRECT can be mapped
}

const (
	page     = 4096
	mostOpen = 6
	// slack is what two readings of the clock may differ by: the kernel's coarse one is a tick behind.
	slack = 20 * time.Millisecond
)

// names are the paths below the mountpoint.
func names() []string { return []string{"f", "g", "d/h"} }

// driver is the state of one.
type driver struct {
	Config
	r        *rand.Rand
	kinds    []kind // those that this seed does
	total    int    // of their weights
	out      *json.Encoder
	in       *json.Decoder
	reader   *reader
	names    map[string]*inode
	maybe    map[string]*inode // what names are when the call that is under way has succeeded; nil: as they are
	handles  []*handle
	made     int // inodes
	labelled int // handles
}

// handle is a descriptor, a mapping, or both.
type handle struct {
	label  string
	ino    *inode
	flags  int
	fd     int    // -1 when it is closed, and the mapping is left
	area   []byte // the mapping; nil: none
	stores bool   // the mapping may be stored to
}

func (h *handle) reads() bool  { return h.fd >= 0 && h.flags&unix.O_ACCMODE != unix.O_WRONLY }
func (h *handle) writes() bool { return h.fd >= 0 && h.flags&unix.O_ACCMODE != unix.O_RDONLY }

// errDied ends an operation because the mount is gone.
var errDied = errors.New("the mount is gone")

// wrong is an error that says what is not as it should be.
func wrong(format string, args ...any) error { return fmt.Errorf(format, args...) }

// errStale ends an operation on a file that may be ESTALE.
var errStale = errors.New("the file is stale")

// lose closes what is open of a file that is stale. What it says is of no interest.
func (d *driver) lose(i *inode) {
	for _, h := range slices.Clone(d.handles) {
		if h.ino == i {
			h.end()
			d.forget(h)
		}
	}
}

// end closes without asking how that ends.
func (h *handle) end() {
	if h.area != nil {
		_ = unix.Munmap(h.area)
	}
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
}

// call makes one system call: it is told before, unless what is empty, and what it gives is looked at. A call that is interrupted is repeated.
func (d *driver) call(i *inode, what string, do func() error) error {
	if what != "" {
		if err := d.out.Encode(Message{Op: what}); err != nil {
			return err
		}
	}
	err := harness.Again(do)
	switch {
	case err == nil:
		return nil
	case d.died(err):
		return errDied
	case i != nil && i.stale && (errors.Is(err, unix.ESTALE) || errors.Is(err, unix.EIO)): // EIO from a mapping
		d.lose(i)
		return errStale
	}
	return wrong("%s: %w", what, err)
}

// refused makes a call that must fail with a certain errno.
func (d *driver) refused(what string, want syscall.Errno, do func() error) error {
	err := d.call(nil, what, do)
	switch {
	case errors.Is(err, errDied), errors.Is(err, want):
		return keepDied(err)
	case err == nil:
		return wrong("%s: it succeeded, want %v", what, want)
	}
	return err
}

func keepDied(err error) error {
	if errors.Is(err, errDied) {
		return errDied
	}
	return nil
}

// died says whether an error comes from the end of the mount: what goes through the kernel's pages is EIO then.
func (d *driver) died(err error) bool {
	if harness.Number(err) == unix.EIO {
		_, err = os.Lstat(d.path(fmt.Sprintf("nobody asked before for %d", time.Now().UnixNano()))) // else the kernel may answer
	}
	return harness.Died(err)
}

func (d *driver) path(name string) string { return filepath.Join(d.Dir, name) }

// change makes a change of a file's bytes, by a call that is made for it.
func (d *driver) change(i *inode, what string, c change, do func() error) error {
	i.begin(c)
	before := time.Now()
	if err := d.call(i, what, do); err != nil {
		return err
	}
	i.apply(c)
	i.touch(before.Add(-slack), time.Now().Add(slack))
	return nil
}

// rename makes a change of names: next is what they are when it has succeeded. taken is a name that another file comes to; "": none.
func (d *driver) rename(what string, next map[string]*inode, taken string, do func() error) error {
	d.maybe = next
	if err := d.call(nil, what, do); err != nil {
		return err
	}
	before := d.names
	d.names, d.maybe = next, nil
	for name, i := range before {
		switch d.nameOf(i) {
		case name:
		case "":
			i.was = name
		default:
			i.moved()
		}
	}
	d.overwritten(taken)
	return nil
}

// overwritten notes that the object of a name may be another's from now on.
func (d *driver) overwritten(name string) {
	for _, h := range d.handles {
		if name != "" && h.ino.was == name {
			h.ino.stale = true
		}
	}
}

// spare says whether a name may be taken away from its file: what is open of it then stays, and cannot be sent.
func (d *driver) spare(name string) bool {
	i := d.names[name]
	return i == nil || !d.opened(i) || d.nameless(nil)+i.size() <= d.Nameless
}

// nameless is how large the files are that are open and have no name, without one of them.
func (d *driver) nameless(but *inode) int64 {
	total, seen := int64(0), map[*inode]bool{but: true}
	for _, h := range d.handles {
		if !seen[h.ino] && d.nameOf(h.ino) == "" {
			seen[h.ino] = true
			total += h.ino.size()
		}
	}
	return total
}

// most is how large a file may become.
func (d *driver) most(i *inode) int64 {
	if d.nameOf(i) == "" {
		return max(min(d.Most, d.Nameless-d.nameless(i)), i.size())
	}
	return d.Most
}

func (d *driver) opened(i *inode) bool {
	return slices.ContainsFunc(d.handles, func(h *handle) bool { return h.ino == i })
}

// with is the names with one more, or less when i is nil.
func (d *driver) with(name string, i *inode) map[string]*inode {
	next := maps.Clone(d.names)
	if i == nil {
		delete(next, name)
	} else {
		next[name] = i
	}
	return next
}

// nameOf is a file's; "" when it has none any more.
func (d *driver) nameOf(i *inode) string {
	for name, at := range d.names {
		if at == i {
			return name
		}
	}
	return ""
}

func (d *driver) newInode() *inode {
	d.made++
	now := time.Now()
	return &inode{id: d.made, mode: 0o644, early: now.Add(-slack), late: now.Add(slack)}
}

// pick is one of the handles that can do something; nil when there is none.
func (d *driver) pick(can func(*handle) bool) *handle {
	var list []*handle
	for _, h := range d.handles {
		if can(h) {
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[d.r.IntN(len(list))]
}

// forget drops a handle.
func (d *driver) forget(h *handle) {
	d.handles = slices.DeleteFunc(d.handles, func(x *handle) bool { return x == h })
}

// name is a path: mostly the first.
func (d *driver) name() string {
	list := names()
	if d.r.IntN(3) > 0 {
		return list[0]
	}
	return list[d.r.IntN(len(list))]
}

// existing is a path that a file has; "" when none has.
func (d *driver) existing() string {
	for range 8 {
		if name := d.name(); d.names[name] != nil {
			return name
		}
	}
	return ""
}

// offset is a place in a file or behind its end, mostly near one where something changes.
func (d *driver) offset(i *inode) int64 {
	var at int64
	switch d.r.IntN(8) {
	case 0:
		at = 0
	case 1, 2:
		at = i.size()
	case 3:
		at = d.Edges[d.r.IntN(len(d.Edges))]
	case 4:
		at = d.r.Int64N(d.Most)
	default:
		at = d.r.Int64N(i.size() + 1)
	}
	switch d.r.IntN(4) {
	case 0:
		at += int64(d.r.IntN(2*page)) - page
	case 1:
		at &^= page - 1
	}
	return min(max(at, 0), max(d.most(i)-1, 0))
}

// length is one from 1 to most, often small.
func (d *driver) length(most int64) int64 {
	switch most = max(most, 1); d.r.IntN(8) {
	case 0:
		return 1 + d.r.Int64N(most)
	case 1:
		return min(most, page*(1+d.r.Int64N(16)))
	case 2:
		return 1 + d.r.Int64N(min(most, 16))
	case 3:
		return min(most, d.Edges[d.r.IntN(len(d.Edges))]+d.r.Int64N(3))
	}
	return 1 + d.r.Int64N(min(most, 64<<10))
}

// bytes are new ones, of which none is zero.
func (d *driver) bytes(n int64) []byte {
	var key [32]byte
	for i := range key {
		key[i] = byte(d.r.Uint32())
	}
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // it never fails
	for i, b := range p {
		if b == 0 {
			p[i] = 1
		}
	}
	return p
}
