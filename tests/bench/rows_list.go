package main

import (
	"fmt"
	"path/filepath"
	"time"
)

// listRows are the namespace's table: directories, attributes, walks.
func listRows() []row {
	return []row{
		{"list/lsR-warm", "ls -lR, 20,000 files in 400 directories, attributes in the index", lsRecursive(true)},
		{"list/lsR-cold", "the same, attributes unknown, the directories without objects of their own", lsRecursive(false)},
		{"list/ls-100k", "ls -l of one directory of 100,000, index warm", lsLarge},
		{"list/ls-1M", "ls -U of one directory of 1,000,000", lsMillion},
		{"list/find-1M", "find over 1,000,000 keys in 10,000 directories", findMillion},
		{"list/rsync-again", "second rsync -a of an unchanged tree of 10,000 files, new mount", rsyncAgain},
		{"list/rsync-lost", "the same, with the attribute index lost", rsyncLost},
		{"list/mv-1000", "mv of a directory of 1,000 files", mvDirectory},
		{"list/rm-5000", "rm -rf of 5,000 files in 50 directories, until the bucket is empty", rmTree},
	}
}

// measured runs work on a mount and adds its time, requests and use.
func (b *bench) measured(m *mount, work func() (time.Duration, error)) (r result, d time.Duration, n int64, err error) {
	if err = b.reset(); err != nil {
		return
	}
	before, err := m.usage()
	if err != nil {
		return
	}
	if d, err = work(); err != nil {
		return
	}
	after, err := m.usage()
	if err != nil {
		return
	}
	budget, err := m.budget()
	if err != nil {
		return
	}
	counts, err := b.counts()
	r.usage(before, after, budget)
	return r, d, counts.requests(), err
}

// command measures a command line in the mount, with targets for its time and requests; 0: none.
func (b *bench) command(m *mount, line string, seconds, requests float64) (result, error) {
	r, d, n, err := b.measured(m, func() (time.Duration, error) { return b.shell(m.dir, line) })
	r.seconds("time", d).atMost(seconds)
	r.add("requests", float64(n), "").atMost(requests)
	return r, err
}

func lsRecursive(warm bool) func(*bench) (result, error) {
	return func(b *bench) (result, error) {
		if err := b.seed(seed{Dir: "d%04d/", File: "f%04d", Dirs: 400, Files: 50, Size: 100, Meta: true, Prefix: !warm}); err != nil {
			return result{}, err
		}
		if warm {
			if err := b.warm("ls -lR . >/dev/null"); err != nil {
				return result{}, err
			}
		}
		m, err := b.slowMount("state")
		if err != nil {
			return result{}, err
		}
		defer m.end(&err)
		if warm {
			return b.command(m, "ls -lR . >/dev/null", 1.5, 30)
		}
		return b.command(m, "ls -lR . >/dev/null", 6, 20_030)
	}
}

// warm does work once on a fast network, so that the state directory knows the attributes.
func (b *bench) warm(line string) error {
	if err := b.shape(0, 0); err != nil {
		return err
	}
	m, err := b.mount("state")
	if err != nil {
		return err
	}
	if _, err := b.shell(m.dir, line); err != nil {
		m.end(&err)
		return err
	}
	return m.close()
}

// slowMount mounts before the slow network of the tables.
func (b *bench) slowMount(state string, flags ...string) (*mount, error) {
	if err := b.network(); err != nil {
		return nil, err
	}
	return b.mount(state, flags...)
}

// end closes a mount at the end of a row, and makes its error the row's when there is none yet.
func (m *mount) end(err *error) {
	if e := m.close(); *err == nil {
		*err = e
	}
}

func lsLarge(b *bench) (r result, err error) {
	if err := b.seed(seed{File: "f%06d", Files: 100_000, Size: 100, Meta: true}); err != nil {
		return r, err
	}
	if err := b.warm("ls -l . >/dev/null"); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	first, err := b.shell(m.dir, "ls -U | head -1 >/dev/null")
	if err != nil {
		m.end(&err)
		return r, err
	}
	if err := m.close(); err != nil {
		return r, err
	}
	if m, err = b.mount("state"); err != nil {
		return r, err
	}
	defer m.end(&err)
	r, err = b.command(m, "ls -l . >/dev/null", 4, 105)
	r.seconds("ls -U | head -1", first).atMost(0.1)
	return r, err
}

// mostOfDirectory is what the mount may take for one directory of any size, in MiB.
const mostOfDirectory = 64

func lsMillion(b *bench) (r result, err error) {
	if err := b.seed(seed{File: "f%06d", Files: 1_000_000, Size: 100}); err != nil {
		return r, err
	}
	m, err := b.slowMount("state", "--no-head")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	first, err := b.shell(m.dir, "ls -U | head -1 >/dev/null")
	if err != nil {
		return r, err
	}
	before, err := m.usage()
	if err != nil {
		return r, err
	}
	r, err = b.command(m, "test $(ls -U | wc -l) = 1000000", 0, 1_020)
	if err != nil {
		return r, err
	}
	after, err := m.usage()
	r.seconds("ls -U | head -1", first).atMost(0.1)
	r.add("for the directory", float64(after.peakRSS-before.peakRSS)/(1<<20), "MiB").atMost(mostOfDirectory)
	return r, err
}

func findMillion(b *bench) (r result, err error) {
	if err := b.seed(seed{Dir: "d%05d/", File: "f%03d", Dirs: 10_000, Files: 99, Size: 100}); err != nil {
		return r, err
	}
	m, err := b.slowMount("state", "--no-head")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	r, err = b.command(m, "test $(find . | wc -l) = 1000001", 60, 1_100)
	for i := range r.Figures {
		if r.Figures[i].Name == "peak RSS" {
			r.Figures[i].Most = 1024
		}
	}
	return r, err
}

// sources is 10,000 real files with links among them: Go's own tree.
func (b *bench) sources() (string, error) {
	dir := filepath.Join(b.tmp, "src")
	_, err := b.shell(b.tmp, `mkdir src && (cd "$(go env GOROOT)/src" && find . -type f | LC_ALL=C sort | head -10000 | tar cf - -T -) | tar xf - -C src`)
	return dir, err
}

func rsyncAgain(b *bench) (r result, err error) {
	src, err := b.sources()
	if err != nil {
		return r, err
	}
	if err := b.warm(fmt.Sprintf("rsync -a %s/ dst/", src)); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	return b.command(m, fmt.Sprintf(`test -z "$(rsync -ai %s/ dst/)"`, src), 0, 15)
}

// rsyncLost is rsyncAgain of a mount that has to ask for every object once. The objects are the files, the directories
// and the links.
func rsyncLost(b *bench) (r result, err error) {
	src, err := b.sources()
	if err != nil {
		return r, err
	}
	if err := b.warm(fmt.Sprintf("rsync -a %s/ dst/", src)); err != nil {
		return r, err
	}
	objects, err := b.server.ask(order{Keys: true})
	if err != nil {
		return r, err
	}
	m, err := b.slowMount("other")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	return b.command(m, fmt.Sprintf(`test -z "$(rsync -ai %s/ dst/)"`, src), 0, float64(objects.Keys)+30)
}

func mvDirectory(b *bench) (r result, err error) {
	if err := b.seed(seed{Dir: "d%04d/", File: "f%04d", Dirs: 1, Files: 1000, Size: 100, Meta: true}); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	return b.command(m, "mv d0000 moved", 0.5, 1_010)
}

func rmTree(b *bench) (r result, err error) {
	if err := b.seed(seed{Dir: "d%04d/", File: "f%04d", Dirs: 50, Files: 100, Size: 100, Meta: true}); err != nil {
		return r, err
	}
	if err := b.warm("ls -lR . >/dev/null"); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	r, d, n, err := b.measured(m, func() (time.Duration, error) {
		d, err := b.shell(m.dir, "rm -rf d*")
		if err != nil {
			return d, err
		}
		flush, err := m.flush()
		return d + flush, err
	})
	if err != nil {
		return r, err
	}
	left, err := b.server.ask(order{Keys: true})
	r.seconds("time", d).atMost(1.5)
	r.add("requests", float64(n), "").atMost(70)
	r.add("keys left", float64(left.Keys), "").atMost(0.5)
	return r, err
}
