package tests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
)

// requests counts what the kernel asks of a mount, by name.
type requests struct {
	*caches
	mu sync.Mutex // guards n
	n  map[string]int
}

func (r *requests) count(op fs.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[op.Name]++
}

func (r *requests) of(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[name]
}

// observed is a bed whose kernel's requests are counted.
func observed(t *testing.T) (*harness.Bed, *requests) {
	r := &requests{caches: cachesOf(t), n: map[string]int{}}
	return harness.New(t, func(o *fsOptions) { o.Observer = r.count }), r
}

// The files of a directory that are read in order are fetched ahead, and handed to the kernel when they are
// opened: each costs one GET and, once that is under way, neither a READ nor a GETATTR. ls and stat fetch nothing.
func TestSmallFilesInOrder(t *testing.T) {
	b, kernel := observed(t)
	const files = 200
	for i := range files {
		must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("d/%03d", i), noise(uint64(i), 10_000), nil))
	}
	b.Server.ResetCounts()
	for _, name := range names(t, b.Path("d")) {
		_, err := os.Stat(b.Path("d", name))
		must(t, err)
	}
	if n := b.Server.Counts()["GetObject"]; n != 0 {
		t.Errorf("ls and stat sent %d GETs", n)
	}
	for range 2 { // the second time from the page cache
		for i := range files {
			wantFile(t, b.Path("d", fmt.Sprintf("%03d", i)), noise(uint64(i), 10_000))
		}
	}
	if n := b.Server.Counts()["GetObject"]; n != files {
		t.Errorf("%d GETs for %d files", n, files)
	}
	if n := kernel.of("read"); n > files*3/4 {
		kernel.errorf("%d READs for %d files: what is there already was not handed over", n, files)
	}
}

// So are those that consist of several blocks: each block has its place.
func TestFilesOfSeveralBlocksInOrder(t *testing.T) {
	b, kernel := observed(t)
	const files, size = 40, 300_000
	for i := range files {
		must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("d/%03d", i), noise(uint64(i), size), nil))
	}
	wholly := 0 // handed over
	for _, name := range names(t, b.Path("d")) {
		i, err := strconv.Atoi(name)
		must(t, err)
		before := kernel.of("read")
		wantFile(t, b.Path("d", name), noise(uint64(i), size))
		if kernel.of("read") == before {
			wholly++
		}
	}
	if wholly == 0 {
		t.Error("no file was handed over, and this test tests nothing")
	}
}

// The kernel keeps the pages of a file across opens as long as the object is the same, and no longer.
// SEMANTICS 2.4
func TestPagesAreKept(t *testing.T) {
	b, kernel := observed(t)
	must(t, b.Server.Put(harness.Bucket, "f", noise(5, 3<<20), nil))
	wantNames(t, b.Dir, "f")
	wantFile(t, b.Path("f"), noise(5, 3<<20))
	before := kernel.of("read")
	if before == 0 {
		t.Fatal("the kernel read nothing: there is nothing to be seen here")
	}
	for range 3 {
		wantFile(t, b.Path("f"), noise(5, 3<<20))
	}
	if n := kernel.of("read"); n != before {
		kernel.errorf("%d READs of what the kernel has", n-before)
	}
	must(t, b.Server.Put(harness.Bucket, "f", noise(6, 3<<20), nil))
	harness.Eventually(t, "another object of the name", func() bool {
		must(t, b.Mount.Refresh(t.Context(), "")) // it tells the kernel, soon
		got, err := os.ReadFile(b.Path("f"))
		return err == nil && bytes.Equal(got, noise(6, 3<<20))
	})
	if n := kernel.of("read"); n == before {
		t.Error("another object of the name was not read")
	}
}

// Streams are read ahead whatever way they are read: each costs its bytes once, in few GETs.
func TestStreamsOfEveryKind(t *testing.T) {
	const size = 16 << 20
	want := noise(57, size)
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, want, 0o644))
	for name, read := range map[string]func(t *testing.T, path string){
		"buffered": func(t *testing.T, path string) { wantFile(t, path, want) },
		"mapped":   func(t *testing.T, path string) { harness.Helper(t, "mmap-read", path, plain) },
		"direct": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
			must(t, err)
			defer f.Close()
			got := aligned(size)
			for off := 0; off < size; off += 256 << 10 {
				_, err := f.ReadAt(got[off:off+256<<10], int64(off))
				must(t, err)
			}
			wantBytes(t, path, got, want)
		},
		"backwards": func(t *testing.T, path string) {
			f, err := os.Open(path)
			must(t, err)
			defer f.Close()
			got := make([]byte, size)
			for off := size - 256<<10; off >= 0; off -= 256 << 10 {
				_, err := f.ReadAt(got[off:off+256<<10], int64(off))
				must(t, err)
			}
			wantBytes(t, path, got, want)
		},
		"by turns": func(t *testing.T, path string) {
			f, err := os.Open(path)
			must(t, err)
			defer f.Close()
			got := make([]byte, size)
			for off := 0; off < size/2; off += 256 << 10 {
				for _, at := range []int{off, size/2 + off} {
					_, err := f.ReadAt(got[at:at+256<<10], int64(at))
					must(t, err)
				}
			}
			wantBytes(t, path, got, want)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := harness.New(t)
			must(t, b.Server.Put(harness.Bucket, "f", want, nil))
			read(t, b.Path("f"))
			gets := b.Server.Counts()["GetObject"]
			most := int64(size * 9 / 8)
			if name == "by turns" { // the first jump gives up what is on its way
				most += 8 << 20
			}
			if _, sent := b.Server.Bytes(); sent > most || gets > 64 {
				t.Errorf("%d GETs of %d bytes for %d", gets, sent, size)
			}
		})
	}
}

// Random reading again and again ends with the whole file in the page cache, fetched about once.
func TestRandomReadsEndInThePageCache(t *testing.T) {
	b, kernel := observed(t)
	const size = 32 << 20
	want := noise(50, size)
	must(t, b.Server.Put(harness.Bucket, "f", want, nil))
	_, before := b.Server.Bytes()
	f, err := os.Open(b.Path("f"))
	must(t, err)
	defer f.Close()
	pass := func(reads int) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 50))
				p := make([]byte, 4096)
				for range reads {
					off := rnd.Int64N(size/4096) * 4096
					_, err := f.ReadAt(p, off)
					if err != nil || !bytes.Equal(p, want[off:off+4096]) {
						t.Errorf("at %d: wrong bytes, or %v", off, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	pass(4000)
	reads := kernel.of("read")
	pass(4000)
	if n := kernel.of("read") - reads; n > 100 {
		kernel.errorf("%d READs for a file that the kernel should have", n)
	}
	if _, after := b.Server.Bytes(); after-before > size*5/4 {
		t.Errorf("%d bytes fetched of %d", after-before, size)
	}
}

// Pages that the kernel is given early never cover what is written meanwhile, nor what a truncate took.
func TestGivenPagesDoNotCoverWrites(t *testing.T) {
	b := harness.New(t)
	const size, stretch = 32 << 20, 64 << 10
	old, fresh := noise(51, size), noise(52, size)
	const rounds = 3
	for round := range rounds {
		must(t, b.Server.Put(harness.Bucket, fmt.Sprint("f", round), old, nil))
	}
	b.Server.SetBandwidth(16 << 20) // the whole file takes a while, and the writer comes in the middle of it
	for round := range rounds {
		name := fmt.Sprint("f", round)
		r, err := os.Open(b.Path(name))
		must(t, err)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(round)))
				p := make([]byte, 4096)
				for range 100 {
					_, _ = r.ReadAt(p, rnd.Int64N(size/4096)*4096) // what it finds is looked at below
				}
			})
		}
		before := b.Mount.Status().Reads.Fetched
		harness.Eventually(t, "a third of the file", func() bool { return b.Mount.Status().Reads.Fetched > before+size/3 })
		w, err := os.OpenFile(b.Path(name), os.O_RDWR, 0)
		must(t, err)
		want := bytes.Clone(old)
		for off := 0; off < size; off += 4 * stretch {
			_, err := w.WriteAt(fresh[off:off+stretch], int64(off))
			must(t, err)
			copy(want[off:], fresh[off:off+stretch])
		}
		must(t, w.Truncate(size-stretch/2-7))
		must(t, w.Truncate(size))
		clear(want[size-stretch/2-7:])
		wg.Wait()
		harness.Eventually(t, "the end of the sweep", func() bool { return b.Mount.Status().Reads.InFlight == 0 })
		got := make([]byte, size)
		_, err = r.ReadAt(got, 0)
		must(t, err)
		wantBytes(t, name+" through the reader", got, want)
		wantFile(t, b.Path(name), want)
		must(t, w.Close())
		must(t, r.Close())
	}
}

// SEMANTICS 2.1: a handle reads bytes of the version that it opened, or ESTALE, which the log tells of; a fresh open
// sees the new version and no byte of the old one, though the kernel was being given pages of it.
func TestReplacedWhileReadAtRandom(t *testing.T) {
	var log lockedBuffer
	b := harness.New(t, func(o *fsOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	const size = 8 << 20
	body := [2][]byte{noise(53, size), noise(54, size)}
	must(t, b.Server.Put(harness.Bucket, "f", body[0], nil))
	stale := 0
	for round := range 10 {
		old, next := body[round%2], body[(round+1)%2]
		f, err := os.Open(b.Path("f"))
		must(t, err)
		rnd := rand.New(rand.NewPCG(1, uint64(round)))
		p := make([]byte, 4096)
		for i := range 400 {
			if i == 20*(round+1) {
				must(t, b.Server.Put(harness.Bucket, "f", next, nil))
			}
			off := rnd.Int64N(size/4096) * 4096
			_, err := f.ReadAt(p, off)
			if err != nil {
				wantErrno(t, "the old handle", err, syscall.ESTALE)
				stale++
				break
			}
			if !bytes.Equal(p, old[off:off+4096]) {
				t.Fatalf("round %d: the old handle read bytes of another version at %d", round, off)
			}
		}
		must(t, f.Close())
		must(t, b.Mount.Refresh(t.Context(), "")) // where no read found out
		wantFile(t, b.Path("f"), next)
	}
	if stale == 0 || !strings.Contains(log.String(), "replaced") {
		t.Errorf("%d handles became stale, and the log says %q", stale, log.String())
	}
}

// lockedBuffer takes a log from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// SEMANTICS 2.2: a whole file whose CRC-64 is not the object's is EIO, and neither we nor the kernel keep a byte of it.
func TestCorruptFileIsNotKept(t *testing.T) {
	for _, size := range []int{10_000, 5 << 20} {
		b := harness.New(t)
		want := noise(55, size)
		must(t, b.Server.Put(harness.Bucket, "f", want, nil))
		b.Server.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.FlipBit})
		_, err := os.ReadFile(b.Path("f"))
		wantErrno(t, fmt.Sprintf("%d bytes, one of them wrong", size), err, syscall.EIO)
		b.Server.SetFaults()
		wantFile(t, b.Path("f"), want)
	}
}

// SEMANTICS 2.1, 2.2: a file of which a wrong byte came is replaced. Who had it open before sees no byte of the new version.
func TestCorruptFileIsReplaced(t *testing.T) {
	for _, size := range []int{10_000, 5 << 20} {
		b := harness.New(t)
		must(t, b.Server.Put(harness.Bucket, "f", noise(55, size), nil))
		other, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
		must(t, err)
		defer other.Close()
		b.Server.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.FlipBit})
		_, err = os.ReadFile(b.Path("f"))
		wantErrno(t, "a wrong byte", err, syscall.EIO)
		b.Server.SetFaults()
		next := noise(56, size)
		must(t, b.Server.Put(harness.Bucket, "f", next, nil))
		must(t, b.Mount.Refresh(t.Context(), ""))
		_, err = os.Stat(b.Path("f"))
		must(t, err)
		_, err = other.ReadAt(make([]byte, 100), 0)
		wantErrno(t, "a read through the old handle", err, syscall.ESTALE)
		_, err = other.WriteAt([]byte("old"), 10)
		wantErrno(t, "a write through it", err, syscall.ESTALE)
		wantFile(t, b.Path("f"), next)
	}
}

// An interrupted read returns EINTR while its GET hangs, and who is killed in one dies at once.
func TestInterruptedRead(t *testing.T) {
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "f", noise(56, 1<<20), nil))
	b.Server.SetFaults(ossserver.Fault{Op: "GetObject", Kind: ossserver.Stall})
	f, err := os.OpenFile(b.Path("f"), os.O_RDONLY|syscall.O_DIRECT, 0)
	must(t, err)
	defer f.Close()
	thread, result := make(chan int), make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		_, err := unix.Pread(int(f.Fd()), make([]byte, 4096), 124<<10) // a stalled answer stops in its middle
		result <- err
	}()
	tid := <-thread
	harness.Eventually(t, "the GET that hangs", func() bool { return b.Server.Counts()["GetObject"] > 0 })
	must(t, unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)) // which Go expects at any time
	wantErrno(t, "the interrupted read", <-result, syscall.EINTR)

	cat := exec.Command("cat", b.Path("f"))
	cat.Stdout = io.Discard
	must(t, cat.Start())
	harness.Eventually(t, "its GET", func() bool { return b.Server.Counts()["GetObject"] > 1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, cat.Process.Kill())
	died := make(chan error, 1)
	go func() { died <- cat.Wait() }()
	select {
	case <-died:
	case <-ctx.Done():
		t.Error("a killed reader hangs in its read")
	}
	b.Server.SetFaults()
}
