package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
)

// inBucket says whether the bucket has these bytes at key, now.
func inBucket(b *harness.Bed, key string, want string) bool {
	o, ok := b.Server.Object(harness.Bucket, key)
	if !ok {
		return false
	}
	body, err := o.Body()
	return err == nil && string(body) == want
}

// Each way of asking for durability, with what must then be in the bucket. The write-back delay is an
// hour, so nothing else sends it.
func TestDurability(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, b *harness.Bed)
		want bool
	}{
		{"close alone", func(*testing.T, *harness.Bed) {}, false},
		{"fsync", func(t *testing.T, b *harness.Bed) { withFile(t, b.Path("d", "f"), os.O_RDWR, (*os.File).Sync) }, true},
		{"fsync of a descriptor that only reads", func(t *testing.T, b *harness.Bed) {
			withFile(t, b.Path("d", "f"), os.O_RDONLY, (*os.File).Sync)
		}, true},
		{"fdatasync", func(t *testing.T, b *harness.Bed) {
			withFile(t, b.Path("d", "f"), os.O_RDWR, func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) })
		}, true},
		{"fsync of the directory", func(t *testing.T, b *harness.Bed) {
			withFile(t, b.Path("d"), os.O_RDONLY, (*os.File).Sync)
		}, true},
		{"fsync of the root", func(t *testing.T, b *harness.Bed) {
			withFile(t, b.Dir, os.O_RDONLY, (*os.File).Sync)
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := harness.New(t)
			must(t, os.Mkdir(b.Path("d"), 0o755))
			must(t, os.WriteFile(b.Path("d", "f"), []byte("content"), 0o644))
			must(t, os.WriteFile(b.Path("other"), []byte("content"), 0o644))
			tt.do(t, b)
			if got := inBucket(b, "d/f", "content"); got != tt.want {
				t.Errorf("in the bucket: got %v, want %v; it has %q", got, tt.want, b.Server.Keys(harness.Bucket))
			}
			if strings.Contains(tt.name, "root") {
				return
			}
			if inBucket(b, "other", "content") {
				t.Error("a file that nobody asked for was sent too")
			}
		})
	}
}

func withFile(t *testing.T, path string, flags int, do func(*os.File) error) {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	must(t, err)
	must(t, do(f))
	must(t, f.Close())
}

// O_SYNC and O_DSYNC: the bucket has each write when it returns. With O_DIRECT nobody but the mount sees to it: the
// kernel, which sends an fsync after a write through its pages, does not.
// SEMANTICS 1.4
func TestSynchronousWrites(t *testing.T) {
	for name, flag := range map[string]int{
		"O_SYNC": syscall.O_SYNC, "O_DSYNC": syscall.O_DSYNC,
		"O_SYNC and O_DIRECT": syscall.O_SYNC | syscall.O_DIRECT, "O_DSYNC and O_DIRECT": syscall.O_DSYNC | syscall.O_DIRECT,
	} {
		t.Run(name, func(t *testing.T) {
			b := harness.New(t)
			f, err := os.OpenFile(b.Path("f"), os.O_CREATE|os.O_WRONLY|flag, 0o644)
			must(t, err)
			defer f.Close()
			for _, want := range []string{"one", "onetwo"} {
				_, err = f.WriteString(want[len(want)-3:])
				must(t, err)
				if !inBucket(b, "f", want) {
					t.Errorf("the bucket does not have %q", want)
				}
			}
		})
	}
}

// fsync of what is not yet closed, and of what was removed.
func TestFsyncOfAnOpenFile(t *testing.T) {
	b := harness.New(t)
	f, err := os.Create(b.Path("f"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("first")
	must(t, err)
	must(t, f.Sync())
	if !inBucket(b, "f", "first") {
		t.Error("the bucket does not have the first write")
	}
	_, err = f.WriteString(", second")
	must(t, err)
	must(t, f.Sync())
	if !inBucket(b, "f", "first, second") {
		t.Error("the bucket does not have the second write")
	}
	must(t, os.Remove(b.Path("f")))
	must(t, f.Sync())
	b.Flush()
	if keys := b.Server.Keys(harness.Bucket); len(keys) != 0 {
		t.Errorf("left in the bucket: %q", keys)
	}
}

// fsync of a directory, the mount's own top included, has what was written to files below it that are still open, and when.
// SEMANTICS 1.3
func TestFsyncOfADirectoryWithOpenFiles(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	for _, dir := range []string{b.Path("d"), b.Dir} {
		f, err := os.Create(b.Path("d", "f"))
		must(t, err)
		defer f.Close()
		_, err = f.WriteString("written before fsync of " + dir)
		must(t, err)
		withFile(t, dir, os.O_RDONLY, (*os.File).Sync)
		if !inBucket(b, "d/f", "written before fsync of "+dir) {
			t.Errorf("fsync of %s: the bucket has %q, and not what was written to d/f", dir, b.Server.Keys(harness.Bucket))
		}
		o, _ := b.Object("d/f")
		st := stat(t, b.Path("d", "f"))
		if got, want := o.Header.Get("X-Oss-Meta-Mtime"), fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec); got != want {
			t.Errorf("fsync of %s: stored with the mtime %s, want %s", dir, got, want)
		}
	}
}

// What happens to a new file within the delay is one PutObject, to its last name and with its last attributes; what it
// replaces, and what is gone by then, is never sent.
// SEMANTICS 1.6
func TestNewFileIsOneRequest(t *testing.T) {
	b := harness.New(t)
	wantNames(t, b.Dir)
	b.Server.ResetCounts()
	must(t, os.WriteFile(b.Path("f"), []byte("replaced"), 0o644))
	must(t, os.WriteFile(b.Path("gone"), []byte("removed"), 0o644))
	must(t, os.WriteFile(b.Path(".f.tmp"), []byte("overwritten"), 0o644))
	must(t, os.WriteFile(b.Path(".f.tmp"), []byte("content"), 0o644))
	must(t, os.Chmod(b.Path(".f.tmp"), 0o640))
	must(t, os.Lchown(b.Path(".f.tmp"), 12, 34))
	when := time.Unix(1_600_000_000, 123_456_789)
	must(t, os.Chtimes(b.Path(".f.tmp"), when, when))
	must(t, os.Rename(b.Path(".f.tmp"), b.Path("f")))
	must(t, os.Remove(b.Path("gone")))
	b.Flush()
	for op, n := range b.Server.Counts() { // what is asked for, is asked because another client may have been there
		if want := map[string]int64{"PutObject": 1}[op]; n != want && op != "HeadObject" && op != "ListObjectsV2" {
			t.Errorf("%s: %d requests, want %d", op, n, want)
		}
	}
	if keys := b.Server.Keys(harness.Bucket); !slices.Equal(keys, []string{"f"}) {
		t.Errorf("the bucket has %q", keys)
	}
	b.Afresh()
	wantFile(t, b.Path("f"), []byte("content"))
	st := stat(t, b.Path("f"))
	if st.Mode != syscall.S_IFREG|0o640 || st.Uid != 12 || st.Gid != 34 || st.Mtim.Nano() != when.UnixNano() {
		t.Errorf("attributes: got mode %o of %d:%d, mtime %v", st.Mode, st.Uid, st.Gid, st.Mtim)
	}
}

// With write-back off, close uploads and gives the outcome.
// SEMANTICS 1.5
func TestWriteThrough(t *testing.T) {
	kernel := &requests{n: map[string]int{}}
	b := harness.New(t, func(o *fsOptions) { o.WriteThrough, o.Observer = true, kernel.count })
	must(t, os.WriteFile(b.Path("f"), []byte("content"), 0o644))
	if !inBucket(b, "f", "content") {
		t.Error("the bucket does not have what was closed")
	}
	b.Server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	f, err := os.Create(b.Path("g"))
	must(t, err)
	_, err = f.WriteString("content")
	must(t, err)
	wantErrno(t, "close of what the bucket refuses", f.Close(), syscall.EACCES)
	harness.Eventually(t, "the end of both files", func() bool { return kernel.of("release") == 2 }) // it sends once more what was refused
	b.Server.SetFaults()
	b.Flush()
	if !inBucket(b, "g", "content") {
		t.Error("what was refused is lost")
	}
}

// What is refused of one open file does not keep a flush from storing the others.
func TestFlushBesideARefusal(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.WriteThrough = true })
	b.Server.SetFaults(ossserver.Fault{Op: "PutObject", KeyPrefix: "refused", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	for _, name := range []string{"a", "refused", "z"} {
		f, err := os.Create(b.Path(name))
		must(t, err)
		defer f.Close()
		_, err = f.WriteString("content")
		must(t, err)
	}
	if err := b.Mount.Flush(t.Context(), "", nil); err == nil {
		t.Error("the refusal is not told")
	}
	if !inBucket(b, "a", "content") || !inBucket(b, "z", "content") {
		t.Error("the bucket does not have what it does not refuse")
	}
	b.Server.SetFaults()
	b.Flush()
	if !inBucket(b, "refused", "content") {
		t.Error("what was refused is lost")
	}
}

// sync_file_range is not told to filesystems like this one: it succeeds, and promises nothing.
// SEMANTICS 1.3
func TestSyncFileRange(t *testing.T) {
	b := harness.New(t)
	withFile(t, makeFile(t, b.Path("f"), "content"), os.O_RDWR, func(f *os.File) error {
		return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	})
	if inBucket(b, "f", "content") {
		t.Error("it was sent: the manual may promise more")
	}
	b.Flush()
	if !inBucket(b, "f", "content") {
		t.Error("the bucket does not have the file after a flush")
	}
}

// With fsync=local the bucket need not have it.
func TestLocalFsync(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.LocalFsync = true })
	withFile(t, makeFile(t, b.Path("f"), "content"), os.O_RDWR, (*os.File).Sync)
	if inBucket(b, "f", "content") {
		t.Error("fsync sent the file")
	}
}

func makeFile(t *testing.T, path, content string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// What was closed is there after a remount, sent or not.
func TestUnsentSurvivesARemount(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o711))
	must(t, os.WriteFile(b.Path("d", "new"), noise(30, 100_000), 0o640))
	must(t, os.WriteFile(b.Path("gone"), []byte("x"), 0o644))
	must(t, os.WriteFile(b.Path("edited"), noise(31, 100_000), 0o644))
	b.Flush()
	must(t, os.Remove(b.Path("gone")))
	want := noise(31, 100_000)
	copy(want[50_000:], "edited")
	withFile(t, b.Path("edited"), os.O_RDWR, func(f *os.File) error { _, err := f.WriteAt([]byte("edited"), 50_000); return err })
	must(t, os.Chmod(b.Path("d", "new"), 0o600))
	must(t, os.Symlink("d/new", b.Path("link")))
	if keys := b.Server.Keys(harness.Bucket); !slices.Equal(keys, []string{"d/", "d/new", "edited", "gone"}) {
		t.Errorf("before the remount the bucket has %q: something was sent", keys)
	}
	b.Remount()
	check := func() {
		wantNames(t, b.Dir, "d", "edited", "link")
		wantFile(t, b.Path("link"), noise(30, 100_000))
		wantFile(t, b.Path("edited"), want)
		if got := stat(t, b.Path("d", "new")).Mode & 0o777; got != 0o600 {
			t.Errorf("mode: got %o, want 600", got)
		}
	}
	check()
	b.Afresh()
	check()
}

func TestMmap(t *testing.T) {
	b := harness.New(t)
	content := noise(32, 3<<20+100)
	must(t, os.WriteFile(b.Path("f"), content, 0o644))
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, content, 0o644))
	harness.Helper(t, "mmap-read", b.Path("f"), plain)
	b.Afresh()
	harness.Helper(t, "mmap-read", b.Path("f"), plain)
	harness.Helper(t, "mmap-private", b.Path("f"))
	wantFile(t, b.Path("f"), content)
	harness.Helper(t, "mmap-shared", b.Path("f"), "shared mapping")
	for off := 0; off < len(content); off += 100 << 10 {
		copy(content[off:], "shared mapping")
	}
	if !inBucket(b, "f", string(content)) {
		t.Error("msync returned before the bucket had it")
	}
	wantEverywhere(t, b, "f", content)
}

func TestReadOnlyMount(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), []byte("content"), 0o644))
	b.Flush()
	b.Options.ReadOnly = true
	b.Afresh()
	wantFile(t, b.Path("f"), []byte("content"))
	wantErrno(t, "create", os.WriteFile(b.Path("g"), nil, 0o644), syscall.EROFS)
	wantErrno(t, "unlink", os.Remove(b.Path("f")), syscall.EROFS)
	wantErrno(t, "chmod", os.Chmod(b.Path("f"), 0o600), syscall.EROFS)
}

// A mount in use is not taken away; one whose user has gone is.
func TestUnmountBusy(t *testing.T) {
	b := harness.New(t)
	f, err := os.Create(b.Path("f"))
	must(t, err)
	if err := b.Mount.Unmount(t.Context()); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	_, err = f.WriteString("still there")
	must(t, err)
	must(t, f.Close())
	wantFile(t, b.Path("f"), []byte("still there"))
}

// A detached mount serves who uses it until the end; what was written then is not lost.
func TestDetach(t *testing.T) {
	b := harness.New(t)
	f, err := os.Create(b.Path("f"))
	must(t, err)
	must(t, b.Mount.Detach())
	_, err = f.WriteString("after the detach")
	must(t, err)
	must(t, f.Close())
	b.Mount.Wait()
	b.Detach()
	b.Attach()
	wantEverywhere(t, b, "f", []byte("after the detach"))
}

// One hung request stops nobody else: no lock is held across a request.
func TestAHungReadStopsNobody(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("slow"), noise(40, 1<<20), 0o644))
	must(t, os.WriteFile(b.Path("other"), noise(41, 1000), 0o644))
	b.Afresh()
	wantNames(t, b.Dir, "other", "slow")
	b.Server.SetFaults(ossserver.Fault{Op: "GetObject", KeyPrefix: "slow", Kind: ossserver.Stall, Count: 1})
	b.Server.ResetCounts()
	done := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(b.Path("slow"))
		done <- err
	}()
	harness.Eventually(t, "the request that hangs", func() bool { return b.Server.Counts()["GetObject"] > 0 })
	wantFile(t, b.Path("other"), noise(41, 1000))
	must(t, os.WriteFile(b.Path("new"), []byte("x"), 0o644))
	must(t, os.Chmod(b.Path("slow"), 0o600))
	must(t, os.Rename(b.Path("new"), b.Path("renamed")))
	wantNames(t, b.Dir, "other", "renamed", "slow")
	must(t, os.Remove(b.Path("renamed")))
	select {
	case <-done:
		t.Error("everybody waited for one hung GET, or it did not hang")
	default:
	}
	b.Server.SetFaults()
	must(t, <-done)
}

// The same for a hung PUT: everybody else goes on, also with the file that is being sent. (Under an fsync the kernel
// itself keeps others from changing the file.)
func TestAHungWriteStopsNobody(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("slow"), noise(42, 1<<20), 0o644))
	b.Server.SetFaults(ossserver.Fault{Op: "PutObject", KeyPrefix: "slow", Kind: ossserver.Stall, Count: 1})
	b.Server.ResetCounts()
	done := make(chan error, 1)
	go func() { done <- b.Mount.Flush(t.Context(), "slow", nil) }()
	harness.Eventually(t, "the request that hangs", func() bool { return b.Server.Counts()["PutObject"] > 0 })
	withFile(t, makeFile(t, b.Path("other"), "content"), os.O_RDWR, (*os.File).Sync)
	if !inBucket(b, "other", "content") {
		t.Error("fsync of another file returned, and the bucket does not have it")
	}
	wantFile(t, b.Path("slow"), noise(42, 1<<20))
	must(t, os.Chmod(b.Path("slow"), 0o600))
	withFile(t, b.Path("slow"), os.O_WRONLY|os.O_APPEND, func(f *os.File) error { _, err := f.WriteString("appended"); return err })
	must(t, os.Rename(b.Path("other"), b.Path("renamed")))
	wantNames(t, b.Dir, "renamed", "slow")
	must(t, os.Remove(b.Path("renamed")))
	must(t, os.Mkdir(b.Path("dir"), 0o755))
	select {
	case err := <-done:
		t.Fatalf("everybody waited for one hung PUT, or it did not hang (%v)", err)
	default:
	}
	b.Server.SetFaults()
	must(t, <-done)
	wantEverywhere(t, b, "slow", append(noise(42, 1<<20), "appended"...))
}

// open(2) with O_TRUNC empties a file that is opened for reading, too, as Linux does on other filesystems.
func TestReaderEmptiesAFile(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.WriteThrough = true })
	must(t, os.WriteFile(b.Path("f"), []byte("content"), 0o644))
	fd, err := syscall.Open(b.Path("f"), syscall.O_RDONLY|syscall.O_TRUNC|syscall.O_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(fd)
	if n, err := syscall.Pread(fd, make([]byte, 10), 0); n != 0 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	wantFile(t, b.Path("f"), nil)
	_, got := b.Object("f") // before the close, which journals nothing
	wantBytes(t, "what the bucket has", got, nil)
}

// With write-through each of two closes at once returns when the bucket has the file.
// SEMANTICS 1.5
func TestTwoClosesAtOnce(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.WriteThrough = true })
	b.Server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Stall, Stall: 200 * time.Millisecond, Count: 1})
	var closes sync.WaitGroup
	var handles []*os.File
	for range 2 {
		f, err := os.OpenFile(b.Path("f"), os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		_, err = f.Write([]byte("content"))
		must(t, err)
		handles = append(handles, f)
	}
	for _, f := range handles {
		closes.Go(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if !inBucket(b, "f", "content") {
				t.Error("the bucket has no such file when its close has returned")
			}
		})
	}
	closes.Wait()
}

// What is written to a file is kept with its time when it is closed while a rename over it is under way that fails.
// SEMANTICS 1.1
func TestClosedWhileARenameOverItFails(t *testing.T) {
	if kernelBefore(t, 6, 18) {
		t.Skip("Linux 6.12 has the close wait for the rename")
	}
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "from", []byte("from"), nil))
	f, err := os.Create(b.Path("to"))
	must(t, err)
	must(t, os.Chtimes(b.Path("to"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	_, err = f.Write([]byte("to"))
	must(t, err)
	written := stat(t, b.Path("to")).Mtim
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error503})
	renamed := make(chan error, 1)
	go func() { renamed <- os.Rename(b.Path("from"), b.Path("to")) }()
	harness.Eventually(t, "the rename", func() bool { return b.Server.Counts()["CopyObject"] > 0 })
	must(t, f.Close())
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"})
	wantErrno(t, "the rename", <-renamed, syscall.EACCES)
	b.Remount()
	wantFile(t, b.Path("to"), []byte("to"))
	if got := stat(t, b.Path("to")).Mtim; got != written {
		t.Errorf("it was written at %v, and shows %v", written, got)
	}
}

// A program that syncs a file while a rename over it is under way hears nothing before it is known what becomes of the file: the bucket has it,
// or what was renamed has its place. (Linux keeps the file locked until the rename is answered.)
// SEMANTICS 1.3
func TestFsyncWhileARenameOverIt(t *testing.T) {
	const from, to = "from", "what was there"
	for name, tt := range map[string]struct {
		fault *ossserver.Fault // of the rename in the end
		errno syscall.Errno
		want  string
	}{
		"fails":    {&ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"}, syscall.EACCES, to},
		"succeeds": {nil, 0, from},
	} {
		t.Run(name, func(t *testing.T) {
			b := harness.New(t)
			must(t, b.Server.Put(harness.Bucket, "from", []byte(from), nil))
			f, err := os.Create(b.Path("to"))
			must(t, err)
			defer f.Close()
			_, err = f.WriteString(to)
			must(t, err)
			b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Error503})
			renamed, synced := make(chan error, 1), make(chan error, 1)
			go func() { renamed <- os.Rename(b.Path("from"), b.Path("to")) }()
			harness.Eventually(t, "the rename", func() bool { return b.Server.Counts()["CopyObject"] > 0 })
			go func() {
				err := f.Sync()
				if !inBucket(b, "to", tt.want) {
					err = errors.Join(err, errors.New("the bucket does not have what is to be there"))
				}
				synced <- err
			}()
			before := b.Server.Counts()["CopyObject"]
			harness.Eventually(t, "the rename again", func() bool { return b.Server.Counts()["CopyObject"] > before+1 })
			b.Server.SetFaults()
			if tt.fault != nil {
				b.Server.SetFaults(*tt.fault)
			}
			if err := <-renamed; harness.Number(err) != tt.errno {
				t.Errorf("rename: got %v, want %v", err, tt.errno)
			}
			must(t, <-synced)
			wantFile(t, b.Path("to"), []byte(tt.want))
			must(t, f.Close())
		})
	}
}
