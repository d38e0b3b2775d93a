package onefile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// The other process: it reads a file when it is asked to, and otherwise, when that is wanted, all the time.

// request asks for a file's bytes: how is "read", "mmap" or "direct". Noise: the names are read from now on, over and over.
type request struct {
	Path, How string
	Noise     []string
}

// result is what a file had: the sums of its pages.
type result struct {
	Size  int
	Sums  []uint64
	Errno syscall.Errno
}

// reader is the process.
type reader struct {
	cmd  *exec.Cmd
	in   io.Closer
	ask  *json.Encoder
	hear *json.Decoder
}

func startReader() (*reader, error) {
	cmd, err := harness.Job(context.Background(), ReaderJob)
	if err != nil {
		return nil, err
	}
	in, out, err := harness.Converse(cmd)
	if err != nil {
		return nil, err
	}
	return &reader{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// stop ends the process.
func (r *reader) stop() error { return errors.Join(r.in.Close(), r.cmd.Wait()) }

func (r *reader) do(q request) (result, error) {
	var got result
	if err := r.ask.Encode(q); err != nil {
		return got, err
	}
	return got, r.hear.Decode(&got)
}

// sums are those of each page.
func sums(p []byte) []uint64 {
	var list []uint64
	for ; len(p) > 0; p = p[min(page, len(p)):] {
		list = append(list, harness.Sum(p[:min(page, len(p))]))
	}
	return list
}

// Read is the job of the process.
func Read([]string) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var noise sync.WaitGroup
	stop := make(chan struct{})
	defer func() {
		close(stop)
		noise.Wait()
	}()
	for {
		var q request
		if err := in.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if len(q.Noise) > 0 {
			noise.Go(func() { readOn(q.Noise, stop) })
			if err := out.Encode(result{}); err != nil {
				return err
			}
			continue
		}
		p, err := readWhole(q.Path, q.How)
		got := result{Size: len(p), Sums: sums(p), Errno: harness.Number(err)}
		if err := out.Encode(got); err != nil {
			return err
		}
	}
}

// readOn reads a page here and there until it is stopped.
func readOn(paths []string, stop <-chan struct{}) {
	p := make([]byte, page)
	for n := int64(0); ; n++ {
		for _, path := range paths {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			for at := range int64(16) {
				_, _ = unix.Pread(fd, p, (n*7+at*at)*page%(1<<20)) // others look at what is read
			}
			_ = unix.Close(fd)
		}
		select {
		case <-stop:
			return
		default:
			unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil) // the machine has few processors
		}
	}
}

func readWhole(path, how string) (p []byte, err error) {
	flags := unix.O_RDONLY | unix.O_CLOEXEC
	if how == "direct" {
		flags |= unix.O_DIRECT
	}
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if how == "mmap" {
		return readMapped(fd)
	}
	piece := make([]byte, 256<<10)
	for {
		n, err := unix.Read(fd, piece)
		if err != nil {
			return p, err
		}
		if n == 0 {
			return p, nil
		}
		p = append(p, piece[:n]...)
	}
}

func readMapped(fd int) (p []byte, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size == 0 {
		return nil, err
	}
	area, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	p = make([]byte, st.Size)
	return p, errors.Join(faulty(func() { copy(p, area) })(), unix.Munmap(area))
}

// readElsewhere has the other process read a file.
func (d *driver) readElsewhere() error {
	name := d.existing()
	if name == "" {
		return nil
	}
	how := []string{"read", "mmap", "direct"}[d.r.IntN(3)]
	i, what := d.names[name], fmt.Sprintf("another process reads %s (%s)", name, how)
	var got result
	err := d.call(nil, what, func() (err error) {
		if got, err = d.reader.do(request{Path: d.path(name), How: how}); err == nil && got.Errno != 0 {
			err = got.Errno
		}
		return err
	})
	if err != nil {
		return err
	}
	if int64(got.Size) != i.size() {
		return wrong("%s: got %d bytes, want %d", what, got.Size, i.size())
	}
	for n, sum := range sums(i.content) {
		if got.Sums[n] != sum {
			return wrong("%s: other bytes in the %d from %d on", what, page, n*page)
		}
	}
	return nil
}
