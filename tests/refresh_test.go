package tests

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/tests/harness"
)

// unlisted is something that is looked up, alone in its directory, before others change it.
type unlisted struct {
	name string
	put  func(b *harness.Bed, put func(key, body string)) // before
	look func(t *testing.T, b *harness.Bed)
	then func(b *harness.Bed, put func(key, body string)) // what others do
	want func(t *testing.T, b *harness.Bed)               // after a refresh
}

func (u *unlisted) run(t *testing.T, refresh func(t *testing.T, b *harness.Bed)) {
	b := harness.New(t)
	put := func(key, body string) {
		var header http.Header
		if strings.HasSuffix(key, "link") {
			header = http.Header{"X-Oss-Meta-Mode": {strconv.Itoa(attr.TypeLink | 0o777)}}
		}
		must(t, b.Server.Put(harness.Bucket, key, []byte(body), header))
	}
	put("aside/x", "")
	put("top/d/other", "")
	u.put(b, put)
	u.look(t, b)
	u.then(b, put)
	refresh(t, b)
	u.want(t, b)
}

func unlistedOnes() []unlisted {
	type (
		T   = *testing.T
		Bed = *harness.Bed
		Put = func(key, body string)
	)
	path := func(b Bed) string { return b.Path("top", "d", "x") }
	remove := func(b Bed, key string) { must(b.T.(T), b.Server.Delete(harness.Bucket, key)) }
	return []unlisted{
		{"a changed file",
			func(_ Bed, put Put) { put("top/d/x", "old") },
			func(t T, b Bed) { wantFile(t, path(b), []byte("old")) },
			func(_ Bed, put Put) { put("top/d/x", "newer") },
			func(t T, b Bed) {
				if got := stat(t, path(b)).Size; got != 5 {
					t.Errorf("%d bytes, want 5", got)
				}
				wantFile(t, path(b), []byte("newer"))
			}},
		{"a file of ours that others have changed",
			func(b Bed, _ Put) { must(b.T.(T), os.WriteFile(path(b), []byte("ours"), 0o644)); b.Flush() },
			func(t T, b Bed) { wantFile(t, path(b), []byte("ours")) },
			func(_ Bed, put Put) { put("top/d/x", "newer") },
			func(t T, b Bed) { wantFile(t, path(b), []byte("newer")) }},
		{"a file that is gone",
			func(_ Bed, put Put) { put("top/d/x", "old") },
			func(t T, b Bed) { stat(t, path(b)) },
			func(b Bed, _ Put) { remove(b, "top/d/x") },
			func(t T, b Bed) { wantNoFile(t, path(b)) }},
		{"a new file",
			func(Bed, Put) {},
			func(t T, b Bed) { wantNoFile(t, path(b)) },
			func(_ Bed, put Put) { put("top/d/x", "new") },
			func(t T, b Bed) { wantFile(t, path(b), []byte("new")) }},
		{"a file in place of a directory",
			func(_ Bed, put Put) { put("top/d/x/f", "") },
			func(t T, b Bed) { stat(t, path(b)) },
			func(b Bed, put Put) { remove(b, "top/d/x/f"); put("top/d/x", "a file") },
			func(t T, b Bed) { wantFile(t, path(b), []byte("a file")) }},
		{"a directory in place of a file",
			func(_ Bed, put Put) { put("top/d/x", "") },
			func(t T, b Bed) { stat(t, path(b)) },
			func(b Bed, put Put) { remove(b, "top/d/x"); put("top/d/x/f", "") },
			func(t T, b Bed) { stat(t, filepath.Join(path(b), "f")) }},
		{"a link that leads elsewhere",
			func(_ Bed, put Put) { put("top/d/link", "old") },
			func(t T, b Bed) { wantLink(t, b.Path("top", "d", "link"), "old") },
			func(_ Bed, put Put) { put("top/d/link", "newer") },
			func(t T, b Bed) { wantLink(t, b.Path("top", "d", "link"), "newer") }},
	}
}

// A refresh of a directory, or of one above it, ends the belief in what was looked up below it and never listed.
// SEMANTICS 5.1
func TestRefreshOfWhatWasNotListed(t *testing.T) {
	ways := []struct {
		name string
		do   func(t *testing.T, b *harness.Bed)
	}{
		{"by the socket", func(t *testing.T, b *harness.Bed) { must(t, b.Mount.Refresh(t.Context(), "top/d")) }},
		{"by the socket, of all", func(t *testing.T, b *harness.Bed) { must(t, b.Mount.Refresh(t.Context(), "")) }},
		{"by the attribute", func(t *testing.T, b *harness.Bed) {
			must(t, unix.Setxattr(b.Path("top"), "user.oss.refresh", []byte("1"), 0))
			must(t, b.Mount.Refresh(t.Context(), "aside")) // it returns when the kernel has heard all that came before
		}},
	}
	for _, u := range unlistedOnes() {
		for _, way := range ways {
			t.Run(u.name+", "+way.name, func(t *testing.T) { u.run(t, way.do) })
		}
	}
}

// What others have made of an open file is there by its name after a refresh. The open one is stale, and then shows what it was, as a removed file does.
func TestRefreshOfAnOpenFile(t *testing.T) {
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "d/f", []byte("old"), nil))
	f, err := os.Open(b.Path("d", "f"))
	must(t, err)
	defer f.Close()
	must(t, b.Server.Put(harness.Bucket, "d/f", []byte("newer"), nil))
	must(t, b.Mount.Refresh(t.Context(), "d"))
	_, err = f.Stat()
	wantErrno(t, "fstat", err, syscall.ESTALE)
	wantSize(t, b.Path("d", "f"), 5)
	st, err := f.Stat()
	must(t, err)
	if links := st.Sys().(*syscall.Stat_t).Nlink; st.Size() != 3 || links != 0 {
		t.Errorf("what is open has %d bytes and %d names, want 3 and none", st.Size(), links)
	}
}

// What is open, and others have deleted, is ESTALE: the kernel then looks every name of a path up again, which finds what is in its place. By its
// name it is not there.
func TestOpenAndDeletedByOthers(t *testing.T) {
	b := harness.New(t)
	for _, key := range []string{"d/sub/f", "d/file", "d/stays"} {
		must(t, b.Server.Put(harness.Bucket, key, nil, nil))
	}
	for name, key := range map[string]string{"sub": "d/sub/f", "file": "d/file"} {
		f, err := os.Open(b.Path("d", name))
		must(t, err)
		defer f.Close()
		must(t, b.Server.Delete(harness.Bucket, key))
		must(t, b.Mount.Refresh(t.Context(), "d"))
		_, err = f.Stat()
		wantErrno(t, "fstat "+name, err, syscall.ESTALE)
		wantNoFile(t, b.Path("d", name))
	}
}

// What was asked for before a refresh and is answered after it is not believed.
// SEMANTICS 5.1
func TestRefreshWhileTheBucketIsAsked(t *testing.T) {
	tests := []struct {
		name, before string // what the bucket has; empty: nothing
	}{{"a file", "old"}, {"no file", ""}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := harness.New(t)
			must(t, b.Server.Put(harness.Bucket, "d/other", nil, nil))
			if tt.before != "" {
				must(t, b.Server.Put(harness.Bucket, "d/f", []byte(tt.before), nil))
			}
			stat(t, b.Path("d"))
			b.Server.ResetCounts()
			b.Server.SetFaults(ossserver.Fault{Op: "ListObjectsV2", Kind: ossserver.Stall, Stall: 500 * time.Millisecond, Count: 1})
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				_, _ = os.Stat(b.Path("d", "f")) // what it says is of before the refresh, or of after it
			}()
			harness.Eventually(t, "the question", func() bool {
				n := b.Server.Counts()
				return n["ListObjectsV2"] > 0 && n["HeadObject"] > 0
			})
			must(t, b.Server.Put(harness.Bucket, "d/f", []byte("newer"), nil))
			must(t, b.Mount.Refresh(t.Context(), "d"))
			<-asked
			harness.Eventually(t, "what the bucket has now", func() bool {
				st, err := os.Stat(b.Path("d", "f"))
				return err == nil && st.Size() == 5
			})
		})
	}
}

// A refresh does not ask for what lies elsewhere.
func TestRefreshElsewhere(t *testing.T) {
	b, kernel := observed(t)
	must(t, b.Server.Put(harness.Bucket, "a/f", []byte("old"), nil))
	must(t, b.Server.Put(harness.Bucket, "b/f", nil, nil))
	wantFile(t, b.Path("a", "f"), []byte("old"))
	wantNoFile(t, b.Path("a", "none"))
	stat(t, b.Path("b", "f"))
	before := kernel.of("lookup")
	must(t, b.Mount.Refresh(t.Context(), "b"))
	b.Server.ResetCounts()
	stat(t, b.Path("a", "f"))
	wantNoFile(t, b.Path("a", "none"))
	if n := kernel.of("lookup"); n != before {
		kernel.errorf("%d LOOKUPs of what was not refreshed", n-before)
	}
	if n := b.Server.Counts(); len(n) != 0 {
		t.Errorf("requests for what was not refreshed: %v", n)
	}
}

// Who works in a directory goes on there, under its name, when it is refreshed.
func TestRefreshTakesNobodysDirectory(t *testing.T) {
	if kernelBefore(t, 6, 2) {
		t.Skip("FUSE_EXPIRE_ONLY came with Linux 6.2")
	}
	b := harness.New(t)
	must(t, b.Server.Put(harness.Bucket, "d/sub/f", []byte("old"), nil))
	worker := exec.Command("cat")
	worker.Dir = b.Path("d", "sub")
	in, err := worker.StdinPipe()
	must(t, err)
	must(t, worker.Start())
	defer func() {
		must(t, in.Close())
		must(t, worker.Wait())
	}()
	must(t, b.Mount.Refresh(t.Context(), "d"))
	got, err := os.Readlink("/proc/" + strconv.Itoa(worker.Process.Pid) + "/cwd")
	must(t, err)
	if want := b.Path("d", "sub"); got != want {
		t.Errorf("the program works in %q, want %q", got, want)
	}
}

// A link that others have given another target shows it after the TTL, though the kernel keeps targets for ever.
// SEMANTICS 5.1
func TestLinkOfOthers(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = 20 * time.Millisecond })
	for _, target := range []string{"old", "newer"} {
		must(t, b.Server.Put(harness.Bucket, "l", []byte(target), http.Header{"X-Oss-Meta-Mode": {strconv.Itoa(attr.TypeLink | 0o777)}}))
		harness.Eventually(t, target, func() bool {
			got, err := os.Readlink(b.Path("l"))
			return err == nil && got == target
		})
	}
}

func wantNoFile(t *testing.T, path string) {
	t.Helper()
	_, err := os.Lstat(path)
	wantErrno(t, path, err, syscall.ENOENT)
}

func wantLink(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.Readlink(path)
	must(t, err)
	if got != want {
		t.Errorf("%s leads to %q, want %q", path, got, want)
	}
}
