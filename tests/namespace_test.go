package tests

import (
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// SEMANTICS 3.1, 3.2: every key is found by walking the tree, each at one path, and the path that is shown leads to it again.
func TestEveryKeyHasOnePath(t *testing.T) {
	b := harness.Unmounted(t)
	keys := []string{
		"a", "a/b", "a/c/d", "dir/", "dir/x", "s//t", "s//", "s///u", "s/./u", "s/../v", "s/.", "s/..", "s/" + strings.Repeat("l", 300),
		"s/" + strings.Repeat("l", 300) + "/below", "s/\x01\n\t\x7f", "s/é", "s/%oss:key=.", "s/%oss:file=x", "s/%oss:content", "s/x y+z&<>",
		strings.Repeat("deep/", 100) + "end", "s/...", "s/ ", "s/\\",
	}
	want := map[string]bool{}
	for _, k := range keys {
		body := k
		if k == "s//" { // a directory's object without content is the directory
			body = ""
		} else {
			want[k] = true
		}
		must(t, b.Server.Put(harness.Bucket, k, []byte(body), nil))
	}
	for range 2 {
		b.Attach()
		seen := map[string]string{} // key by path
		must(t, filepath.WalkDir(b.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := os.ReadFile(path)
			seen[path] = string(body)
			return err
		}))
		found := map[string]bool{}
		for path, k := range seen {
			if !want[k] || found[k] {
				t.Errorf("%q shows %q: not a key, or a second time", path, k)
			}
			found[k] = true
		}
		for k := range want {
			if !found[k] {
				t.Errorf("key %q is not found", k)
			}
		}
		wantFile(t, b.Path("s", "é"), []byte("s/é"))
		wantFile(t, b.Path("%oss:file=a"), []byte("a"))
		wantFile(t, b.Path("dir", "%oss:content"), []byte("dir/"))
		b.Detach()
		b.Options.StateDir = filepath.Join(t.TempDir(), "state") // and once more, as another mount sees it
	}
	b.Attach()
}

// SEMANTICS 3.3
func TestNamesThatAreNoKeys(t *testing.T) {
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("\xff\xfe"), []byte("bytes"), 0o644))
	b.Afresh()
	wantNames(t, b.Dir, "\xff\xfe")
	wantFile(t, b.Path("\xff\xfe"), []byte("bytes"))
	if keys := b.Server.Keys(harness.Bucket); !slices.Equal(keys, []string{"%oss:bytes=%FF%FE"}) {
		t.Errorf("in the bucket: %q", keys)
	}
	long := b.Dir
	for range 4 {
		long = filepath.Join(long, strings.Repeat("d", 250))
		must(t, os.Mkdir(long, 0o755))
	}
	must(t, os.WriteFile(filepath.Join(long, strings.Repeat("f", 1023-4*251)), nil, 0o644))
	wantErrno(t, "a key of 1,024 bytes", os.WriteFile(filepath.Join(long, strings.Repeat("f", 1024-4*251)), nil, 0o644), syscall.ENAMETOOLONG)
}

// The name of a file beside a directory is none where there is no such directory: what is made under it would replace the file that has
// its own name.
// SEMANTICS 3.1, 3.2
func TestNameOfAFileBesideADirectory(t *testing.T) {
	const beside = "%oss:file=f"
	b := harness.New(t)
	must(t, os.WriteFile(b.Path("f"), []byte("data"), 0o644))
	must(t, os.WriteFile(b.Path("other"), []byte("other"), 0o644))
	refused := func() {
		t.Helper()
		wantErrno(t, "create", os.WriteFile(b.Path(beside), []byte("lost"), 0o644), syscall.EINVAL)
		wantErrno(t, "mkdir", os.Mkdir(b.Path(beside), 0o755), syscall.EINVAL)
		wantErrno(t, "symlink", os.Symlink("other", b.Path(beside)), syscall.EINVAL)
		wantErrno(t, "rename", os.Rename(b.Path("other"), b.Path(beside)), syscall.EINVAL)
		wantFile(t, b.Path("f"), []byte("data"))
		wantNames(t, b.Dir, "f", "other")
	}
	refused()
	b.Afresh()
	refused()
	must(t, b.Server.Put(harness.Bucket, "f/in", nil, nil))
	must(t, b.Mount.Refresh(t.Context(), ""))
	wantFile(t, b.Path(beside), []byte("data"))
	must(t, os.Remove(b.Path(beside)))
	wantErrno(t, "mkdir beside a directory", os.Mkdir(b.Path(beside), 0o755), syscall.EINVAL)
	must(t, os.WriteFile(b.Path(beside), []byte("data"), 0o644))
	wantNames(t, b.Dir, "f", beside, "other")
	must(t, os.RemoveAll(b.Path("f")))
	must(t, b.Mount.Refresh(t.Context(), ""))
	refused()
}

// SEMANTICS 4.2
func TestObjectsOfOthersHaveTheDefaults(t *testing.T) {
	b := harness.Unmounted(t, func(o *fsOptions) {
		o.Defaults.UID, o.Defaults.GID, o.Defaults.FileMode, o.Defaults.DirMode = 12, 34, 0o640, 0o710
	})
	must(t, b.Server.Put(harness.Bucket, "d/f", []byte("x"), nil))
	o, _ := b.Server.Object(harness.Bucket, "d/f")
	b.Attach()
	f, d := stat(t, b.Path("d", "f")), stat(t, b.Path("d"))
	if f.Mode != syscall.S_IFREG|0o640 || d.Mode != syscall.S_IFDIR|0o710 || f.Uid != 12 || f.Gid != 34 || d.Uid != 12 || d.Gid != 34 {
		t.Errorf("got %o %d:%d and %o %d:%d", f.Mode, f.Uid, f.Gid, d.Mode, d.Uid, d.Gid)
	}
	if want := o.LastModified.Unix(); f.Mtim.Sec != want || f.Ctim.Sec != want {
		t.Errorf("times: got %d and %d, want LastModified, %d", f.Mtim.Sec, f.Ctim.Sec, want)
	}
}

// SEMANTICS 4.3
func TestReadingChangesNoTimes(t *testing.T) {
	b := harness.New(t)
	must(t, os.Mkdir(b.Path("d"), 0o755))
	must(t, os.WriteFile(b.Path("d", "f"), []byte("x"), 0o644))
	old := time.Unix(1_000_000_000, 0)
	must(t, os.Chtimes(b.Path("d", "f"), old, old))
	must(t, os.Chtimes(b.Path("d"), old, old))
	b.Afresh()
	wantFile(t, b.Path("d", "f"), []byte("x"))
	wantNames(t, b.Path("d"), "f")
	if f, d := stat(t, b.Path("d", "f")), stat(t, b.Path("d")); f.Atim.Sec != old.Unix() || d.Mtim.Sec != old.Unix() {
		t.Errorf("after reading: atime %d, the directory's mtime %d, want %d", f.Atim.Sec, d.Mtim.Sec, old.Unix())
	}
	must(t, os.WriteFile(b.Path("d", "g"), nil, 0o644))
	if d := stat(t, b.Path("d")); d.Mtim.Sec == old.Unix() {
		t.Error("a new entry did not change the directory's mtime")
	}
	b.Afresh()
	if d := stat(t, b.Path("d")); d.Mtim.Sec != old.Unix() {
		t.Errorf("the directory's mtime of the last mount was stored: %d", d.Mtim.Sec)
	}
}

// SEMANTICS 5.1: entries, attributes and pages that the kernel has are of what the bucket had a TTL ago at most.
func TestChangesByOthersAreSeenAfterTheTTL(t *testing.T) {
	const ttl = 400 * time.Millisecond
	b := harness.Unmounted(t, func(o *fsOptions) { o.TTL = ttl })
	put := func(key, body string) { must(t, b.Server.Put(harness.Bucket, key, []byte(body), nil)) }
	put("d/changed", "old")
	put("d/gone", "old")
	b.Attach()
	look := func() (state string) {
		body, _ := os.ReadFile(b.Path("d", "changed"))
		_, gone := os.Stat(b.Path("d", "gone"))
		_, made := os.Stat(b.Path("d", "made"))
		return string(body) + " " + strconv.FormatBool(gone == nil) + " " + strconv.FormatBool(made == nil)
	}
	if got := look(); got != "old true false" {
		t.Fatalf("at first: got %q", got)
	}
	put("d/changed", "newer")
	must(t, b.Server.Delete(harness.Bucket, "d/gone"))
	put("d/made", "x")
	changed := time.Now()
	harness.Eventually(t, "what others changed", func() bool { return look() == "newer false true" })
	if took := time.Since(changed); took > ttl+20*time.Second { // for a machine that does much else; who believes for the minute that is usual needs longer
		t.Errorf("seen after %v, want %v", took, ttl)
	}
}

// Everything that is remembered may be deleted at any moment; only time is lost.
func TestIndexDeletedWhileMounted(t *testing.T) {
	b := harness.New(t)
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(b.Path(name), []byte(name), 0o600))
	}
	b.Flush()
	must(t, os.RemoveAll(filepath.Join(b.Options.StateDir, "index")))
	must(t, os.WriteFile(b.Path("d"), []byte("d"), 0o640))
	b.Flush()
	check := func() {
		t.Helper()
		wantNames(t, b.Dir, "a", "b", "c", "d")
		for name, mode := range map[string]uint32{"a": 0o600, "b": 0o600, "c": 0o600, "d": 0o640} {
			wantFile(t, b.Path(name), []byte(name))
			if got := stat(t, b.Path(name)).Mode & 0o7777; got != mode {
				t.Errorf("%s: got mode %o, want %o", name, got, mode)
			}
		}
	}
	check()
	b.Remount()
	check()
}

// SEMANTICS 4.5: an incremental dump of another mount of the same bucket has no file that did not change.
func TestIncrementalTar(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip(err)
	}
	b := harness.New(t)
	must(t, os.MkdirAll(b.Path("d", "e"), 0o755))
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"d/one", "d/e/two", "three"} {
		must(t, os.WriteFile(b.Path(name), []byte(name), 0o644))
		must(t, os.Chtimes(b.Path(name), old, old))
	}
	b.Afresh()
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	dump := func() string {
		t.Helper()
		cmd := exec.Command("tar", "--listed-incremental="+snapshot, "--no-check-device", "-C", b.Dir, "-cvf", "/dev/null", ".")
		out, err := cmd.Output()
		must(t, err)
		return string(out)
	}
	if got := dump(); !strings.Contains(got, "./d/e/two") {
		t.Fatalf("the first dump has %q", got)
	}
	b.Afresh()
	must(t, os.WriteFile(b.Path("d", "new"), []byte("new"), 0o644))
	got := dump()
	for _, name := range []string{"one", "two", "three"} {
		if strings.Contains(got, name) {
			t.Errorf("%s did not change, and is in the second dump:\n%s", name, got)
		}
	}
	if !strings.Contains(got, "./d/new") {
		t.Errorf("the second dump lacks what is new:\n%s", got)
	}
}

// SEMANTICS 2.5, 4.4: an URL that anybody may use for an hour, the storage class, and what is archived.
func TestXattrsThatAskOSS(t *testing.T) {
	var now clock
	var log lockedBuffer
	s := ossservertest.NewTest(t, ossserver.Options{Now: now.Now, RestoreTime: time.Second})
	b := harness.On(t, s, func(o *fsOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	must(t, s.Put(harness.Bucket, "cold", []byte("archived"), http.Header{"X-Oss-Storage-Class": {"Archive"}}))
	must(t, s.Put(harness.Bucket, "f", []byte("content"), nil))
	b.Attach()

	link := xattr(t, b.Path("f"), "user.oss.url")
	resp, err := http.Get(link)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if string(body) != "content" || !strings.Contains(link, "3600") {
		t.Errorf("%s: got %q", link, body)
	}

	must(t, unix.Setxattr(b.Path("f"), "user.oss.storage-class", []byte("IA"), 0))
	b.Flush()
	if o, body := b.Object("f"); o.StorageClass != "IA" || string(body) != "content" {
		t.Errorf("after storage-class: got %s, %q", o.StorageClass, body)
	}
	must(t, s.Put(harness.Bucket, "foreign", []byte("content"), http.Header{"X-Oss-Storage-Class": {"IA"}}))
	must(t, os.Chmod(b.Path("foreign"), 0o600))
	b.Flush()
	must(t, os.Rename(b.Path("foreign"), b.Path("renamed")))
	if o, _ := b.Object("renamed"); o.StorageClass != "IA" { // SEMANTICS 1.11
		t.Errorf("after chmod and rename: got %s", o.StorageClass)
	}

	_, err = os.ReadFile(b.Path("cold"))
	wantErrno(t, "read of an archived object", err, syscall.ENODATA)
	if got := log.String(); !strings.Contains(got, "user.oss.restore") {
		t.Errorf("the log does not say how to restore:\n%s", got)
	}
	if got := xattr(t, b.Path("cold"), "user.oss.storage-class"); got != "Archive" {
		t.Errorf("storage class: got %q", got)
	}
	wantErrno(t, "restore for no days", unix.Setxattr(b.Path("cold"), "user.oss.restore", []byte("0"), 0), syscall.EINVAL)
	must(t, unix.Setxattr(b.Path("cold"), "user.oss.restore", []byte("2"), 0))
	if got := xattr(t, b.Path("cold"), "user.oss.restore"); got != `ongoing-request="true"` {
		t.Errorf("under way: got %q", got)
	}
	now.advance(2 * time.Second)
	if got := xattr(t, b.Path("cold"), "user.oss.restore"); !strings.HasPrefix(got, `ongoing-request="false"`) {
		t.Errorf("restored: got %q", got)
	}
	wantFile(t, b.Path("cold"), []byte("archived"))
}

// SEMANTICS 4.4: the version's number, also of an object whose attributes the index has.
func TestVersionID(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	target, err := url.Parse(s.Endpoint)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodHead {
			r.Header.Set("X-Oss-Version-Id", "version of "+r.Request.URL.Path)
		}
		return nil
	}
	relay := httptest.NewServer(proxy)
	t.Cleanup(relay.Close)
	front := ossservertest.Server{Server: s.Server, Endpoint: relay.URL}
	b := harness.On(t, &front)
	must(t, s.Put(harness.Bucket, "f", []byte("x"), nil))
	b.Attach()
	for range 2 {
		if got, want := xattr(t, b.Path("f"), "user.oss.version-id"), "version of /"+harness.Bucket+"/f"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		b.Remount()
	}
}

// clock is a server's time.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
