package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// SEMANTICS 2.1: what is written through a handle of a version that others have replaced is ESTALE, however that comes to
// light, and does not land in another version.
func TestStaleHandleChangesNothing(t *testing.T) {
	ours, theirs := bytes.Repeat([]byte("o"), 100_000), bytes.Repeat([]byte("t"), 100_000)
	found := map[string]func(t *testing.T, b *harness.Bed) (staged []byte){
		"by the change itself": func(_ *testing.T, b *harness.Bed) []byte { return theirs },
		"by a refresh": func(t *testing.T, b *harness.Bed) []byte {
			must(t, b.Mount.Refresh(t.Context(), ""))
			return theirs
		},
		"by another handle that has changed it": func(t *testing.T, b *harness.Bed) []byte {
			f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("new"), 0)
			must(t, err)
			t.Cleanup(func() { _ = f.Close() }) // it is still open while the old handle is used
			return append([]byte("new"), theirs[3:]...)
		},
		"by a truncation": func(t *testing.T, b *harness.Bed) []byte {
			must(t, os.Truncate(b.Path("f"), 50_000))
			return theirs[:50_000]
		},
	}
	changes := map[string]func(f *os.File) error{
		"write":     func(f *os.File) error { _, err := f.WriteAt([]byte("old"), 10); return err },
		"truncate":  func(f *os.File) error { return f.Truncate(50) },
		"fallocate": func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 200_000) },
	}
	for how, find := range found {
		for what, change := range changes {
			t.Run(what+" found "+how, func(t *testing.T) {
				b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
				must(t, b.Server.Put(harness.Bucket, "f", ours, nil))
				f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
				must(t, err)
				defer f.Close()
				must(t, b.Server.Put(harness.Bucket, "f", theirs, nil))
				want := find(t, b)
				wantErrno(t, what, change(f), syscall.ESTALE)
				_, err = f.ReadAt(make([]byte, 10), 0)
				wantErrno(t, "a read after it", err, syscall.ESTALE)
				wantFile(t, b.Path("f"), want)
				b.Flush()
				_, got := b.Object("f")
				wantBytes(t, "what the bucket has", got, want)
			})
		}
	}
}

// SEMANTICS 2.1: an old handle, and a program that has the old version mapped, see no byte of the new one, though others
// read it meanwhile.
func TestNewVersionBesideAnOldHandle(t *testing.T) {
	b := harness.New(t)
	const size = 64 << 10
	ours, theirs := bytes.Repeat([]byte("o"), size), bytes.Repeat([]byte("t"), size)
	must(t, b.Server.Put(harness.Bucket, "f", ours, nil))
	old, err := os.Open(b.Path("f"))
	must(t, err)
	defer old.Close()
	p := make([]byte, 10)
	_, err = old.ReadAt(p, 0)
	must(t, err)
	must(t, b.Server.Put(harness.Bucket, "f", theirs, nil))
	must(t, b.Mount.Refresh(t.Context(), ""))
	fresh, err := os.Open(b.Path("f"))
	must(t, err)
	defer fresh.Close()
	for range 2 { // the second time from pages
		_, err = fresh.ReadAt(p, 0)
		must(t, err)
		wantBytes(t, "the new handle", p, theirs[:10])
		_, err = old.ReadAt(p, 0)
		wantErrno(t, "the old handle", err, syscall.ESTALE)
	}
	var st syscall.Stat_t
	must(t, syscall.Fstat(int(old.Fd()), &st))
	if st.Nlink != 0 {
		t.Errorf("what the old handle has open has %d names", st.Nlink)
	}
	// What is changed through the name is the new file's.
	must(t, os.Chmod(b.Path("f"), 0o600))
	must(t, os.Rename(b.Path("f"), b.Path("g")))
	_, err = fresh.ReadAt(p, size-10)
	must(t, err)
	wantBytes(t, "the new handle after a rename", p, theirs[:10])
	b.Flush()
	_, got := b.Object("g")
	wantBytes(t, "what the bucket has", got, theirs)
}

// A file that is bound to another place is opened without a look at its name: the new version is found there when the
// handles of the old one are closed.
func TestNewVersionOfABoundFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "f", []byte("ours"), nil))
	bound := filepath.Join(t.TempDir(), "bound")
	must(t, os.WriteFile(bound, nil, 0o644))
	must(t, unix.Mount(b.Path("f"), bound, "", unix.MS_BIND, ""))
	defer func() { must(t, unix.Unmount(bound, 0)) }()
	old, err := os.Open(bound)
	must(t, err)
	must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
	must(t, b.Mount.Refresh(t.Context(), ""))
	_, err = os.ReadFile(bound)
	wantErrno(t, "while the old version is open", err, syscall.ESTALE)
	must(t, old.Close())
	harness.Eventually(t, "the new version", func() bool { // a close is heard of later
		got, err := os.ReadFile(bound)
		return err == nil && string(got) == "theirs"
	})
	wantFile(t, b.Path("f"), []byte("theirs"))
	must(t, os.WriteFile(b.Path("f"), []byte("ours again"), 0o644))
	wantFile(t, bound, []byte("ours again"))
	b.Flush()

	old, err = os.Open(bound)
	must(t, err)
	must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs again"), nil))
	must(t, b.Mount.Refresh(t.Context(), ""))
	named, err := os.Open(b.Path("f")) // the kernel does not forget it
	must(t, err)
	defer named.Close()
	wantFile(t, b.Path("f"), []byte("theirs again"))
	must(t, old.Close())
	for range 100 { // before the close is heard of, and after it
		_, err = os.ReadFile(bound)
		wantErrno(t, "while another has the name", err, syscall.ESTALE)
	}
	must(t, os.Rename(b.Path("f"), b.Path("g")))
	_, err = os.ReadFile(bound)
	wantErrno(t, "when nothing has it", err, syscall.ESTALE)
}

// A removed file that is opened once more, through the descriptor of one who has it open, does not get its name back.
func TestRemovedFileIsOpenedAgain(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
	must(t, b.Server.Put(harness.Bucket, "f", []byte("removed"), nil))
	f, err := os.Open(b.Path("f"))
	must(t, err)
	defer f.Close()
	must(t, os.Remove(b.Path("f")))
	again, err := os.Open(filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))))
	must(t, err)
	defer again.Close()
	b.Flush()
	must(t, b.Server.Put(harness.Bucket, "f", []byte("another's"), nil))
	wantFile(t, b.Path("f"), []byte("another's"))
	if st := stat(t, b.Path("f")); st.Nlink != 1 || st.Size != 9 {
		t.Errorf("the new file has %d names and %d bytes", st.Nlink, st.Size)
	}
}

// What takes a name that others have removed, while somebody has the removed file open, is one file: what is written to it
// is read by all, and the removed one does not show it.
// SEMANTICS 2.3
func TestRenameToANameThatOthersRemoved(t *testing.T) {
	for _, what := range []string{"a file", "a directory"} {
		t.Run(what, func(t *testing.T) {
			b := harness.New(t)
			from, to := b.Path("from"), b.Path("to")
			name := func(top string) string { return top }
			key := "to"
			if what == "a directory" {
				name = func(top string) string { return top + "/f" }
				key = "to/f"
			}
			must(t, b.Server.Put(harness.Bucket, key, []byte("removed"), nil))
			removed, err := os.Open(name(to))
			must(t, err)
			defer removed.Close()
			must(t, b.Server.Delete(harness.Bucket, key))
			must(t, b.Mount.Refresh(t.Context(), ""))
			_, err = os.Stat(to)
			wantErrno(t, "the removed name", err, syscall.ENOENT)
			if what == "a directory" {
				must(t, os.Mkdir(from, 0o755))
			}
			f, err := os.OpenFile(name(from), os.O_RDWR|os.O_CREATE, 0o644)
			must(t, err)
			defer f.Close()
			_, err = f.Write([]byte("new"))
			must(t, err)
			must(t, os.Rename(from, to))
			must(t, b.Mount.Refresh(t.Context(), ""))
			again, err := os.Open(name(to))
			must(t, err)
			defer again.Close()
			p := make([]byte, 10)
			for _, want := range []string{"new", "NEW"} {
				_, err = f.WriteAt([]byte(want), 0)
				must(t, err)
				n, _ := again.ReadAt(p, 0)
				wantBytes(t, "another handle", p[:n], []byte(want))
			}
			if n, _ := removed.ReadAt(p, 0); string(p[:n]) != "removed" && n > 0 {
				t.Errorf("the removed file shows %q", p[:n])
			}
		})
	}
}

// An open file that was changed here, and deleted by others, cannot be read where it was not changed, nor stored: that is ESTALE, and
// no news of its name.
func TestChangedHereAndDeletedByOthers(t *testing.T) {
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "f", make([]byte, 3<<20), nil))
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("new"), 0)
	must(t, err)
	must(t, b.Server.Delete(harness.Bucket, "f"))
	_, err = f.ReadAt(make([]byte, 10), 2<<20)
	wantErrno(t, "read", err, syscall.ESTALE)
	wantErrno(t, "fsync", f.Sync(), syscall.ESTALE)
	must(t, os.Remove(b.Path("f")))
}

// What was written here, and sent, is another client's when that has replaced it, though somebody has it open for reading still: he reads on
// in what he has opened, and who looks at the name sees the new version. What somebody has open for writing is shown as it is here.
// SEMANTICS 5.1
func TestOpenAndReplacedByOthers(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
	ours, theirs := []byte("ours, as it was written"), []byte("theirs")
	must(t, os.WriteFile(b.Path("f"), nil, 0o644))
	old, err := os.Open(b.Path("f"))
	must(t, err)
	defer old.Close()
	writer, err := os.OpenFile(b.Path("f"), os.O_WRONLY, 0)
	must(t, err)
	_, err = writer.Write(ours)
	must(t, err)
	must(t, writer.Sync())
	must(t, b.Server.Put(harness.Bucket, "f", theirs, nil))
	wantFile(t, b.Path("f"), ours)
	must(t, writer.Close())
	harness.Eventually(t, "the name shows the new version", func() bool { return stat(t, b.Path("f")).Size == int64(len(theirs)) })
	wantFile(t, b.Path("f"), theirs)
	p := make([]byte, len(ours))
	_, err = old.ReadAt(p, 0)
	must(t, err)
	wantBytes(t, "what was opened before", p, ours)
	// What is changed by the name is the new file's, and stays so when the old one is closed.
	must(t, os.Chmod(b.Path("f"), 0o600))
	must(t, os.Truncate(b.Path("f"), 3))
	must(t, old.Close())
	wantFile(t, b.Path("f"), theirs[:3])
	b.Flush()
	_, got := b.Object("f")
	wantBytes(t, "what the bucket has", got, theirs[:3])
	if keys := b.Server.Keys(harness.Bucket); len(keys) != 1 {
		t.Errorf("the bucket has %q", keys)
	}
}

// SEMANTICS 2.1: who has a large file open that others have replaced with a small one finds no end in it where there was none, whatever others look at
// meanwhile, and however they hear of the new version: a program that copies it fails, and has not copied half of it.
func TestOldHandleFindsNoOtherEnd(t *testing.T) {
	const size = 2 << 20
	for how, look := range map[string]func(t *testing.T, b *harness.Bed, old *os.File){
		"nobody looks": func(*testing.T, *harness.Bed, *os.File) {},
		"stat":         func(t *testing.T, b *harness.Bed, _ *os.File) { wantSize(t, b.Path("f"), 6) },
		"open":         func(t *testing.T, b *harness.Bed, _ *os.File) { wantFile(t, b.Path("f"), []byte("theirs")) },
		"list": func(t *testing.T, b *harness.Bed, _ *os.File) {
			_, err := os.ReadDir(b.Dir)
			must(t, err)
			wantSize(t, b.Path("f"), 6)
		},
		"chmod": func(t *testing.T, b *harness.Bed, _ *os.File) {
			must(t, os.Chmod(b.Path("f"), 0o600))
			b.Flush()
			if _, got := b.Object("f"); string(got) != "theirs" || stat(t, b.Path("f")).Mode&0o777 != 0o600 {
				t.Errorf("the mode was set on %.10q, or not at all", got)
			}
		},
		"fstat": func(t *testing.T, b *harness.Bed, old *os.File) {
			_, _ = old.Stat() // ESTALE or the old size
			wantSize(t, b.Path("f"), 6)
		},
	} {
		t.Run(how, func(t *testing.T) {
			b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
			must(t, b.Server.Put(harness.Bucket, "f", bytes.Repeat([]byte("o"), size), nil))
			old, err := os.Open(b.Path("f"))
			must(t, err)
			defer old.Close()
			p := make([]byte, 10)
			_, err = old.ReadAt(p, 0)
			must(t, err)
			must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
			look(t, b, old)
			_, err = old.ReadAt(p, size-100)
			wantErrno(t, "a read of the old version", err, syscall.ESTALE)
			if info, err := old.Stat(); err == nil && info.Size() != size && how != "nobody looks" {
				t.Errorf("what is open has %d bytes", info.Size())
			}
			wantFile(t, b.Path("f"), []byte("theirs"))
		})
	}
}

func wantSize(t *testing.T, path string, want int64) {
	t.Helper()
	if got := stat(t, path).Size; got != want {
		t.Errorf("%s has %d bytes, want %d", path, got, want)
	}
}

// A read that finds the object replaced has the name looked up again by whoever looks at it, though the kernel believes what it knows of names for long, and
// though the first to hear of the new version is who has the old one open.
// SEMANTICS 2.1
func TestNameAfterAStaleRead(t *testing.T) {
	const size = 8 << 20
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "f", bytes.Repeat([]byte("o"), size), nil))
	old, err := os.Open(b.Path("f"))
	must(t, err)
	defer old.Close()
	must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs"), nil))
	_, err = old.ReadAt(make([]byte, 10), size-100)
	wantErrno(t, "a read of the old version", err, syscall.ESTALE)
	_, err = old.Stat()
	wantErrno(t, "fstat", err, syscall.ESTALE)
	harness.Eventually(t, "the name shows the new version", func() bool { return stat(t, b.Path("f")).Size == 6 })
}
