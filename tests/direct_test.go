package tests

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// A file that is open for writing alone is written around the kernel's pages. Who reads it meanwhile through pages
// sees each write that has returned, though pages with older bytes may have been made while it went on.
func TestWritesAroundThePagesAreSeen(t *testing.T) {
	b := harness.New(t)
	const size, rounds = 1 << 20, 300
	w, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_WRONLY, 0o644)
	must(t, err)
	defer w.Close()
	_, err = w.Write(make([]byte, size))
	must(t, err)
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for i := range 2 { // they bring pages back at any moment
		r, err := os.Open(b.Path("f"))
		must(t, err)
		defer r.Close()
		busy.Go(func() {
			p := make([]byte, 1)
			for page := i; ; page += 7 {
				select {
				case <-stop:
					return
				default:
					_, _ = r.ReadAt(p, int64(page*4096%size)) // what it reads is looked at below
				}
			}
		})
	}
	r, err := os.Open(b.Path("f"))
	must(t, err)
	defer r.Close()
	p := make([]byte, size)
	for i := 1; i <= rounds && !t.Failed(); i++ {
		want := bytes.Repeat([]byte{byte(i)}, size)
		_, err := w.WriteAt(want, 0)
		must(t, err)
		_, err = r.ReadAt(p, 0)
		must(t, err)
		wantBytes(t, fmt.Sprintf("write %d had returned", i), p, want)
	}
	close(stop)
	busy.Wait()
}

// Small files that were just written are read from memory, whether the bucket has them by then or not.
func TestSmallFilesAreReadFromMemoryOnceWritten(t *testing.T) {
	b, kernel := observed(t)
	const files = 30
	for i := range files {
		must(t, os.WriteFile(b.Path(fmt.Sprint(i)), noise(uint64(i), 100+i*5000), 0o644))
	}
	harness.Eventually(t, "all files are released", func() bool { return kernel.of("release") == files })
	b.Flush()
	b.Server.ResetCounts()
	for i := range files {
		got, err := os.ReadFile(b.Path(fmt.Sprint(i)))
		must(t, err)
		wantBytes(t, fmt.Sprint(i), got, noise(uint64(i), 100+i*5000))
	}
	if n := kernel.of("read"); n != 0 {
		kernel.errorf("%d READs, want none", n)
	}
	if n := b.Server.Counts()["GetObject"]; n != 0 {
		t.Errorf("%d GetObjects, want none", n)
	}
}

// A small file is given to the kernel when its last writer is done, and not while another may write to it.
func TestSmallFileOfTwoWriters(t *testing.T) {
	b, kernel := observed(t)
	open := func() *os.File {
		f, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_WRONLY, 0o644)
		must(t, err)
		return f
	}
	one, two := open(), open()
	content := noise(6, 50_000)
	for i, f := range []*os.File{one, two} {
		_, err := f.WriteAt(content[i*20_000:], int64(i)*20_000)
		must(t, err)
		must(t, f.Close())
		harness.Eventually(t, "the writer is gone", func() bool { return kernel.of("release") == i+1 })
		copy(content[20_000:], noise(7, 30_000))
	}
	wantFile(t, b.Path("f"), content)
	if n := kernel.of("read"); n != 0 {
		kernel.errorf("%d READs, want none", n)
	}
}

// A written file of which the kernel was given nothing, since it is large or only a part of it is here, is written around
// the pages when it is opened for writing again: what then was written is not found in them.
func TestFileThatWasNotHandedOverIsWrittenAroundThePages(t *testing.T) {
	const page = 4096
	tests := []struct {
		name string
		size int
		make func(t *testing.T, b *harness.Bed, content []byte)
	}{
		{"large", 2 << 20, func(t *testing.T, b *harness.Bed, content []byte) {
			must(t, os.WriteFile(b.Path("f"), content, 0o644))
		}},
		{"an edit", 300 << 10, func(t *testing.T, b *harness.Bed, content []byte) {
			must(t, b.Server.Put(harness.Bucket, "f", content, nil))
			overwrite(t, b.Path("f"), content[:page], 0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, kernel := observed(t)
			content := noise(4, tt.size)
			tt.make(t, b, content)
			harness.Eventually(t, "the file is released", func() bool { return kernel.of("release") == 1 })
			copy(content[page:], noise(5, page))
			overwrite(t, b.Path("f"), content[page:2*page], page)
			f, err := os.Open(b.Path("f"))
			must(t, err)
			defer f.Close()
			before := kernel.of("read")
			got := make([]byte, page)
			_, err = f.ReadAt(got, page)
			must(t, err)
			wantBytes(t, "the second page", got, content[page:2*page])
			if kernel.of("read") == before {
				t.Error("the kernel had the page that was just written")
			}
		})
	}
}

// A file that is sent while it is open for writing keeps its pages: what a program is just writing may be in them alone.
// SEMANTICS 2.3
func TestFileThatIsSentWhileItIsOpenKeepsItsPages(t *testing.T) {
	b, kernel := observed(t)
	content := noise(8, 300<<10)
	w, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	defer w.Close()
	_, err = w.Write(content)
	must(t, err)
	b.Flush()
	before := kernel.of("read")
	r, err := os.Open(b.Path("f"))
	must(t, err)
	defer r.Close()
	got := make([]byte, len(content)) // and no byte more: Linux before 5.12 asks for the page behind the end
	_, err = r.ReadAt(got, 0)
	must(t, err)
	wantBytes(t, "what another opens", got, content)
	if kernel.of("read") != before {
		kernel.errorf("the kernel had dropped its pages")
	}
}

// A file that somebody has open for reading keeps its pages when it is emptied, and is written through them.
func TestEmptiedFileThatIsReadIsWrittenThroughThePages(t *testing.T) {
	b, kernel := observed(t)
	content := noise(4, 2<<20)
	must(t, os.WriteFile(b.Path("f"), noise(3, 2<<20), 0o644))
	reader, err := os.Open(b.Path("f"))
	must(t, err)
	defer reader.Close()
	must(t, os.WriteFile(b.Path("f"), content, 0o644))
	before := kernel.of("read")
	got := make([]byte, len(content))
	_, err = reader.ReadAt(got, 0)
	must(t, err)
	wantBytes(t, "what was written", got, content)
	if kernel.of("read") != before {
		kernel.errorf("the kernel has no page of what was written")
	}
}

// A file that is open for O_DIRECT reading may be mapped, which makes pages: it is not written around them.
func TestFileThatMayBeMappedIsWrittenThroughThePages(t *testing.T) {
	const page = 4096
	b, kernel := observed(t)
	content := noise(4, 2<<20)
	must(t, os.WriteFile(b.Path("f"), content, 0o644))
	direct, err := os.OpenFile(b.Path("f"), os.O_RDONLY|unix.O_DIRECT, 0)
	must(t, err)
	defer direct.Close()
	overwrite(t, b.Path("f"), content[:page], page)
	before := kernel.of("read")
	f, err := os.Open(b.Path("f"))
	must(t, err)
	defer f.Close()
	got := make([]byte, page)
	_, err = f.ReadAt(got, page)
	must(t, err)
	wantBytes(t, "what was written", got, content[:page])
	if kernel.of("read") != before {
		kernel.errorf("the kernel has no page of what was written")
	}
}

// overwrite writes bytes into a file that is there, opened for writing alone.
func overwrite(t *testing.T, path string, p []byte, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(p, off)
	must(t, err)
	must(t, f.Close())
}

// A file that is emptied when it is opened has no pages left, and is written around them as a new one is.
func TestEmptiedFileIsWrittenAroundThePages(t *testing.T) {
	b, kernel := observed(t)
	must(t, os.WriteFile(b.Path("f"), noise(1, 50_000), 0o644))
	got, err := os.ReadFile(b.Path("f"))
	must(t, err)
	wantBytes(t, "at first", got, noise(1, 50_000))
	for i, size := range []int{70_000, 20_000, 3 << 20, 1} {
		want := noise(uint64(10+i), size)
		must(t, os.WriteFile(b.Path("f"), want, 0o644))
		before := kernel.of("read")
		got, err := os.ReadFile(b.Path("f"))
		must(t, err)
		wantBytes(t, fmt.Sprintf("%d bytes", size), got, want)
		if size > 1<<20 && kernel.of("read") == before { // more than it is given afterwards
			t.Errorf("the kernel had the %d bytes that were written", size)
		}
	}
	wantEverywhere(t, b, "f", noise(13, 1))
}

// A file that is open with O_DIRECT can be mapped, and what is written through the mapping is the file's.
func TestMmapOfADirectFile(t *testing.T) {
	if kernelBefore(t, 6, 6) {
		t.Skip("FUSE_DIRECT_IO_ALLOW_MMAP came with Linux 6.6")
	}
	b := harness.New(t)
	content := noise(3, 350<<10)
	must(t, os.WriteFile(b.Path("f"), content, 0o644))
	harness.Helper(t, "mmap-shared", b.Path("f"), "by a mapping", "direct")
	for off := 0; off < len(content); off += 100 << 10 {
		copy(content[off:], "by a mapping")
	}
	wantEverywhere(t, b, "f", content)
}
