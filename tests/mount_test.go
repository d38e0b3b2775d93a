package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/tests/onefile"
)

func TestMain(m *testing.M) {
	harness.Main(m, goleak.Find, harness.Jobs{onefile.WorkJob: onefile.Work, onefile.ReaderJob: onefile.Read})
}

// must fails the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErrno fails the test unless err is errno.
func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// wantFile compares a file of the mount.
func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	wantBytes(t, path, got, want)
}

func wantBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: got %d bytes, want %d; they differ at %d", what, len(got), len(want), at)
}

// wantObject compares what the bucket has, bytes and stored mode.
func wantObject(t *testing.T, b *harness.Bed, key string, want []byte) {
	t.Helper()
	o, body := b.Object(key)
	wantBytes(t, "object "+key, body, want)
	if o.Header.Get("x-oss-meta-mode") == "" {
		t.Errorf("object %s carries no mode", key)
	}
}

// wantEverywhere looks at a file through the mount, in the bucket after a flush, and through a new mount that
// remembers nothing.
func wantEverywhere(t *testing.T, b *harness.Bed, name string, want []byte) {
	t.Helper()
	wantFile(t, b.Path(name), want)
	b.Flush()
	wantObject(t, b, name, want)
	wantFile(t, b.Path(name), want)
	b.Afresh()
	wantFile(t, b.Path(name), want)
	st, err := os.Stat(b.Path(name))
	must(t, err)
	if st.Size() != int64(len(want)) {
		t.Errorf("%s: stat says %d bytes, want %d", name, st.Size(), len(want))
	}
}

// noise is size bytes that do not repeat, the same for the same seed.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	p := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(p) // it never fails
	return p
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", dir, got, want)
	}
}

func TestCreateAndRead(t *testing.T) {
	sizes := []int{0, 1, 4095, 4096, 4097, 1<<20 + 1, 20 << 20}
	b := harness.New(t)
	for _, size := range sizes {
		must(t, os.WriteFile(b.Path(strconv.Itoa(size)), noise(1, size), 0o640))
	}
	b.Flush()
	for _, size := range sizes {
		wantObject(t, b, strconv.Itoa(size), noise(1, size))
	}
	b.Afresh()
	for _, size := range sizes {
		wantFile(t, b.Path(strconv.Itoa(size)), noise(1, size))
	}
	o, _ := b.Object("4096")
	if got, want := o.Header.Get("x-oss-meta-mode"), strconv.Itoa(syscall.S_IFREG|0o640); got != want {
		t.Errorf("stored mode: got %s, want %s", got, want)
	}
}

func TestPreadAnywhere(t *testing.T) {
	b := harness.New(t)
	want := noise(2, 3<<20+17)
	must(t, os.WriteFile(b.Path("f"), want, 0o644))
	check := func(state string) {
		f, err := os.Open(b.Path("f"))
		must(t, err)
		defer f.Close()
		for _, off := range []int64{3 << 20, 0, 1<<20 - 1, 5, 2 << 20, 3<<20 + 16} {
			p := make([]byte, 70_000)
			n, err := f.ReadAt(p, off)
			if err != nil && err != io.EOF {
				t.Fatalf("%s, at %d: %v", state, off, err)
			}
			wantBytes(t, fmt.Sprintf("%s, at %d", state, off), p[:n], want[off:min(off+70_000, int64(len(want)))])
		}
		if n, err := f.ReadAt(make([]byte, 10), int64(len(want))); n != 0 || err != io.EOF {
			t.Errorf("%s, at the end: got %d, %v, want 0, EOF", state, n, err)
		}
	}
	check("staged")
	b.Flush()
	check("sent")
	b.Afresh()
	check("clean")
}

func TestWriteAnywhere(t *testing.T) {
	b := harness.New(t)
	want := noise(3, 1<<20)
	must(t, os.WriteFile(b.Path("f"), want, 0o644))
	edit := func(off int64, p []byte) {
		f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(p, off)
		must(t, err)
		got := make([]byte, len(p)+200)
		n, err := f.ReadAt(got, max(off-100, 0))
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if end := int(off) + len(p); end > len(want) {
			want = append(want, make([]byte, end-len(want))...)
		}
		copy(want[off:], p)
		wantBytes(t, "around the edit", got[:n], want[max(off-100, 0):][:n])
		must(t, f.Close())
	}
	edit(100, []byte("staged"))
	wantFile(t, b.Path("f"), want)
	b.Afresh()
	edit(500_000, []byte("an edit of what the bucket has"))
	wantFile(t, b.Path("f"), want)
	edit(0, []byte("start"))
	edit(2<<20, []byte("far behind the end"))
	wantEverywhere(t, b, "f", want)
}

func TestAppend(t *testing.T) {
	b := harness.New(t)
	var want []byte
	for i := range 5 {
		f, err := os.OpenFile(b.Path("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		must(t, err)
		line := fmt.Appendf(nil, "line %d\n", i)
		_, err = f.Write(line)
		must(t, err)
		must(t, f.Close())
		want = append(want, line...)
		switch i {
		case 1:
			b.Flush()
		case 3:
			b.Afresh()
		}
		wantFile(t, b.Path("log"), want)
	}
	wantEverywhere(t, b, "log", want)
}

func TestTruncate(t *testing.T) {
	for _, state := range []string{"staged", "in the bucket"} {
		for _, size := range []int64{0, 1, 1000, 300_000, 700_000} {
			for _, how := range []string{"by name", "by descriptor"} {
				t.Run(fmt.Sprintf("%s to %d %s", state, size, how), func(t *testing.T) {
					b := harness.New(t)
					content := noise(4, 300_001)
					must(t, os.WriteFile(b.Path("f"), content, 0o644))
					if state == "in the bucket" {
						b.Afresh()
					}
					if how == "by name" {
						must(t, os.Truncate(b.Path("f"), size))
					} else {
						f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
						must(t, err)
						must(t, f.Truncate(size))
						must(t, f.Close())
					}
					want := make([]byte, size)
					copy(want, content)
					wantEverywhere(t, b, "f", want)
				})
			}
		}
	}
}

// Bytes that were cut off must not come back when the file grows again.
func TestTruncateDownAndUp(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), bytes.Repeat([]byte("x"), 10_000), 0o644))
	b.Afresh()
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
	must(t, err)
	must(t, f.Truncate(10))
	must(t, f.Truncate(10_000))
	must(t, f.Close())
	want := make([]byte, 10_000)
	copy(want, "xxxxxxxxxx")
	wantEverywhere(t, b, "f", want)
}

func TestOpenTruncates(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), noise(5, 100_000), 0o644))
	b.Afresh()
	reader, err := os.Open(b.Path("f"))
	must(t, err)
	defer reader.Close()
	must(t, os.WriteFile(b.Path("f"), []byte("short"), 0o644))
	got, err := io.ReadAll(reader)
	must(t, err)
	wantBytes(t, "the handle that was open before", got, []byte("short"))
	must(t, reader.Close())
	wantEverywhere(t, b, "f", []byte("short"))
}

func TestExclusiveCreate(t *testing.T) {
	b := harness.New(t)
	f, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	must(t, err)
	must(t, f.Close())
	check := func(state string) {
		_, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		wantErrno(t, state, err, syscall.EEXIST)
	}
	check("staged")
	b.Flush()
	check("sent")
	b.Afresh()
	check("clean")
}

// SEMANTICS 6.4
func TestUnlinkedFileGoesOn(t *testing.T) {
	for _, state := range []string{"staged", "clean"} {
		t.Run(state, func(t *testing.T) {
			b := harness.New(t)
			content := noise(6, 50_000)
			must(t, os.WriteFile(b.Path("f"), content, 0o644))
			if state == "clean" {
				b.Afresh()
			}
			f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			reader, err := os.Open(b.Path("f"))
			must(t, err)
			defer reader.Close()
			must(t, os.Remove(b.Path("f")))
			_, err = os.Stat(b.Path("f"))
			wantErrno(t, "stat after unlink", err, syscall.ENOENT)
			var st syscall.Stat_t
			must(t, syscall.Fstat(int(f.Fd()), &st))
			if st.Nlink != 0 || st.Size != 50_000 {
				t.Errorf("fstat: got %d links and %d bytes, want 0 and 50000", st.Nlink, st.Size)
			}
			_, err = f.WriteAt([]byte("after the unlink"), 20_000)
			must(t, err)
			copy(content[20_000:], "after the unlink")
			got := make([]byte, 50_000)
			_, err = f.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, "through the writer", got, content)
			_, err = reader.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, "through the reader", got, content)
			must(t, f.Truncate(5))
			must(t, f.Sync())
			must(t, os.WriteFile(b.Path("f"), []byte("another file of the name"), 0o644))
			must(t, f.Close())
			must(t, reader.Close())
			wantEverywhere(t, b, "f", []byte("another file of the name"))
		})
	}
}

// So does a file of which parts were sent and have left the stage, when it is removed, and when another takes its name.
// SEMANTICS 1.13, 6.4
func TestUnlinkedFilePassingGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		delay time.Duration
		gone  func(t *testing.T, b *harness.Bed)
	}{
		"removed": {time.Millisecond, func(t *testing.T, b *harness.Bed) {
			there := func() bool { _, there := b.Server.Object(harness.Bucket, "other"); return there }
			harness.Eventually(t, "the other file is sent", there)
			must(t, os.Remove(b.Path("f")))
			must(t, os.Remove(b.Path("other")))
			harness.Eventually(t, "what was removed later is deleted", func() bool { return !there() })
		}},
		"replaced": {time.Hour, func(t *testing.T, b *harness.Bed) { must(t, os.Rename(b.Path("other"), b.Path("f"))) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := harness.New(t, func(o *fsOptions) { o.SinglePut, o.Young, o.WriteBack = 1<<20, time.Hour, test.delay })
			must(t, os.WriteFile(b.Path("other"), []byte("another file"), 0o644))
			content := noise(8, 48<<20)
			f, err := os.OpenFile(b.Path("f"), os.O_WRONLY|os.O_CREATE, 0o644)
			must(t, err)
			defer f.Close()
			reader, err := os.Open(b.Path("f"))
			must(t, err)
			defer reader.Close()
			for at := 0; at < len(content); at += 1 << 20 {
				_, err = f.Write(content[at : at+1<<20])
				must(t, err)
			}
			harness.Eventually(t, "a part has left the stage", func() bool { return b.Mount.Status().Writeback.StageUsed < int64(len(content)) })
			test.gone(t, b)
			got := make([]byte, len(content))
			_, err = reader.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, "afterwards", got, content)
			must(t, f.Close())
			must(t, reader.Close())
			b.Flush()
			if _, there := b.Server.Object(harness.Bucket, "f"); there != (name == "replaced") {
				t.Errorf("the object is there: %v", there)
			} else if there {
				wantEverywhere(t, b, "f", []byte("another file"))
			}
			harness.Eventually(t, "no upload is left", func() bool { return len(b.Server.Uploads(harness.Bucket)) == 0 })
		})
	}
}

// A file that is only read goes on too, and the object is deleted in the end.
// SEMANTICS 6.4
func TestUnlinkedCleanFileIsRead(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.WriteBack = time.Millisecond })
	content := noise(7, 3<<20)
	must(t, os.WriteFile(b.Path("f"), content, 0o644))
	b.Afresh()
	f, err := os.Open(b.Path("f"))
	must(t, err)
	got := make([]byte, len(content))
	_, err = f.ReadAt(got[:100], 0)
	must(t, err)
	must(t, os.Remove(b.Path("f")))
	_, err = f.ReadAt(got, 0)
	must(t, err)
	wantBytes(t, "after the unlink", got, content)
	must(t, f.Close())
	b.Flush()
	if _, ok := b.Server.Object(harness.Bucket, "f"); ok {
		t.Error("the object is still in the bucket")
	}
}

func TestSparseFile(t *testing.T) {
	b := harness.New(t)
	f, err := os.Create(b.Path("f"))
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 5<<20)
	must(t, err)
	if off, err := f.Seek(0, 4); err != nil || off != 5<<20+3 { // SEEK_HOLE
		t.Errorf("SEEK_HOLE: got %d, %v, want %d", off, err, 5<<20+3)
	}
	if off, err := f.Seek(10, 3); err != nil || off != 10 { // SEEK_DATA
		t.Errorf("SEEK_DATA: got %d, %v, want 10", off, err)
	}
	_, err = f.Seek(5<<20+3, 3)
	wantErrno(t, "SEEK_DATA at the end", err, syscall.ENXIO)
	must(t, f.Close())
	want := make([]byte, 5<<20+3)
	copy(want[5<<20:], "end")
	wantEverywhere(t, b, "f", want)
}

func TestCopyFileRange(t *testing.T) {
	b := harness.New(t)
	content := noise(8, 2<<20)
	must(t, os.WriteFile(b.Path("from"), content, 0o644))
	b.Afresh()
	from, err := os.Open(b.Path("from"))
	must(t, err)
	defer from.Close()
	to, err := os.Create(b.Path("to"))
	must(t, err)
	n, err := to.ReadFrom(from) // os.File uses copy_file_range
	must(t, err)
	if n != 2<<20 {
		t.Errorf("copied %d bytes, want %d", n, 2<<20)
	}
	must(t, to.Close())
	must(t, from.Close())
	wantEverywhere(t, b, "to", content)
}

func TestDirectIO(t *testing.T) {
	b := harness.New(t)
	content := noise(9, 1<<20)
	f, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_RDWR|syscall.O_DIRECT, 0o644)
	must(t, err)
	p := aligned(1 << 20)
	copy(p, content)
	_, err = f.WriteAt(p, 0)
	must(t, err)
	clear(p)
	_, err = f.ReadAt(p, 0)
	must(t, err)
	wantBytes(t, "O_DIRECT", p, content)
	must(t, f.Close())
	wantEverywhere(t, b, "f", content)
}

func TestManyFilesInManyDirectories(t *testing.T) {
	b := harness.New(t)
	for i := range 10 {
		must(t, os.MkdirAll(b.Path("d", strconv.Itoa(i)), 0o755))
		for j := range 20 {
			must(t, os.WriteFile(b.Path("d", strconv.Itoa(i), strconv.Itoa(j)), noise(uint64(i*100+j), 100), 0o644))
		}
	}
	b.Afresh()
	count := 0
	must(t, filepath.WalkDir(b.Path("d"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			count++
		}
		return err
	}))
	if count != 200 {
		t.Errorf("found %d files, want 200", count)
	}
}

// Of a file that is removed while it is only written, nothing is completed, and no upload is left.
// SEMANTICS 1.6
func TestUnlinkedFilePassingIsGivenUp(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.SinglePut, o.Young = 1<<20, time.Hour })
	f, err := os.Create(b.Path("f"))
	must(t, err)
	must(t, f.Close())
	f, err = os.OpenFile(b.Path("f"), os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	piece := noise(9, 1<<20)
	write := func(n int) {
		for range n {
			_, err := f.Write(piece)
			must(t, err)
		}
	}
	write(48)
	harness.Eventually(t, "a part has left the stage", func() bool { return b.Mount.Status().Writeback.StageUsed < 48<<20 })
	must(t, os.Remove(b.Path("f")))
	write(1)
	must(t, f.Close())
	b.Flush()
	harness.Eventually(t, "no upload is left", func() bool { return len(b.Server.Uploads(harness.Bucket)) == 0 })
	harness.Eventually(t, "the stage is empty", func() bool { return b.Mount.Status().Writeback.StageUsed == 0 })
	if n := b.Server.Counts()["CompleteMultipartUpload"]; n != 0 {
		t.Errorf("%d uploads were completed", n)
	}
}

// Who aborts the upload of a file that is being written takes what has left the stage: fsync says so.
// SEMANTICS 1.13
func TestUploadAbortedByOthers(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.SinglePut, o.Young = 1<<20, time.Hour })
	f, err := os.Create(b.Path("f"))
	must(t, err)
	defer f.Close()
	piece := noise(10, 1<<20)
	for range 48 {
		_, err := f.Write(piece)
		must(t, err)
	}
	harness.Eventually(t, "a part has left the stage", func() bool { return b.Mount.Status().Writeback.StageUsed < 48<<20 })
	client := harness.Client(t, b.Server)
	for _, u := range b.Server.Uploads(harness.Bucket) {
		must(t, client.AbortUpload(t.Context(), ossclient.Key(u.Key), ossclient.UploadID(u.ID)))
	}
	wantErrno(t, "fsync", f.Sync(), syscall.EIO)
	if st := b.Mount.Status().Writeback; st.Failed != 1 {
		t.Errorf("status: %+v, want one that failed", st)
	}
	must(t, f.Close())
	must(t, os.Remove(b.Path("f"))) // nothing of it can be sent
}
