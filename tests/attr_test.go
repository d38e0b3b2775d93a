package tests

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/tests/harness"
)

type fsOptions = fs.Options

func umask() uint32 {
	old := syscall.Umask(0)
	syscall.Umask(old)
	return uint32(old)
}

// aligned is memory that O_DIRECT takes.
func aligned(size int) []byte {
	p := make([]byte, size+4096)
	skip := 4096 - int(uintptr(unsafe.Pointer(&p[0]))%4096)
	return p[skip : skip+size : skip+size]
}

// eachState runs a test on a file, a directory and a link that are staged, sent, and only in the bucket.
func eachState(t *testing.T, run func(t *testing.T, b *harness.Bed, name string)) {
	for _, name := range []string{"file", "dir"} {
		for _, state := range []string{"staged", "sent", "clean"} {
			t.Run(name+" "+state, func(t *testing.T) {
				b := harness.New(t)
				must(t, os.WriteFile(b.Path("file"), []byte("content"), 0o644))
				must(t, os.Mkdir(b.Path("dir"), 0o755))
				switch state {
				case "sent":
					b.Flush()
				case "clean":
					b.Afresh()
				}
				run(t, b, name)
			})
		}
	}
}

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	must(t, syscall.Lstat(path, &st))
	return st
}

func key(name string) string {
	if name == "dir" {
		return "dir/"
	}
	return name
}

// SEMANTICS 4.1
func TestChmod(t *testing.T) {
	eachState(t, func(t *testing.T, b *harness.Bed, name string) {
		for _, mode := range []uint32{0, 0o4751, 0o2070, 0o1777, 0o600} {
			must(t, syscall.Chmod(b.Path(name), mode))
			if got := stat(t, b.Path(name)).Mode & 0o7777; got != mode {
				t.Errorf("got %o, want %o", got, mode)
			}
		}
		typ := stat(t, b.Path(name)).Mode & syscall.S_IFMT
		b.Flush()
		o, body := b.Object(key(name))
		if got, want := o.Header.Get("x-oss-meta-mode"), strconv.Itoa(int(typ|0o600)); got != want {
			t.Errorf("stored: got %s, want %s", got, want)
		}
		if name == "file" && string(body) != "content" {
			t.Errorf("chmod changed the bytes to %q", body)
		}
		b.Afresh()
		if got := stat(t, b.Path(name)).Mode; got != typ|0o600 {
			t.Errorf("new mount: got %o, want %o", got, typ|0o600)
		}
	})
}

// SEMANTICS 4.1
func TestChown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	eachState(t, func(t *testing.T, b *harness.Bed, name string) {
		must(t, syscall.Chmod(b.Path(name), 0o6755))
		must(t, syscall.Chown(b.Path(name), 1234, -1))
		must(t, syscall.Chown(b.Path(name), -1, 4321))
		check := func(when string) {
			st := stat(t, b.Path(name))
			if st.Uid != 1234 || st.Gid != 4321 {
				t.Errorf("%s: got %d:%d, want 1234:4321", when, st.Uid, st.Gid)
			}
			want := uint32(0o755)
			if name == "dir" { // chown takes suid and sgid from files alone
				want = 0o6755
			}
			if got := st.Mode & 0o7777; got != want {
				t.Errorf("%s: got mode %o, want %o", when, got, want)
			}
		}
		check("at once")
		b.Flush()
		o, _ := b.Object(key(name))
		if got := o.Header.Get("x-oss-meta-uid") + ":" + o.Header.Get("x-oss-meta-gid"); got != "1234:4321" {
			t.Errorf("stored: got %s, want 1234:4321", got)
		}
		check("sent")
		b.Afresh()
		check("new mount")
	})
}

// SEMANTICS 4.1
func TestUtimens(t *testing.T) {
	eachState(t, func(t *testing.T, b *harness.Bed, name string) {
		set := func(atime, mtime unix.Timespec) {
			t.Helper()
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, b.Path(name), []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW))
		}
		set(unix.Timespec{Sec: 1_000_000_000, Nsec: 123_456_789}, unix.Timespec{Sec: 1_111_111_111, Nsec: 1})
		set(unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Sec: -5, Nsec: 250_000_000})
		check := func(when string) {
			st := stat(t, b.Path(name))
			if st.Atim.Sec != 1_000_000_000 || st.Atim.Nsec != 123_456_789 || st.Mtim.Sec != -5 || st.Mtim.Nsec != 250_000_000 {
				t.Errorf("%s: got %v and %v", when, st.Atim, st.Mtim)
			}
		}
		check("at once")
		b.Flush()
		o, _ := b.Object(key(name))
		if got := o.Header.Get("x-oss-meta-mtime"); got != "-5.250000000" && got != "-5.25" {
			t.Errorf("stored mtime: got %s, want -5.250000000", got)
		}
		check("sent")
		b.Afresh()
		check("new mount")
		before := time.Now().Add(-time.Second)
		set(unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW})
		if st := stat(t, b.Path(name)); time.Unix(st.Mtim.Unix()).Before(before) || st.Atim.Sec != 1_000_000_000 {
			t.Errorf("UTIME_NOW: got %v and %v", st.Atim, st.Mtim)
		}
	})
}

func TestWriteChangesTimes(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), []byte("x"), 0o644))
	old := time.Unix(1_000_000_000, 0)
	must(t, os.Chtimes(b.Path("f"), old, old))
	b.Afresh()
	f, err := os.OpenFile(b.Path("f"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("y")
	must(t, err)
	st, err := f.Stat()
	must(t, err)
	if time.Since(st.ModTime()) > time.Minute {
		t.Errorf("after the write: mtime %v", st.ModTime())
	}
	must(t, f.Close())
	must(t, os.Chtimes(b.Path("f"), old, old)) // as rsync does after its last write
	b.Afresh()
	st, err = os.Stat(b.Path("f"))
	must(t, err)
	if !st.ModTime().Equal(old) {
		t.Errorf("a time that was set after the write: got %v, want %v", st.ModTime(), old)
	}
}

// A directory's time changes with its entries, and is what it was set to until then.
// SEMANTICS 4.3
func TestTimeOfADirectory(t *testing.T) {
	b := harness.New(t)
	dirs := []string{b.Path("one"), b.Path("two")}
	for _, dir := range dirs {
		must(t, os.Mkdir(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "g"), nil, 0o644))
	}
	old := time.Unix(1_000_000_000, 0)
	for _, step := range []struct {
		do      func() error
		changed []string
	}{
		{func() error { return os.Remove(filepath.Join(dirs[0], "f")) }, dirs[:1]},
		{func() error { return os.Rename(filepath.Join(dirs[0], "g"), filepath.Join(dirs[1], "h")) }, dirs},
		{func() error { return os.Rename(filepath.Join(dirs[1], "h"), filepath.Join(dirs[1], "i")) }, dirs[1:]},
	} {
		for _, dir := range dirs {
			must(t, os.Chtimes(dir, old, old))
		}
		must(t, step.do())
		for _, dir := range dirs {
			st, err := os.Stat(dir)
			must(t, err)
			if changed := !st.ModTime().Equal(old); changed != slices.Contains(step.changed, dir) {
				t.Errorf("%s: %v; the changed ones are %q", dir, st.ModTime(), step.changed)
			}
		}
	}
}

// A time that a program sets stays, also when it stored something through a mapping before: the kernel writes that when it likes. The
// store that comes after it moves it.
// SEMANTICS 4.1
func TestTimeSetAfterAStoreInAMapping(t *testing.T) {
	for _, state := range []string{"staged", "clean"} {
		t.Run(state, func(t *testing.T) {
			b := harness.New(t)
			must(t, os.WriteFile(b.Path("f"), noise(1, 20_000), 0o644))
			if state == "clean" {
				b.Afresh()
			}
			harness.Helper(t, "mmap-times", b.Path("f"))
			b.Afresh()
			if got := stat(t, b.Path("f")).Mtim; got != (syscall.Timespec{Sec: 1e9, Nsec: 123456789}) {
				t.Errorf("the bucket has %v", got)
			}
		})
	}
}

// Modes are checked, and a write by another user takes suid and sgid away.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	if _, err := user.LookupId("65534"); err != nil {
		t.Log(err)
	}
	b := harness.New(t)
	must(t, os.Chmod(b.T.(*testing.T).TempDir(), 0o755))
	must(t, os.WriteFile(b.Path("secret"), []byte("x"), 0o600))
	must(t, os.WriteFile(b.Path("setuid"), []byte("x"), 0o666))
	must(t, syscall.Chmod(b.Path("setuid"), 0o6777))
	openPath(t, b.Dir)
	harness.Helper(t, "sticky", b.Path("secret"), b.Path("setuid"))
	if got := stat(t, b.Path("setuid")).Mode & 0o7777; got != 0o777 {
		t.Errorf("mode after the write: got %o, want 777", got)
	}
	b.Afresh()
	if got := stat(t, b.Path("setuid")).Mode & 0o7777; got != 0o777 {
		t.Errorf("mode in the bucket: got %o, want 777", got)
	}
}

// openPath lets others walk down to dir, which lies in the test's own temporary directory.
func openPath(t *testing.T, dir string) {
	for p := dir; strings.HasPrefix(p, os.TempDir()+"/"); p = p[:strings.LastIndexByte(p, '/')] {
		must(t, os.Chmod(p, 0o755))
	}
}

// A directory with the sgid bit gives its group to what is made in it.
func TestSetgidDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	must(t, os.Chown(b.Path("d"), 0, 777))
	must(t, syscall.Chmod(b.Path("d"), 0o2755))
	must(t, os.WriteFile(b.Path("d", "f"), nil, 0o644))
	must(t, os.Mkdir(b.Path("d", "s"), 0o755))
	if st := stat(t, b.Path("d", "f")); st.Gid != 777 {
		t.Errorf("file: got group %d, want 777", st.Gid)
	}
	if st := stat(t, b.Path("d", "s")); st.Gid != 777 || st.Mode&syscall.S_ISGID == 0 {
		t.Errorf("directory: got group %d and mode %o, want 777 and sgid", st.Gid, st.Mode)
	}
}

// SEMANTICS 4.4
func TestXattr(t *testing.T) {
	eachState(t, func(t *testing.T, b *harness.Bed, name string) {
		path := b.Path(name)
		must(t, unix.Setxattr(path, "user.one", []byte("first"), 0))
		must(t, unix.Setxattr(path, "user.bin", []byte{0, 255, 10}, 0))
		wantErrno(t, "XATTR_CREATE", unix.Setxattr(path, "user.one", nil, unix.XATTR_CREATE), syscall.EEXIST)
		wantErrno(t, "XATTR_REPLACE", unix.Setxattr(path, "user.none", nil, unix.XATTR_REPLACE), syscall.ENODATA)
		wantErrno(t, "remove", unix.Removexattr(path, "user.none"), syscall.ENODATA)
		wantErrno(t, "too big", unix.Setxattr(path, "user.big", make([]byte, 9000), 0), syscall.ENOSPC)
		_, err := unix.Getxattr(path, "security.selinux", nil) // ls -l then does not ask for each file
		wantErrno(t, "security.selinux", err, syscall.EOPNOTSUPP)
		_, err = unix.Getxattr(path, "security.capability", nil)
		wantErrno(t, "security.capability", err, syscall.ENODATA)
		wantErrno(t, "trusted", unix.Setxattr(path, "trusted.x", nil, 0), syscall.EOPNOTSUPP)
		check := func(when string) {
			for attr, want := range map[string]string{"user.one": "first", "user.bin": "\x00\xff\n"} {
				if got := xattr(t, path, attr); got != want {
					t.Errorf("%s: %s is %q, want %q", when, attr, got, want)
				}
			}
			buf := make([]byte, 1000)
			n, err := unix.Listxattr(path, buf)
			must(t, err)
			list := strings.Split(string(bytes.TrimRight(buf[:n], "\x00")), "\x00")
			if slices.Sort(list); !slices.Equal(list, []string{"user.bin", "user.one"}) {
				t.Errorf("%s: listed %q, want what was set and nothing else", when, list)
			}
		}
		check("at once")
		b.Flush()
		check("sent")
		b.Afresh()
		check("new mount")
		must(t, unix.Removexattr(path, "user.one"))
		b.Afresh()
		_, err = unix.Getxattr(path, "user.one", nil)
		wantErrno(t, "after remove", err, syscall.ENODATA)
	})
}

func xattr(t *testing.T, path, name string) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Getxattr(path, name, buf)
	if err != nil {
		t.Errorf("getxattr %s: %v", name, err)
		return ""
	}
	return string(buf[:n])
}

// SEMANTICS 4.4
func TestXattrsOfOSS(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f.txt"), []byte("content"), 0o644))
	b.Afresh()
	path := b.Path("f.txt")
	o, _ := b.Object("f.txt")
	for name, want := range map[string]string{
		"etag": o.ETag, "type": "Normal", "storage-class": "Standard", "crc64": strconv.FormatUint(o.CRC64, 10),
		"content-type": o.Header.Get("Content-Type"),
	} {
		if got := xattr(t, path, "user.oss."+name); got != want {
			t.Errorf("user.oss.%s: got %q, want %q", name, got, want)
		}
	}
	if url := xattr(t, path, "user.oss.url"); !strings.HasPrefix(url, b.Server.Endpoint) {
		t.Errorf("user.oss.url: got %q", url)
	}
	wantErrno(t, "set etag", unix.Setxattr(path, "user.oss.etag", []byte("x"), 0), syscall.EPERM)
	must(t, unix.Setxattr(path, "user.oss.content-type", []byte("x-test/x"), 0))
	must(t, unix.Setxattr(path, "user.oss.cache-control", []byte("no-store"), 0))
	b.Afresh()
	o, body := b.Object("f.txt")
	if o.Header.Get("Content-Type") != "x-test/x" || o.Header.Get("Cache-Control") != "no-store" || string(body) != "content" {
		t.Errorf("in the bucket: %v, %q", o.Header, body)
	}
}

// What others change is seen after a refresh, without waiting for the TTL.
// SEMANTICS 5.1
func TestRefresh(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	must(t, os.WriteFile(b.Path("d", "f"), []byte("old"), 0o644))
	must(t, os.WriteFile(b.Path("d", "gone"), nil, 0o644))
	b.Afresh()
	wantNames(t, b.Path("d"), "f", "gone")
	wantFile(t, b.Path("d", "f"), []byte("old"))
	_, err := os.Stat(b.Path("d", "g")) // the kernel keeps that, too
	wantErrno(t, "before", err, syscall.ENOENT)
	stat(t, b.Path("d", "gone"))
	must(t, b.Server.Put(harness.Bucket, "d/f", []byte("newer"), nil))
	must(t, b.Server.Put(harness.Bucket, "d/g", []byte("foreign"), nil))
	must(t, b.Server.Delete(harness.Bucket, "d/gone"))
	if got := stat(t, b.Path("d", "f")).Size; got != 3 {
		t.Errorf("before the refresh: got %d bytes, want 3, as believed for the TTL", got)
	}
	must(t, unix.Setxattr(b.Path("d"), "user.oss.refresh", []byte("1"), 0))
	harness.Eventually(t, "the new file", func() bool {
		got, err := os.ReadFile(b.Path("d", "f"))
		return err == nil && string(got) == "newer" && stat(t, b.Path("d", "f")).Size == 5
	})
	harness.Eventually(t, "the end of the one that is gone", func() bool {
		_, err := os.Stat(b.Path("d", "gone"))
		return os.IsNotExist(err)
	})
	harness.Eventually(t, "the new one in place of none", func() bool {
		_, err := os.Stat(b.Path("d", "g"))
		return err == nil
	})
	wantNames(t, b.Path("d"), "f", "g")
}

// With a TTL of zero a change by others is seen at the next open.
// SEMANTICS 5.1
func TestForeignChangeAtOpen(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 0 })
	must(t, os.WriteFile(b.Path("f"), []byte("ours"), 0o644))
	b.Afresh()
	wantFile(t, b.Path("f"), []byte("ours"))
	must(t, b.Server.Put(harness.Bucket, "f", []byte("theirs, longer"), nil))
	wantFile(t, b.Path("f"), []byte("theirs, longer"))
	must(t, b.Server.Delete(harness.Bucket, "f"))
	_, err := os.ReadFile(b.Path("f"))
	wantErrno(t, "after the delete", err, syscall.ENOENT)
}

// A handle never mixes two versions: after a foreign change it reads ESTALE, a fresh open the new one.
// SEMANTICS 2.1
func TestForeignChangeUnderAnOpenFile(t *testing.T) {
	b := harness.New(t)
	old := noise(20, 40<<20)
	must(t, os.WriteFile(b.Path("f"), old, 0o644))
	b.Afresh()
	f, err := os.Open(b.Path("f"))
	must(t, err)
	defer f.Close()
	p := make([]byte, 4096)
	_, err = f.ReadAt(p, 0)
	must(t, err)
	fresh := noise(21, 40<<20)
	must(t, b.Server.Put(harness.Bucket, "f", fresh, nil))
	_, err = f.ReadAt(p, 39<<20)
	wantErrno(t, "the old handle", err, syscall.ESTALE)
	wantFile(t, b.Path("f"), fresh)
}

// SEMANTICS 7.3
func TestStatfs(t *testing.T) {
	b := harness.New(t)
	var st syscall.Statfs_t
	must(t, syscall.Statfs(b.Dir, &st))
	if st.Bavail*uint64(st.Bsize) < 1<<40 || st.Namelen != 255 || st.Type != 0x65735546 {
		t.Errorf("got %+v", st)
	}
}

// SEMANTICS 4.5
func TestInodeNumbersAreTheSameOnEveryMount(t *testing.T) {
	b := harness.New(t)
	must(t, os.MkdirAll(b.Path("d", "e"), 0o755))
	must(t, os.WriteFile(b.Path("d", "e", "f"), nil, 0o644))
	must(t, os.WriteFile(b.Path("moved"), nil, 0o644))
	must(t, os.Rename(b.Path("moved"), b.Path("here")))
	must(t, os.WriteFile(b.Path("moved"), nil, 0o644)) // its number is taken, as long as "here" lives
	if a, c := stat(t, b.Path("here")).Ino, stat(t, b.Path("moved")).Ino; a == c {
		t.Errorf("two files have the number %d", a)
	}
	numbers := func() (list []uint64) {
		for _, name := range []string{".", "d", "d/e", "d/e/f"} {
			list = append(list, stat(t, b.Path(name)).Ino)
		}
		return list
	}
	before := numbers()
	b.Afresh()
	if after := numbers(); !slices.Equal(before, after) {
		t.Errorf("got %d, before %d", after, before)
	}
}

// What is set on an object that says no times leaves it the ones that it had, though the bucket has changed it just now.
func TestTimesOfOthersAreKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the owner is changed")
	}
	changes := map[string]func(path string) error{
		"chmod": func(path string) error { return os.Chmod(path, 0o640) },
		"chown": func(path string) error { return os.Chown(path, 1, 2) },
		"xattr": func(path string) error { return unix.Setxattr(path, "user.a", []byte("b"), 0) },
		"atime": func(path string) error { return os.Chtimes(path, time.Unix(1, 0), time.Time{}) },
	}
	b := harness.New(t)
	for name := range changes {
		must(t, b.Server.Put(harness.Bucket, name, []byte("theirs"), nil))
	}
	before := map[string]string{}
	for name := range changes {
		before[name] = strconv.FormatInt(stat(t, b.Path(name)).Mtim.Sec, 10) // the bucket knows no more
	}
	for name, change := range changes {
		must(t, change(b.Path(name)))
	}
	b.Flush()
	for name := range changes {
		o, _ := b.Object(name)
		if got := o.Header.Get("X-Oss-Meta-Mtime"); got != before[name] {
			t.Errorf("%s: the object says that it was changed at %q, want %q", name, got, before[name])
		}
	}
}

// What changes a file's bytes moves both times, as it does on a local filesystem, what changes its attributes the one of those alone, and what changes nothing none.
func TestWhatMovesTimes(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), make([]byte, 10_000), 0o644))
	f, err := os.OpenFile(b.Path("f"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	fd, path := int(f.Fd()), b.Path("f")
	const hole, keep = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_KEEP_SIZE
	for _, x := range []struct {
		what         string
		do           func() error
		mtime, ctime bool
	}{
		{"a hole", func() error { return unix.Fallocate(fd, hole, 100, 200) }, true, true},
		{"more room", func() error { return unix.Fallocate(fd, 0, 0, 20_000) }, true, true},
		{"the size that it has", func() error { return unix.Ftruncate(fd, 20_000) }, true, true},
		{"room for later", func() error { return unix.Fallocate(fd, keep, 20_000, 100) }, false, false},
		{"no bytes", func() error { _, err := unix.Pwrite(fd, nil, 0); return err }, false, false},
		{"an attribute", func() error { return unix.Setxattr(path, "user.a", []byte("b"), 0) }, false, true},
		{"one attribute less", func() error { return unix.Removexattr(path, "user.a") }, false, true},
		{"a mode", func() error { return os.Chmod(path, 0o600) }, false, true},
	} {
		before := stat(t, path)
		must(t, x.do())
		after := stat(t, path)
		if (before.Mtim != after.Mtim) != x.mtime || (before.Ctim != after.Ctim) != x.ctime {
			t.Errorf("%s: %v and %v became %v and %v", x.what, before.Mtim, before.Ctim, after.Mtim, after.Ctim)
		}
	}
	for what, whence := range map[string]int{"data": unix.SEEK_DATA, "a hole": unix.SEEK_HOLE} {
		_, err := unix.Seek(fd, 20_000, whence)
		wantErrno(t, what+" at the end", err, syscall.ENXIO)
	}
}
