package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// writeRows are the stager's table.
func writeRows() []row {
	return []row{
		{"write/dd-fsync", "dd 1 GiB conv=fsync: in the bucket", writeSynced},
		{"write/dd", "dd 1 GiB without fsync, beside the local disk", writeStaged},
		{"write/cp-2000", "cp -r of 2,000 files of 16 KiB, then flush", writeSmall},
		{"write/rsync-10000", "rsync -a of 10,000 files, then flush", writeRsync},
		{"write/edit", "edit 3 bytes in 512 MiB, fsync", writeEdit},
		{"write/untar-20000", "extract a tar of 20,000 small files, then flush", writeUntar},
	}
}

// thenFlush measures a command and the flush after it together; the parts are added too.
func (b *bench) thenFlush(m *mount, line string) (result, time.Duration, error) {
	var command, flush time.Duration
	r, d, n, err := b.measured(m, func() (_ time.Duration, err error) {
		if command, err = b.shell(m.dir, line); err != nil {
			return 0, err
		}
		flush, err = m.flush()
		return command + flush, err
	})
	r.seconds("command", command)
	r.seconds("flush", flush)
	r.add("requests", float64(n), "")
	return r, d, err
}

func writeSynced(b *bench) (r result, err error) {
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	bare, err := b.barePuts()
	if err != nil {
		return r, err
	}
	r, d, n, err := b.measured(m, func() (time.Duration, error) {
		return b.shell(m.dir, "dd if=/dev/zero of=large bs=1M count=1024 conv=fsync status=none")
	})
	for i := range r.Figures {
		if r.Figures[i].Name == "cpu" {
			r.Figures[i].Most = 1.2
		}
	}
	r.add("rate", gib/1e9/d.Seconds(), "GB/s")
	r.add("bare client", gib/1e9/bare.Seconds(), "GB/s")
	r.add("of the bare client", bare.Seconds()/d.Seconds(), "x").atLeast(0.7)
	r.add("requests", float64(n), "")
	return r, err
}

// barePuts sends 1 GiB as 8 MiB objects on 32 connections, unsigned.
func (b *bench) barePuts() (time.Duration, error) {
	const piece = 8 << 20
	return barePut(b.bareURL(), slices.Repeat([]int{piece}, gib/piece), piece, 32)
}

// barePutsOf sends objects as large as the files and directories below dir on 64 connections, unsigned.
func (b *bench) barePutsOf(dir string) (time.Duration, error) {
	var sizes []int
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sizes = append(sizes, int(info.Size()))
		} else {
			sizes = append(sizes, 0)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return barePut(b.bareURL(), sizes, slices.Max(sizes), 64)
}

func (b *bench) bareURL() string { return fmt.Sprintf("%s/%s/bare", b.server.endpoint, openBucketName) }

func writeStaged(b *bench) (r result, err error) {
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	const line = "dd if=/dev/zero of=%s bs=1M count=1024 status=none"
	// The file goes before the other comes: both get memory that the machine has at hand.
	local, err := b.shell(b.tmp, fmt.Sprintf(line, "local"))
	if err != nil {
		return r, err
	}
	if err := os.Remove(filepath.Join(b.tmp, "local")); err != nil {
		return r, err
	}
	r, d, _, err := b.measured(m, func() (time.Duration, error) { return b.shell(m.dir, fmt.Sprintf(line, "large")) })
	r.add("rate", gib/1e9/d.Seconds(), "GB/s")
	r.add("of the local disk", local.Seconds()/d.Seconds(), "x").atLeast(0.9)
	return r, err
}

func writeSmall(b *bench) (r result, err error) {
	if _, err := b.shell(b.tmp, "mkdir small && cd small && head -c 16384 /dev/urandom >f && for i in $(seq 2000); do cp f f$i; done && rm f"); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	r, d, err := b.thenFlush(m, fmt.Sprintf("cp -r %s .", filepath.Join(b.tmp, "small")))
	r.seconds("time", d).atMost(1.5)
	return r, err
}

func writeRsync(b *bench) (r result, err error) {
	src, err := b.sources()
	if err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	local, err := b.shell(b.tmp, fmt.Sprintf("rsync -a %s/ local/", src))
	if err != nil {
		return r, err
	}
	puts, err := b.barePutsOf(src)
	if err != nil {
		return r, err
	}
	r, d, err := b.thenFlush(m, fmt.Sprintf("rsync -a %s/ dst/", src))
	r.seconds("time", d).atMost((local*13/10 + puts).Seconds())
	r.seconds("rsync to the local disk", local)
	r.seconds("the puts alone, by the bare client", puts)
	if err != nil {
		return r, err
	}
	counts, err := b.counts()
	r.add("puts", float64(counts.Counts["PutObject"]), "")
	return r, err
}

func writeEdit(b *bench) (r result, err error) {
	if err := b.seed(seed{File: "large%d", Files: 1, Size: gib / 2, Meta: true}); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	r, d, n, err := b.measured(m, func() (time.Duration, error) {
		return b.shell(m.dir, "printf abc | dd of=large0 bs=1 seek=300000000 conv=notrunc,fsync status=none")
	})
	if err != nil {
		return r, err
	}
	counts, err := b.counts()
	r.seconds("time", d).atMost(0.5)
	r.add("requests", float64(n), "")
	r.add("parts sent", float64(counts.Counts["UploadPart"]), "").atMost(1)
	r.add("fetched", float64(counts.Out)/(1<<20), "MiB").atMost(32)
	return r, err
}

func writeUntar(b *bench) (r result, err error) {
	if _, err := b.shell(b.tmp, "mkdir t && cd t && for d in $(seq 100); do mkdir d$d; for i in $(seq 200); do echo $d $i >d$d/f$i; done; done && cd .. && tar cf small.tar t"); err != nil {
		return r, err
	}
	m, err := b.slowMount("state")
	if err != nil {
		return r, err
	}
	defer m.end(&err)
	r, d, err := b.thenFlush(m, fmt.Sprintf("tar xf %s", filepath.Join(b.tmp, "small.tar")))
	r.seconds("time", d).atMost(10)
	return r, err
}
