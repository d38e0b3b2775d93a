package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossfs/ossfs/tests/harness"
)

// What a call has done is seen by everybody until the next call changes it: files that are being sent, confirmed and forgotten by the
// stage meanwhile, renamed, and moved with their directories. Some programs change what is theirs; others list, look up and read all of it,
// and what nobody changed meanwhile must be as it was left. OSSFS_TEST_SEEN_SEED, _RUNS and _STEPS make it longer.
func TestWhatIsDoneIsSeen(t *testing.T) {
	first := setting("SEEN_SEED", 1)
	for seed := first; seed < first+setting("SEEN_RUNS", 4); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := harness.New(t, func(o *fsOptions) {
				o.WriteBack = []time.Duration{time.Millisecond, 30 * time.Millisecond}[seed%2]
				o.SinglePut = 256 << 10
				if seed%4 < 2 {
					o.TTL = 0
				}
			})
			s := &sight{t: t, dir: b.Dir, files: make(map[string]*seenFile), over: make(chan struct{})}
			const changers, lookers = 3, 3
			for i := range changers {
				s.own(fmt.Sprint("p", i))
			}
			var changing, looking sync.WaitGroup
			for i := range changers {
				c := &changer{sight: s, top: fmt.Sprint("p", i), r: rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
				changing.Go(func() { c.run(setting("SEEN_STEPS", 120)) })
			}
			for i := range lookers {
				l := &looker{sight: s, r: rand.New(rand.NewPCG(uint64(seed), uint64(100+i)))}
				looking.Go(l.run)
			}
			changing.Wait()
			close(s.over)
			looking.Wait()
			if s.looks == 0 {
				t.Error("nothing was looked at that stood still")
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// sight is what should be seen in a mount.
type sight struct {
	t    *testing.T
	dir  string
	over chan struct{} // closed when nothing changes any more

	mu    sync.Mutex // guards the fields below
	files map[string]*seenFile
	looks int
}

// seenFile is how a path was left. An odd turn means that a call changes it.
type seenFile struct {
	turn int
	left state
	log  []string
}

// state is what is at a path.
type state struct {
	there bool
	dir   bool
	size  int64
	mode  fs.FileMode
	fill  byte // what all of it is; 0: not known
}

var (
	seenDirs  = []string{"a", "b"}
	seenNames = []string{"0", "1", "2", "3", "4"}
)

// own makes the paths of a changer known, and its directory.
func (s *sight) own(top string) {
	must(s.t, os.Mkdir(filepath.Join(s.dir, top), 0o755))
	for _, d := range seenDirs {
		s.files[filepath.Join(top, d)] = &seenFile{}
		for _, n := range seenNames {
			s.files[filepath.Join(top, d, n)] = &seenFile{}
		}
	}
}

// change does something to some paths; how they are left is what do says.
func (s *sight) change(what string, paths []string, do func(left func(path string) *state) error) {
	s.mu.Lock()
	now := make(map[string]*state, len(paths))
	for _, p := range paths {
		f := s.files[p]
		f.turn++
		f.log = append(f.log, what)
		st := f.left
		now[p] = &st
	}
	s.mu.Unlock()
	err := do(func(path string) *state { return now[path] })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
	for p, st := range now {
		s.files[p].left = *st
		s.files[p].turn++
	}
}

// still is how a path was left, when nothing changes it.
func (s *sight) still(path string) (st state, turn int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[path]
	return f.left, f.turn, f.turn%2 == 0
}

// check compares what was found with what was there from turn on, if nothing has changed it since.
func (s *sight) check(how, path string, turn int, want state, found func(state) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[path]
	if f.turn != turn {
		return
	}
	s.looks++
	if err := found(want); err != nil {
		s.t.Errorf("%s %s: %v; it was left as %+v by\n%s", how, path, err, want, strings.Join(f.log[max(0, len(f.log)-8):], "\n"))
	}
}

// changer is a program that changes what is below a directory of its own.
type changer struct {
	*sight
	top string
	r   *rand.Rand
}

func (c *changer) pick(list []string) string { return list[c.r.IntN(len(list))] }

func (c *changer) run(steps int) {
	for range steps {
		if c.t.Failed() {
			return
		}
		dir := filepath.Join(c.top, c.pick(seenDirs))
		if st, _, _ := c.still(dir); !st.there {
			c.makeDir(dir)
			continue
		}
		path := filepath.Join(dir, c.pick(seenNames))
		switch st, _, _ := c.still(path); {
		case c.r.IntN(16) == 0:
			c.moveDir(dir)
		case !st.there || c.r.IntN(3) == 0:
			c.write(path)
		default:
			c.alter(path, filepath.Join(dir, c.pick(seenNames)))
		}
	}
}

func (c *changer) abs(path string) string { return filepath.Join(c.dir, path) }

func (c *changer) makeDir(dir string) {
	c.change("mkdir "+dir, []string{dir}, func(left func(string) *state) error {
		*left(dir) = state{there: true, dir: true, mode: 0o755}
		return os.Mkdir(c.abs(dir), 0o755)
	})
}

// write makes a file anew, in its place or under another name first, as rsync does.
func (c *changer) write(path string) {
	size := []int{0, 1, 3000, 40_000, 300_000}[c.r.IntN(5)]
	fill := byte(1 + c.r.IntN(255))
	synced, beside := c.r.IntN(6) == 0, c.r.IntN(2) == 0
	c.change(fmt.Sprintf("write %s, %d bytes of %d, fsync %v, by rename %v", path, size, fill, synced, beside), []string{path}, func(left func(string) *state) error {
		st := left(path)
		name := c.abs(path)
		if beside {
			name += ".new"
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(bytes.Repeat([]byte{fill}, size))
		if synced {
			err = errors.Join(err, f.Sync())
		}
		if err = errors.Join(err, f.Close()); err == nil && beside {
			err = os.Rename(name, c.abs(path))
		}
		mode := fs.FileMode(0o644)
		if st.there && !beside {
			mode = st.mode
		}
		*st = state{there: true, size: int64(size), fill: fill, mode: mode}
		return err
	})
}

// alter does something to a file that is there.
func (c *changer) alter(path, other string) {
	switch c.r.IntN(6) {
	case 0:
		c.change("remove "+path, []string{path}, func(left func(string) *state) error {
			*left(path) = state{}
			return os.Remove(c.abs(path))
		})
	case 1:
		mode := fs.FileMode(0o600 + c.r.IntN(0o100))
		c.change(fmt.Sprintf("chmod %s %o", path, mode), []string{path}, func(left func(string) *state) error {
			left(path).mode = mode
			return os.Chmod(c.abs(path), mode)
		})
	case 2:
		size := int64(c.r.IntN(60_000))
		c.change(fmt.Sprintf("truncate %s %d", path, size), []string{path}, func(left func(string) *state) error {
			st := left(path)
			if size > st.size {
				st.fill = 0
			}
			st.size = size
			return os.Truncate(c.abs(path), size)
		})
	case 3:
		at := time.Unix(c.r.Int64N(1<<31), 0)
		c.change("utimes "+path, []string{path}, func(func(string) *state) error { return os.Chtimes(c.abs(path), at, at) })
	default:
		if path == other {
			return
		}
		c.change("rename "+path+" to "+other, []string{path, other}, func(left func(string) *state) error {
			*left(other), *left(path) = *left(path), state{}
			return os.Rename(c.abs(path), c.abs(other))
		})
	}
}

// moveDir gives a directory the other name, where that is free, or removes it with all that is in it.
func (c *changer) moveDir(dir string) {
	to := filepath.Join(c.top, seenDirs[1-slices.Index(seenDirs, filepath.Base(dir))])
	paths := []string{dir, to}
	for _, n := range seenNames {
		paths = append(paths, filepath.Join(dir, n), filepath.Join(to, n))
	}
	if st, _, _ := c.still(to); st.there {
		c.change("remove all of "+dir, paths, func(left func(string) *state) error {
			for _, p := range paths {
				if p == dir || filepath.Dir(p) == dir {
					*left(p) = state{}
				}
			}
			return os.RemoveAll(c.abs(dir))
		})
		return
	}
	c.change("rename "+dir+" to "+to, paths, func(left func(string) *state) error {
		for i := 0; i < len(paths); i += 2 {
			*left(paths[i+1]), *left(paths[i]) = *left(paths[i]), state{}
		}
		return os.Rename(c.abs(dir), c.abs(to))
	})
}

// looker is a program that looks at everything.
type looker struct {
	*sight
	r *rand.Rand
}

func (l *looker) run() {
	var paths []string
	for p := range l.files { // its keys stay as they are
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for {
		select {
		case <-l.over:
			return
		default:
		}
		if l.t.Failed() {
			return
		}
		path := paths[l.r.IntN(len(paths))]
		switch l.r.IntN(3) {
		case 0:
			l.list(filepath.Dir(path))
		case 1:
			l.stat(path)
		default:
			l.read(path)
		}
	}
}

// list reads a directory: all that stands still is in it, or is not.
func (l *looker) list(dir string) {
	type left struct {
		state
		turn int
	}
	before := make(map[string]left)
	l.mu.Lock()
	self, known := l.files[dir]
	stood := !known || self.turn%2 == 0
	for p, f := range l.files {
		if filepath.Dir(p) == dir && f.turn%2 == 0 {
			before[p] = left{f.left, f.turn}
		}
	}
	l.mu.Unlock()
	if !stood {
		return
	}
	list, err := os.ReadDir(filepath.Join(l.dir, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Errorf("readdir %s: %v", dir, err)
		return
	}
	names := make(map[string]bool)
	for _, e := range list {
		names[e.Name()] = true
	}
	for p, was := range before {
		l.check("in the listing of "+dir+",", p, was.turn, was.state, func(want state) error {
			if got := names[filepath.Base(p)]; got != want.there {
				return fmt.Errorf("there: %v", got)
			}
			return nil
		})
	}
}

func (l *looker) stat(path string) {
	st, turn, ok := l.still(path)
	if !ok {
		return
	}
	info, err := os.Lstat(filepath.Join(l.dir, path))
	l.check("stat", path, turn, st, func(want state) error {
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case (err == nil) != want.there:
			return fmt.Errorf("there: %v", err == nil)
		case want.there && (info.IsDir() != want.dir || info.Mode().Perm() != want.mode || !want.dir && info.Size() != want.size):
			return fmt.Errorf("%v, %d bytes", info.Mode(), info.Size())
		}
		return nil
	})
}

func (l *looker) read(path string) {
	st, turn, ok := l.still(path)
	if !ok || st.dir {
		return
	}
	body, err := os.ReadFile(filepath.Join(l.dir, path))
	l.check("read", path, turn, st, func(want state) error {
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case (err == nil) != want.there:
			return fmt.Errorf("there: %v", err == nil)
		case int64(len(body)) != want.size:
			return fmt.Errorf("%d bytes", len(body))
		case want.fill != 0 && bytes.Count(body, []byte{want.fill}) != len(body):
			return fmt.Errorf("other bytes than those that were written")
		}
		return nil
	})
}
