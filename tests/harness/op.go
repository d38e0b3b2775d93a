package harness

import (
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Op is one operation on a tree, the same on every tree that it is done on. Its paths are relative.
type Op struct {
	Kind     OpKind
	Path, To string
	Mode     uint32
	Writes   []Chunk
	Size     int64 // of Truncate
	Sync     bool  // fsync before the close
}

// OpKind is what an Op does.
type OpKind string

// The kinds of Op. Those before Rename change the content of Path alone.
const (
	Write    OpKind = "write"    // create or truncate, write, close
	Edit     OpKind = "edit"     // write here and there in what is there
	Truncate OpKind = "truncate" // to Size
	Replace  OpKind = "replace"  // write under another name, and rename over Path, as rsync does
	Rename   OpKind = "rename"   // Path to To
	Unlink   OpKind = "unlink"
	Mkdir    OpKind = "mkdir"
	Rmdir    OpKind = "rmdir"
	Symlink  OpKind = "symlink" // Path, to To
	Chmod    OpKind = "chmod"
	SyncDir  OpKind = "fsync of the directory"
)

// Chunk is bytes that are written: noise of a seed.
type Chunk struct {
	Off  int64
	Len  int
	Seed uint64
}

// Bytes are the chunk's.
func (c Chunk) Bytes() []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(c.Seed))
	p := make([]byte, c.Len)
	_, _ = rand.NewChaCha8(key).Read(p) // it never fails
	return p
}

// Temp is the other name that Replace writes under.
func (o *Op) Temp() string {
	return filepath.Join(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+".temp")
}

// Content says whether the op may leave Path half changed when it is interrupted.
func (o *Op) Content() bool { return o.Kind == Write || o.Kind == Edit || o.Kind == Truncate }

// Touches are the paths that may look different afterwards.
func (o *Op) Touches() []string {
	switch o.Kind {
	case Replace:
		return []string{o.Path, o.Temp()}
	case Rename:
		return []string{o.Path, o.To}
	}
	return []string{o.Path}
}

// String is for the log.
func (o *Op) String() string {
	s := string(o.Kind) + " " + o.Path
	if o.To != "" {
		s += " to " + o.To
	}
	for _, c := range o.Writes {
		s += fmt.Sprintf(" [%d+%d]", c.Off, c.Len)
	}
	if o.Kind == Truncate {
		s += fmt.Sprintf(" to %d", o.Size)
	}
	if o.Sync {
		s += " fsync"
	}
	return s
}

// Do does the op on the tree at top. synced, when not nil, is called when an fsync has returned, with the path and
// the open file.
func (o *Op) Do(top string, synced func(path string, f *os.File) error) error {
	path := filepath.Join(top, o.Path)
	switch o.Kind {
	case Write:
		return o.fill(top, o.Path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, synced)
	case Edit:
		return o.fill(top, o.Path, os.O_RDWR, synced)
	case Truncate:
		return onFile(path, os.O_WRONLY, func(f *os.File) error { return f.Truncate(o.Size) })
	case Replace:
		temp := o.Temp()
		if err := o.fill(top, temp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, synced); err != nil {
			return err
		}
		err := Again(func() error { return syscall.Rename(filepath.Join(top, temp), path) })
		if err != nil && !Died(err) {
			return errors.Join(err, Unlinked(filepath.Join(top, temp)))
		}
		return err
	case Rename:
		return Again(func() error { return syscall.Rename(path, filepath.Join(top, o.To)) })
	case Unlink:
		return Unlinked(path)
	case Mkdir:
		return os.Mkdir(path, 0o755)
	case Rmdir:
		return Again(func() error { return syscall.Rmdir(path) })
	case Symlink:
		return os.Symlink(o.To, path)
	case Chmod:
		return onFile(path, os.O_RDONLY, func(f *os.File) error { return syscall.Fchmod(int(f.Fd()), o.Mode) })
	case SyncDir:
		return onFile(path, os.O_RDONLY|syscall.O_DIRECTORY, (*os.File).Sync)
	}
	return fmt.Errorf("no such op: %q", o.Kind)
}

func onFile(path string, flags int, do func(f *os.File) error) error {
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

// fill opens a file, writes the chunks, and closes it.
func (o *Op) fill(top, name string, flags int, synced func(string, *os.File) error) (err error) {
	f, err := os.OpenFile(filepath.Join(top, name), flags|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, c := range o.Writes {
		if _, err := f.WriteAt(c.Bytes(), c.Off); err != nil {
			return err
		}
	}
	if !o.Sync {
		return nil
	}
	if err := f.Sync(); err != nil || synced == nil {
		return err
	}
	return synced(name, f)
}

// Unlinked removes a name that is no directory's.
func Unlinked(path string) error { return Again(func() error { return syscall.Unlink(path) }) }

// Again makes a system call until no signal interrupts it: Go's own come at any time.
func Again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// Died says whether an error means that the mount's process is gone.
func Died(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// Number is an error's errno; EIO when it has none.
func Number(err error) syscall.Errno {
	var e syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	}
	return syscall.EIO
}

// RandomOp is an op on one of a few names, so that they collide.
func RandomOp(r *rand.Rand) Op {
	o := Op{Path: randomPath(r), Mode: 0o600 | uint32(r.IntN(0o100)), Sync: r.IntN(8) == 0}
	chunk := func(off int64) Chunk { return Chunk{off, randomSize(r), r.Uint64()} }
	switch n := r.IntN(100); {
	case n < 22:
		o.Kind = Write
		for off := int64(0); len(o.Writes) < 1+r.IntN(3); {
			c := chunk(off)
			o.Writes = append(o.Writes, c)
			off += int64(c.Len)
		}
	case n < 40:
		o.Kind = Edit
		for len(o.Writes) < 1+r.IntN(3) {
			o.Writes = append(o.Writes, Chunk{r.Int64N(2 << 20), 1 + r.IntN(100_000), r.Uint64()})
		}
	case n < 46:
		o.Kind, o.Size = Truncate, int64(randomSize(r))
	case n < 58:
		o.Kind, o.Writes = Replace, []Chunk{chunk(0)}
	case n < 72:
		o.Kind, o.To = Rename, randomPath(r)
	case n < 78:
		o.Kind = Unlink
	case n < 86:
		o.Kind = Mkdir
	case n < 89:
		o.Kind = Rmdir
	case n < 92:
		o.Kind, o.To = Symlink, "to/"+randomPath(r) // leads nowhere: what an op touches is what it names
	case n < 98:
		o.Kind = Chmod
	default:
		o.Kind, o.Path = SyncDir, ""
	}
	if o.Kind == Chmod && strings.Count(o.Path, "/") == 0 {
		o.Mode |= 0o700 // a directory must stay open to its owner
	}
	return o
}

func randomPath(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(2))
	for i := range parts {
		parts[i] = string("abcd"[r.IntN(4)])
	}
	return filepath.Join(parts...)
}

// randomSize is mostly small, and now and then more than one request takes.
func randomSize(r *rand.Rand) int {
	switch r.IntN(12) {
	case 0:
		return 0
	case 1:
		return 1<<20 + r.IntN(5<<20)
	case 2, 3:
		return r.IntN(300_000)
	}
	return r.IntN(10_000)
}

// Sum is the CRC-64 of bytes, for comparing.
func Sum(p []byte) uint64 { return crc64.Checksum(p, crc64.MakeTable(crc64.ECMA)) }
