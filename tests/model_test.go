package tests

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// setting is a number from the environment, for longer runs: OSSFS_TEST_MODEL_SEED, _RUNS and _STEPS. A failure
// names the seed that repeats it.
func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("OSSFS_TEST_" + name)); err == nil {
		return n
	}
	return otherwise
}

// Random operations, on the mount and on a local directory at once, with names that collide; the outcome of
// each and the trees are compared. Now and then everything is sent, or the mount is replaced by a new one.
func TestModel(t *testing.T) {
	first := setting("MODEL_SEED", 1)
	for seed := first; seed < first+setting("MODEL_RUNS", 6); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			m := &model{t: t, r: rand.New(rand.NewPCG(uint64(seed), 0)), local: t.TempDir(), bed: harness.New(t, func(o *fsOptions) {
				if seed%2 == 0 { // sending goes on meanwhile
					o.WriteBack = time.Millisecond
				}
			})}
			for step := range setting("MODEL_STEPS", 250) {
				m.step()
				if t.Failed() {
					t.Fatalf("seed %d, step %d; the last operations were\n%s", seed, step, strings.Join(m.log[max(len(m.log)-25, 0):], "\n"))
				}
			}
			m.closeAll()
			m.compare("at the end")
			m.bed.Afresh()
			m.compare("in a new mount")
			if t.Failed() {
				t.Fatalf("seed %d; the operations were\n%s", seed, strings.Join(m.log, "\n"))
			}
		})
	}
}

// model is a mount and a local directory that are to look the same.
type model struct {
	t     *testing.T
	r     *rand.Rand
	bed   *harness.Bed
	local string
	open  []pair
	log   []string
}

// pair is one file, open on both sides.
type pair struct {
	name         string
	mount, local *os.File
}

// name is one of a few dozen paths.
func (m *model) name() string {
	parts := make([]string, 1+m.r.IntN(3))
	for i := range parts {
		parts[i] = string("abc"[m.r.IntN(3)])
	}
	return filepath.Join(parts...)
}

// both does an operation on both sides and compares how it ends.
func (m *model) both(what string, do func(top string) error) {
	m.t.Helper()
	m.log = append(m.log, what)
	got, want := do(m.bed.Dir), do(m.local)
	if harness.Number(got) != harness.Number(want) {
		m.t.Errorf("%s: the mount says %v, the local directory %v", what, got, want)
	}
}

func (m *model) step() {
	name, other := m.name(), m.name()
	switch n := m.r.IntN(100); {
	case n < 18:
		p := noise(m.r.Uint64(), m.size())
		m.both(fmt.Sprintf("write %s, %d bytes", name, len(p)), func(top string) error { return os.WriteFile(filepath.Join(top, name), p, 0o644) })
	case n < 30:
		m.both("mkdir "+name, func(top string) error { return os.Mkdir(filepath.Join(top, name), 0o755) })
	case n < 38:
		m.both("unlink "+name, func(top string) error { return syscall.Unlink(filepath.Join(top, name)) })
	case n < 43:
		m.both("rmdir "+name, func(top string) error { return syscall.Rmdir(filepath.Join(top, name)) })
	case n < 55:
		m.both("rename "+name+" "+other, func(top string) error {
			return syscall.Rename(filepath.Join(top, name), filepath.Join(top, other))
		})
	case n < 58:
		m.both("exchange "+name+" "+other, func(top string) error {
			return unix.Renameat2(unix.AT_FDCWD, filepath.Join(top, name), unix.AT_FDCWD, filepath.Join(top, other), unix.RENAME_EXCHANGE)
		})
	case n < 63:
		size := int64(m.size())
		m.both(fmt.Sprintf("truncate %s to %d", name, size), func(top string) error { return os.Truncate(filepath.Join(top, name), size) })
	case n < 67:
		mode := uint32(m.r.IntN(0o1000)) | 0o600
		m.both(fmt.Sprintf("chmod %s %o", name, mode), func(top string) error { return chmod(filepath.Join(top, name), mode) })
	case n < 70:
		m.both("symlink "+other+" "+name, func(top string) error { return os.Symlink(other, filepath.Join(top, name)) })
	case n < 76:
		m.openOne(name)
	case n < 90:
		m.useOne()
	case n < 93:
		m.closeOne()
	case n < 96:
		m.compare("on the way")
	case n < 98:
		m.log = append(m.log, "flush")
		m.bed.Flush()
	default:
		m.closeAll()
		m.log = append(m.log, "new mount")
		m.bed.Afresh()
		m.compare("after a new mount")
	}
}

// chmod does not follow links: through one it could leave the tree.
func chmod(path string, mode uint32) error {
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() == fs.ModeSymlink {
		return err
	}
	if st, err := os.Lstat(path); err == nil && st.IsDir() {
		mode |= 0o700
	}
	return syscall.Chmod(path, mode)
}

func (m *model) size() int {
	switch m.r.IntN(6) {
	case 0:
		return 0
	case 1:
		return 4096
	case 2:
		return m.r.IntN(300_000)
	}
	return m.r.IntN(10_000)
}

func (m *model) openOne(name string) {
	flags := os.O_RDWR
	if m.r.IntN(2) == 0 {
		flags |= os.O_CREATE
	}
	p := pair{name: name}
	m.both(fmt.Sprintf("open %s %x", name, flags), func(top string) error {
		f, err := os.OpenFile(filepath.Join(top, name), flags|syscall.O_NOFOLLOW, 0o644)
		if err != nil {
			return err
		}
		if top == m.local {
			p.local = f
		} else {
			p.mount = f
		}
		return nil
	})
	if p.mount != nil && p.local != nil {
		m.open = append(m.open, p)
	}
}

// useOne reads or changes an open file, which may have been renamed or removed since.
func (m *model) useOne() {
	if len(m.open) == 0 {
		return
	}
	p := m.open[m.r.IntN(len(m.open))]
	off, size := int64(m.r.IntN(200_000)), m.size()
	data := noise(m.r.Uint64(), size)
	kind := m.r.IntN(8)
	both := func(what string, do func(f *os.File) error) {
		m.both(what+" the open "+p.name, func(top string) error {
			if top == m.local {
				return do(p.local)
			}
			return do(p.mount)
		})
	}
	switch kind {
	case 0:
		both(fmt.Sprintf("truncate to %d", size), func(f *os.File) error { return f.Truncate(int64(size)) })
	case 1:
		both("fsync", (*os.File).Sync)
	case 2, 3, 4:
		both(fmt.Sprintf("write %d bytes at %d of", size, off), func(f *os.File) error { _, err := f.WriteAt(data, off); return err })
	default:
		var got [2][]byte
		both(fmt.Sprintf("read %d bytes at %d of", size, off), func(f *os.File) error {
			buf := make([]byte, size)
			n, err := f.ReadAt(buf, off)
			if f == p.local {
				got[1] = buf[:n]
			} else {
				got[0] = buf[:n]
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		})
		wantBytes(m.t, "read of the open "+p.name, got[0], got[1])
	}
}

func (m *model) closeOne() {
	if len(m.open) > 0 {
		p := m.open[0]
		m.open = m.open[1:]
		m.both("close "+p.name, func(top string) error {
			if top == m.local {
				return p.local.Close()
			}
			return p.mount.Close()
		})
	}
}

func (m *model) closeAll() {
	for len(m.open) > 0 {
		m.closeOne()
	}
}

// compare walks both trees.
func (m *model) compare(when string) {
	m.t.Helper()
	m.log = append(m.log, "compare")
	got, want := m.read(m.bed.Dir), m.read(m.local)
	for path, w := range want {
		g, ok := got[path]
		switch {
		case !ok:
			m.t.Errorf("%s: %s is missing in the mount", when, path)
		case g.info != w.info:
			m.t.Errorf("%s: %s: the mount says %s, the local directory %s", when, path, g.info, w.info)
		default:
			wantBytes(m.t, when+": "+path, g.content, w.content)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			m.t.Errorf("%s: %s is in the mount alone", when, path)
		}
	}
}

type seen struct {
	info    string
	content []byte
}

func (m *model) read(top string) map[string]seen {
	tree := make(map[string]seen)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, path)
		if rel == "." {
			return nil
		}
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		x := seen{info: st.Mode().String()}
		switch {
		case st.Mode().IsRegular():
			x.info = fmt.Sprint(x.info, " ", st.Size())
			x.content, err = os.ReadFile(path)
		case st.Mode().Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			x.info += " -> " + target
		}
		tree[rel] = x
		return err
	})
	if err != nil {
		m.t.Errorf("walking %s: %v", top, err)
	}
	return tree
}
