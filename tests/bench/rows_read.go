package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

const gib = 1 << 30

// readRows are the read path's table.
func readRows() []row {
	return []row{
		{"read/one-1GiB", "one reader, 1 GiB, dd bs=1M", readOne},
		{"read/four-256MiB", "four readers of 256 MiB", readFour},
		{"read/again", "read again by another process", readAgain},
		{"read/random-8", "8 random 4 KiB readers over 1 GiB for 10 s", readRandom},
		{"read/random-100", "100 single random 4 KiB reads over 1 GiB", readSingles},
		{"read/tar-4000", "tar of 4,000 files of 16 KiB, one process", readSmall("tar cf - small | cat >/dev/null", 2.5)},
		{"read/parallel-4000", "the same files by 16 processes", readSmall("ls small | xargs -P 16 -n 250 sh -c 'cd small && cat \"$@\" >/dev/null' _", 2)},
	}
}

// large seeds 1 GiB in n objects and mounts.
func (b *bench) large(n int) (*mount, error) {
	if err := b.seed(seed{File: "large%d", Files: n, Size: gib / int64(n), Meta: true}); err != nil {
		return nil, err
	}
	return b.slowMount("state")
}

// bareSeconds is the bare client's time for 1 GiB.
func (b *bench) bareSeconds() (time.Duration, error) {
	return bareGet(fmt.Sprintf("%s/%s/large", b.server.endpoint, openBucketName), gib, 8<<20, 64)
}

// readLarge measures a command that reads 1 GiB, beside the bare client's.
func (b *bench) readLarge(m *mount, line string, bare time.Duration) (result, error) {
	r, d, n, err := b.measured(m, func() (time.Duration, error) { return b.shell(m.dir, line) })
	if err != nil {
		return r, err
	}
	for i := range r.Figures {
		if r.Figures[i].Name == "cpu" {
			r.Figures[i].Most = 1
		}
	}
	r.add("rate", gib/1e9/d.Seconds(), "GB/s").atLeast(1)
	r.add("bare client", gib/1e9/bare.Seconds(), "GB/s")
	r.add("of the bare client", bare.Seconds()/d.Seconds(), "x").atLeast(0.4)
	r.add("requests", float64(n), "")
	return r, nil
}

func readOne(b *bench) (r result, err error) {
	m, err := b.large(1)
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	bare, err := b.bareSeconds()
	if err != nil {
		return r, err
	}
	first, err := b.shell(m.dir, "head -c 1 large0 >/dev/null")
	if err != nil {
		return r, err
	}
	r, err = b.readLarge(m, "dd if=large0 of=/dev/null bs=1M iflag=fullblock status=none", bare)
	r.add("first byte", first.Seconds()*1e3, "ms").atMost(45) // two round trips and a process
	return r, err
}

func readFour(b *bench) (r result, err error) {
	if err := b.seed(seed{File: "large%d", Files: 1, Size: gib, Meta: true}); err != nil {
		return r, err
	}
	if err := b.seed(seed{File: "quarter%d", Files: 4, Size: gib / 4, Meta: true}); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	bare, err := b.bareSeconds()
	if err != nil {
		return r, err
	}
	return b.readLarge(m, "for i in 0 1 2 3; do dd if=quarter$i of=/dev/null bs=1M status=none & done; wait", bare)
}

func readAgain(b *bench) (r result, err error) {
	m, err := b.large(1)
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	if _, err := b.shell(m.dir, "cat large0 >/dev/null"); err != nil {
		return r, err
	}
	r, d, n, err := b.measured(m, func() (time.Duration, error) {
		return b.shell(m.dir, "dd if=large0 of=/dev/null bs=1M status=none")
	})
	r.add("rate", gib/1e9/d.Seconds(), "GB/s").atLeast(2)
	r.add("requests", float64(n), "").atMost(2)
	return r, err
}

func readRandom(b *bench) (r result, err error) {
	m, err := b.large(1)
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	const span = 10 * time.Second
	var reads atomic.Int64
	r, _, _, err = b.measured(m, func() (time.Duration, error) {
		deadline := time.Now().Add(span)
		return spread(8, 8, func(i int) error {
			return randomReads(filepath.Join(m.dir, "large0"), uint64(i), func(time.Duration) bool {
				reads.Add(1)
				return time.Now().Before(deadline)
			})
		})
	})
	if err != nil {
		return r, err
	}
	counts, err := b.counts()
	r.add("IOPS", float64(reads.Load())/span.Seconds(), "").atLeast(50_000)
	r.add("fetched", float64(counts.Out)/gib, "GiB").atMost(1.2)
	return r, err
}

func readSingles(b *bench) (r result, err error) {
	m, err := b.large(1)
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	var took []time.Duration
	r, _, _, err = b.measured(m, func() (time.Duration, error) {
		return timed(func() error {
			return randomReads(filepath.Join(m.dir, "large0"), 1, func(d time.Duration) bool {
				took = append(took, d)
				return len(took) < 100
			})
		})
	})
	if err != nil {
		return r, err
	}
	counts, err := b.counts()
	slices.Sort(took)
	r.add("median", took[len(took)/2].Seconds()*1e3, "ms").atMost(20)
	r.add("fetched", float64(counts.Out)/1e6, "MB").atMost(30)
	return r, err
}

// randomReads reads 4 KiB at random places until more says no.
func randomReads(name string, seed uint64, more func(time.Duration) bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	rnd := rand.New(rand.NewPCG(seed, 0))
	buf := make([]byte, 4096)
	for {
		d, err := timed(func() error {
			_, err := f.ReadAt(buf, rnd.Int64N(gib/4096)*4096)
			return err
		})
		if err != nil {
			return err
		}
		if !more(d) {
			return nil
		}
	}
}

func readSmall(line string, most float64) func(*bench) (result, error) {
	return func(b *bench) (r result, err error) {
		if err := b.seed(seed{Dir: "small/", File: "f%04d", Dirs: 1, Files: 4000, Size: 16 << 10, Meta: true}); err != nil {
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
		r, err = b.command(m, line, most, 0)
		if err != nil {
			return r, err
		}
		counts, err := b.counts()
		r.add("wasted", 100*(float64(counts.Out)/(4000*16<<10)-1), "%").atMost(10)
		return r, err
	}
}
