package tests

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
)

func TestMkdirAndRmdir(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o750))
	wantErrno(t, "mkdir again", os.Mkdir(b.Path("d"), 0o750), syscall.EEXIST)
	must(t, os.WriteFile(b.Path("d", "f"), nil, 0o644))
	wantErrno(t, "rmdir", syscall.Rmdir(b.Path("d")), syscall.ENOTEMPTY)
	wantErrno(t, "rmdir of a file", syscall.Rmdir(b.Path("d", "f")), syscall.ENOTDIR)
	wantErrno(t, "unlink of a directory", syscall.Unlink(b.Path("d")), syscall.EISDIR)
	b.Flush()
	if o, _ := b.Object("d/"); o.Size != 0 || o.Header.Get("x-oss-meta-mode") != strconv.Itoa(syscall.S_IFDIR|0o750) {
		t.Errorf("marker: got %d bytes and mode %s, want 0 and %d", o.Size, o.Header.Get("x-oss-meta-mode"), syscall.S_IFDIR|0o750)
	}
	b.Afresh()
	st, err := os.Stat(b.Path("d"))
	must(t, err)
	if !st.IsDir() || st.Mode().Perm() != 0o750 {
		t.Errorf("mode: got %v, want drwxr-x---", st.Mode())
	}
	wantErrno(t, "rmdir", syscall.Rmdir(b.Path("d")), syscall.ENOTEMPTY)
	must(t, os.Remove(b.Path("d", "f")))
	must(t, syscall.Rmdir(b.Path("d")))
	wantNames(t, b.Dir)
	b.Afresh()
	wantNames(t, b.Dir)
	if keys := b.Server.Keys(harness.Bucket); len(keys) != 0 {
		t.Errorf("left in the bucket: %q", keys)
	}
}

// What takes the place of a directory that was removed, and is deleted in the bucket later, is made as soon as the name is known to be
// free: what the bucket says afterwards makes no failure of it, for that would leave a file that nobody has closed.
func TestMadeInPlaceOfADirectory(t *testing.T) {
	for what, create := range map[string]func(path string) error{
		"file": func(path string) error {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
			if err == nil {
				err = f.Close()
			}
			return err
		},
		"link": func(path string) error { return os.Symlink("target", path) },
	} {
		for asked, refused := 0, true; refused && asked < 10; asked++ {
			t.Run(fmt.Sprintf("%s, refused after %d questions", what, asked), func(t *testing.T) {
				b := harness.New(t)
				must(t, b.Server.Put(harness.Bucket, "d/f", nil, nil))
				wantNames(t, b.Dir, "d")
				must(t, os.Remove(b.Path("d", "f")))
				must(t, b.Mount.Refresh(t.Context(), "d")) // nobody remembers any more what is in it
				must(t, os.Remove(b.Path("d")))
				b.Server.SetFaults(ossserver.Fault{Op: "ListObjectsV2", Kind: ossserver.Error500, Status: 403, Code: "AccessDenied", Skip: asked})
				err := create(b.Path("d"))
				b.Server.SetFaults()
				b.Flush()
				var want []string
				if refused = err != nil; refused {
					wantErrno(t, "with the bucket refusing", err, syscall.EACCES)
				} else if want = []string{"d"}; asked == 0 {
					t.Error("the bucket was not asked, and this test tests nothing")
				}
				if keys := b.Server.Keys(harness.Bucket); !slices.Equal(keys, want) {
					t.Errorf("the bucket has %q, want %q", keys, want)
				}
			})
		}
	}
}

// rmdir asks the bucket: what another client put there a moment ago is not lost sight of.
// SEMANTICS 6.1
func TestRmdirAsksTheBucket(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	b.Flush()
	wantNames(t, b.Path("d"))
	must(t, b.Server.Put(harness.Bucket, "d/foreign", []byte("x"), nil))
	wantErrno(t, "rmdir", syscall.Rmdir(b.Path("d")), syscall.ENOTEMPTY)
}

// A directory that is only a prefix stays when its last entry goes.
// SEMANTICS 3.4
func TestPrefixStaysWhenItsLastEntryGoes(t *testing.T) {
	for _, how := range []string{"unlink", "rename"} {
		t.Run(how, func(t *testing.T) {
			b := harness.Unmounted(t)
			must(t, b.Server.Put(harness.Bucket, "p/q/only", []byte("x"), nil))
			b.Attach()
			if how == "unlink" {
				must(t, os.Remove(b.Path("p", "q", "only")))
			} else {
				must(t, os.Rename(b.Path("p", "q", "only"), b.Path("moved")))
			}
			wantNames(t, b.Path("p", "q"))
			b.Afresh()
			wantNames(t, b.Path("p", "q"))
			wantNames(t, b.Path("p"), "q")
		})
	}
}

// With NoHead nothing says that a directory has an object: removing it removes the object all the same.
// SEMANTICS 3.4
func TestRemovedDirectoryHasNoObjectLeft(t *testing.T) {
	for name, noHead := range map[string]bool{"head": false, "no head": true} {
		t.Run(name, func(t *testing.T) {
			b := harness.Unmounted(t, func(o *fs.Options) { o.NoHead = noHead })
			for _, key := range []string{"d/", "d/f", "d/e/", "d/e/g"} {
				must(t, b.Server.Put(harness.Bucket, key, nil, nil))
			}
			b.Attach()
			must(t, os.RemoveAll(b.Path("d")))
			b.Flush()
			if keys := b.Server.Keys(harness.Bucket); len(keys) != 0 {
				t.Errorf("the bucket still has %q", keys)
			}
		})
	}
}

func TestReaddirOfALargeDirectory(t *testing.T) {
	const count = 5000
	b := harness.Unmounted(t)
	want := make([]string, count)
	for i := range want {
		want[i] = fmt.Sprintf("file-%06d", i)
		must(t, b.Server.Put(harness.Bucket, "big/"+want[i], nil, nil))
	}
	b.Attach()
	must(t, os.WriteFile(b.Path("big", "file-000000a"), []byte("staged"), 0o644))
	must(t, os.Remove(b.Path("big", "file-000003")))
	want = slices.Insert(slices.Delete(want, 3, 4), 1, "file-000000a")
	if got := names(t, b.Path("big")); !slices.Equal(got, want) {
		t.Errorf("got %d names, want %d", len(got), len(want))
	}
	f, err := os.Open(b.Path("big"))
	must(t, err)
	defer f.Close()
	first, err := f.Readdirnames(10)
	must(t, err)
	if len(first) != 10 {
		t.Errorf("got %d names, want 10", len(first))
	}
	_, err = f.Seek(0, io.SeekStart)
	must(t, err)
	again, err := f.Readdirnames(-1)
	must(t, err)
	slices.Sort(again)
	if !slices.Equal(again, want) {
		t.Errorf("after rewinddir: got %d names, want %d", len(again), len(want))
	}
}

// Names alone make no inodes, here and in the kernel: find(1) may go through millions. A program that looks at what it has
// listed gets the attributes with the names.
func TestNamesAloneMakeNoInodes(t *testing.T) {
	const dirs, files = 20, 100
	b := harness.Unmounted(t)
	for d := range dirs {
		for f := range files {
			must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("d%02d/f%03d", d, f), nil, nil))
		}
	}
	b.Attach()
	kernel := cachesOf(t)
	run := func(name string, args ...string) {
		t.Helper()
		out, err := exec.Command(name, append(args, b.Dir)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		if lines := bytes.Count(out, []byte("\n")); lines < dirs*files {
			t.Errorf("%s: got %d lines, want at least %d", name, lines, dirs*files)
		}
	}
	run("find")
	if n := b.Mount.Status().Inodes; n > 2*dirs {
		t.Errorf("after find: %d inodes, want those of the directories", n)
	}
	run("ls", "-lR")
	if n := b.Mount.Status().Inodes; n < dirs*files {
		kernel.errorf("after ls -lR: %d inodes, want at least %d", n, dirs*files)
	}
}

// telldir and seekdir: every entry that stays is given out exactly once, whatever comes and goes.
func TestSeekdir(t *testing.T) {
	const count = 1200
	b := harness.New(t)
	for i := range count {
		must(t, os.WriteFile(b.Path(fmt.Sprintf("f%05d", i)), nil, 0o644))
	}
	fd, err := unix.Open(b.Dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	all, offsets := getdents(t, fd)
	at := slices.Index(all, "f00700")
	if at < 0 {
		t.Fatalf("f00700 is not among %d names", len(all))
	}
	must(t, os.Remove(b.Path("f00690")))
	must(t, os.WriteFile(b.Path("f00690a"), nil, 0o644))
	_, err = unix.Seek(fd, offsets[at], unix.SEEK_SET)
	must(t, err)
	rest, _ := getdents(t, fd)
	rest = slices.DeleteFunc(rest, func(s string) bool { return s == "f00690a" }) // may be seen or not
	if want := all[at+1:]; !slices.Equal(rest, want) {
		t.Errorf("after seekdir behind f00700: got %d names, %.3q..., want %d, %.3q...", len(rest), rest, len(want), want)
	}
}

func getdents(t *testing.T, fd int) (names []string, offsets []int64) {
	t.Helper()
	for {
		n, o := getdentsOnce(t, fd, 4096)
		if len(n) == 0 {
			return names, offsets
		}
		names, offsets = append(names, n...), append(offsets, o...)
	}
}

// getdentsOnce is one getdents64(2); it gives nothing at the end.
func getdentsOnce(t *testing.T, fd, size int) (names []string, offsets []int64) {
	t.Helper()
	buf := make([]byte, size)
	n, err := unix.Getdents(fd, buf)
	must(t, err)
	for p := buf[:n]; len(p) > 0; {
		size := int(p[16]) | int(p[17])<<8
		var off int64
		for i := range 8 {
			off |= int64(p[8+i]) << (8 * i)
		}
		name, _, _ := strings.Cut(string(p[19:size]), "\x00")
		names, offsets = append(names, name), append(offsets, off)
		p = p[size:]
	}
	return names, offsets
}

// A reader with a large buffer is given the page of the bucket that is there, and does not wait for those that would fill it.
func TestReaddirGivesWhatIsThere(t *testing.T) {
	const count, page = 3000, 1000
	b := harness.Unmounted(t)
	for i := range count {
		must(t, b.Server.Put(harness.Bucket, fmt.Sprintf("f%05d", i), nil, nil))
	}
	b.Attach()
	b.Server.SetFaults(ossserver.Fault{Op: "ListObjectsV2", Kind: ossserver.Stall, Skip: 1, Count: 1})
	fd, err := unix.Open(b.Dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	all, stalls := 0, true
	for {
		names, _ := getdentsOnce(t, fd, 128<<10)
		if len(names) == 0 {
			break
		}
		names = slices.DeleteFunc(names, func(s string) bool { return s == "." || s == ".." })
		if all += len(names); stalls && all > page {
			t.Fatalf("%d names were given at once: they waited for the second page", all)
		}
		if stalls && all >= page-1 { // the last name of a page waits for the next one
			stalls = false
			b.Server.SetFaults()
		}
	}
	if all != count {
		t.Errorf("got %d names, want %d", all, count)
	}
}

// SEMANTICS 6.2
func TestRenameFile(t *testing.T) {
	for _, state := range []string{"staged", "clean"} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s over=%v", state, over), func(t *testing.T) {
				b := harness.New(t)
				content := noise(11, 200_000)
				must(t, os.WriteFile(b.Path("from"), content, 0o604))
				must(t, os.Mkdir(b.Path("d"), 0o755))
				if over {
					must(t, os.WriteFile(b.Path("d", "to"), []byte("old"), 0o644))
				}
				if state == "clean" {
					b.Afresh()
				}
				reader, err := os.Open(b.Path("from"))
				must(t, err)
				defer reader.Close()
				var before, after syscall.Stat_t
				must(t, syscall.Stat(b.Path("from"), &before))
				must(t, os.Rename(b.Path("from"), b.Path("d", "to")))
				_, err = os.Stat(b.Path("from"))
				wantErrno(t, "stat of the old name", err, syscall.ENOENT)
				must(t, syscall.Stat(b.Path("d", "to"), &after))
				if before.Ino != after.Ino || after.Mode != syscall.S_IFREG|0o604 || before.Mtim != after.Mtim {
					t.Errorf("the rename changed the attributes: %+v became %+v", before, after)
				}
				got, err := io.ReadAll(reader)
				must(t, err)
				wantBytes(t, "through the handle opened before", got, content)
				must(t, reader.Close())
				wantEverywhere(t, b, "d/to", content)
				wantNames(t, b.Dir, "d")
				wantNames(t, b.Path("d"), "to")
				if keys := b.Server.Keys(harness.Bucket); !slices.Equal(keys, []string{"d/", "d/to"}) {
					t.Errorf("in the bucket: %q", keys)
				}
			})
		}
	}
}

// A file that is open for writing can be renamed; what is written later lands under the new name.
func TestRenameWhileWriting(t *testing.T) {
	b := harness.New(t)
	f, err := os.Create(b.Path(".tmp"))
	must(t, err)
	_, err = f.WriteString("before, ")
	must(t, err)
	must(t, os.Rename(b.Path(".tmp"), b.Path("final")))
	_, err = f.WriteString("after")
	must(t, err)
	must(t, f.Close())
	wantEverywhere(t, b, "final", []byte("before, after"))
	if n := b.Server.Counts()["PutObject"]; n != 1 {
		t.Errorf("got %d PutObjects, want 1", n)
	}
}

// SEMANTICS 6.3
func TestRenameRefusals(t *testing.T) {
	for _, state := range []string{"staged", "clean"} {
		t.Run(state, func(t *testing.T) {
			b := harness.New(t)
			must(t, os.MkdirAll(b.Path("full", "sub"), 0o755))
			must(t, os.Mkdir(b.Path("empty"), 0o755))
			must(t, os.WriteFile(b.Path("file"), []byte("file"), 0o644))
			must(t, os.WriteFile(b.Path("other"), []byte("other"), 0o644))
			if state == "clean" {
				b.Afresh()
			}
			tests := []struct {
				from, to string
				flags    uint
				want     syscall.Errno
			}{
				{"file", "empty", 0, syscall.EISDIR},
				{"empty", "file", 0, syscall.ENOTDIR},
				{"empty", "full", 0, syscall.ENOTEMPTY},
				{"full", "full/sub/x", 0, syscall.EINVAL},
				{"none", "file", 0, syscall.ENOENT},
				{"file", "none/x", 0, syscall.ENOENT},
				{"file", "other", unix.RENAME_NOREPLACE, syscall.EEXIST},
				{"file", "none", unix.RENAME_EXCHANGE, syscall.ENOENT},
			}
			for _, tt := range tests {
				err := unix.Renameat2(unix.AT_FDCWD, b.Path(tt.from), unix.AT_FDCWD, b.Path(tt.to), tt.flags)
				wantErrno(t, fmt.Sprintf("%s -> %s (%d)", tt.from, tt.to, tt.flags), err, tt.want)
			}
			wantEverywhere(t, b, "file", []byte("file"))
			must(t, unix.Renameat2(unix.AT_FDCWD, b.Path("file"), unix.AT_FDCWD, b.Path("new"), unix.RENAME_NOREPLACE))
			must(t, syscall.Rename(b.Path("full"), b.Path("empty"))) // os.Rename refuses by itself
			wantNames(t, b.Dir, "empty", "new", "other")
			wantNames(t, b.Path("empty"), "sub")
			b.Afresh()
			wantNames(t, b.Dir, "empty", "new", "other")
			wantNames(t, b.Path("empty"), "sub")
		})
	}
}

// SEMANTICS 6.3
func TestRenameExchange(t *testing.T) {
	for _, state := range []string{"staged", "clean", "one of each"} {
		t.Run(state, func(t *testing.T) {
			b := harness.New(t)
			must(t, os.WriteFile(b.Path("a"), []byte("was a"), 0o600))
			if state == "one of each" {
				b.Flush()
			}
			must(t, os.WriteFile(b.Path("b"), []byte("was b"), 0o644))
			if state == "clean" {
				b.Afresh()
			}
			must(t, unix.Renameat2(unix.AT_FDCWD, b.Path("a"), unix.AT_FDCWD, b.Path("b"), unix.RENAME_EXCHANGE))
			wantFile(t, b.Path("a"), []byte("was b"))
			wantFile(t, b.Path("b"), []byte("was a"))
			b.Afresh()
			wantFile(t, b.Path("a"), []byte("was b"))
			wantFile(t, b.Path("b"), []byte("was a"))
			st, err := os.Stat(b.Path("b"))
			must(t, err)
			if st.Mode().Perm() != 0o600 {
				t.Errorf("mode of b: got %v, want -rw-------", st.Mode())
			}
		})
	}
}

// SEMANTICS 6.2
func TestRenameDirectory(t *testing.T) {
	for _, state := range []string{"staged", "clean", "half sent"} {
		t.Run(state, func(t *testing.T) {
			b := harness.New(t)
			make := func(i int) {
				dir := b.Path("old", strconv.Itoa(i%7), "deep")
				must(t, os.MkdirAll(dir, 0o755))
				must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), noise(uint64(i), 1000+i), 0o644))
			}
			for i := range 60 {
				make(i)
				if state == "half sent" && i == 30 {
					b.Flush()
				}
			}
			if state == "clean" {
				b.Afresh()
			}
			open, err := os.OpenFile(b.Path("old", "3", "deep", "3"), os.O_RDWR, 0)
			must(t, err)
			defer open.Close()
			must(t, os.Rename(b.Path("old"), b.Path("new")))
			_, err = os.Stat(b.Path("old"))
			wantErrno(t, "stat of the old name", err, syscall.ENOENT)
			_, err = open.WriteAt([]byte("through the old handle"), 0)
			must(t, err)
			must(t, open.Close())
			want := noise(3, 1003)
			copy(want, "through the old handle")
			check := func() {
				for i := range 60 {
					if i != 3 {
						wantFile(t, b.Path("new", strconv.Itoa(i%7), "deep", strconv.Itoa(i)), noise(uint64(i), 1000+i))
					}
				}
				wantFile(t, b.Path("new", "3", "deep", "3"), want)
				wantNames(t, b.Dir, "new")
			}
			check()
			b.Afresh()
			check()
			for _, key := range b.Server.Keys(harness.Bucket) {
				if !strings.HasPrefix(key, "new/") {
					t.Errorf("left in the bucket: %q", key)
				}
			}
		})
	}
}

// The attributes of a directory move with it, over those of the one that it replaces.
func TestRenameDirectoryKeepsAttributes(t *testing.T) {
	for _, state := range []string{"staged", "clean", "clean over staged", "staged over clean"} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s over=%v", state, over), func(t *testing.T) {
				b := harness.New(t)
				from := func() {
					must(t, os.Mkdir(b.Path("from"), 0o755))
					must(t, os.Mkdir(b.Path("from", "sub"), 0o755))
					must(t, os.Chmod(b.Path("from"), 0o701))
				}
				to := func() {
					if over {
						must(t, os.Mkdir(b.Path("to"), 0o755))
					}
				}
				first, second := from, to
				if state == "staged over clean" {
					first, second = to, from
				}
				first()
				if strings.Contains(state, " over ") {
					b.Afresh()
				}
				second()
				if state == "clean" {
					b.Afresh()
				}
				must(t, syscall.Rename(b.Path("from"), b.Path("to")))
				check := func(when string) {
					if got := stat(t, b.Path("to")).Mode; got != syscall.S_IFDIR|0o701 {
						t.Errorf("%s: got mode %o, want 40701", when, got)
					}
					wantNames(t, b.Path("to"), "sub")
					wantNames(t, b.Dir, "to")
				}
				check("at once")
				b.Flush()
				check("sent")
				b.Afresh()
				check("new mount")
			})
		}
	}
}
