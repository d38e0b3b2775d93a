package harness

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// Bucket is the bucket's name.
	Bucket = ossservertest.Bucket
	// NoFuse is the environment variable that lets tests without /dev/fuse be skipped.
	NoFuse = "OSSFS_TEST_NO_FUSE"

	patience = time.Minute
)

// Bed is a bucket and, most of the time, a mount of it.
type Bed struct {
	T       testing.TB
	Server  *ossservertest.Server
	Options fs.Options // of the next mount
	Dir     string     // the mountpoint
	Mount   *fs.Mount  // nil while unmounted
}

// RequireFuse skips or fails a test where nothing can be mounted.
func RequireFuse(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
		return
	}
	if os.Getenv(NoFuse) == "1" {
		t.Skipf("%s=1: %v", NoFuse, err)
	}
	t.Fatalf("this test mounts, and cannot: %v (%s=1 skips it)", err, NoFuse)
}

// New starts a server and mounts its bucket. The write-back delay is long, so that nothing is sent
// unless the test asks for it; change may change that and all else.
func New(t testing.TB, change ...func(*fs.Options)) *Bed {
	t.Helper()
	b := Unmounted(t, change...)
	b.Attach()
	return b
}

// Unmounted is New before the mount.
func Unmounted(t testing.TB, change ...func(*fs.Options)) *Bed {
	t.Helper()
	return On(t, ossservertest.NewTest(t, ossserver.Options{}), change...)
}

// On is Unmounted with a server that the test has made.
func On(t testing.TB, s *ossservertest.Server, change ...func(*fs.Options)) *Bed {
	t.Helper()
	RequireFuse(t)
	top := t.TempDir()
	b := &Bed{T: t, Server: s, Dir: filepath.Join(top, "mnt")}
	if err := os.Mkdir(b.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.Options = fs.Options{
		Bucket: Client(t, s), Mountpoint: b.Dir, StateDir: filepath.Join(top, "state"), AllowOther: os.Geteuid() == 0,
		Defaults: attr.Defaults{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), FileMode: 0o644, DirMode: 0o755},
		TTL:      time.Minute, WriteBack: time.Hour, Memory: 256 << 20, Logger: Logger(t),
	}
	for _, f := range change {
		f(&b.Options)
	}
	t.Cleanup(func() {
		if b.Mount != nil {
			b.Detach()
		}
		b.checkGone()
	})
	return b
}

// Client is a client of the server's bucket.
func Client(t testing.TB, s *ossservertest.Server) *ossclient.Bucket {
	t.Helper()
	b, err := ossclient.Open(t.Context(), ossclient.Config{
		Bucket: Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: key{}, Logger: Logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// key is the server's access key.
type key struct{}

func (key) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}, nil
}

// Logger writes to the test's log, as long as the test lasts.
func Logger(t testing.TB) *slog.Logger {
	level := slog.LevelInfo
	if os.Getenv("OSSFS_TEST_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: level}))
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

// Attach mounts.
func (b *Bed) Attach() {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := fs.Start(ctx, b.Options)
	if err != nil {
		b.T.Fatalf("mount: %v", err)
	}
	b.Mount = m
	if err := quietPoller(b.Dir); err != nil {
		b.T.Fatal(err)
	}
}

// quietPoller has the kernel learn that the mount does not know poll(2). Else the first file that this process opens by
// package os is polled by Go's runtime, which waits for the answer with the scheduler held, that we need to answer. A
// file of that name go-fuse keeps for this.
func quietPoller(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, perr := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return errors.Join(perr, unix.Close(fd))
}

// Detach unmounts and closes; what is unsent stays in the state directory.
func (b *Bed) Detach() {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection := connectionOf(b.Dir)
	if err := b.Mount.Unmount(ctx); err != nil {
		b.T.Errorf("unmount: %v", err)
		if err := b.Mount.Detach(); err != nil {
			b.T.Errorf("detach: %v", err)
		}
		// A file of the mount that this process has open would hang it when it exits.
		abort(b.T, connection)
		b.Mount.Wait()
	}
	if err := b.Mount.Close(ctx); err != nil {
		b.T.Errorf("close: %v", err)
	}
	b.Mount = nil
}

// Remount unmounts and mounts again, with the same state directory: what was unsent is still unsent.
func (b *Bed) Remount() {
	b.T.Helper()
	b.Detach()
	b.Attach()
}

// Afresh sends everything and mounts again with an empty state directory: what then is seen, the
// bucket has.
func (b *Bed) Afresh() {
	b.T.Helper()
	b.Flush()
	b.Detach()
	b.Options.StateDir = filepath.Join(b.T.TempDir(), "state")
	b.Attach()
}

// Flush returns when the bucket has everything.
func (b *Bed) Flush() {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Mount.Flush(ctx, "", nil); err != nil {
		b.T.Fatalf("flush: %v", err)
	}
}

// Path is a path in the mount.
func (b *Bed) Path(names ...string) string {
	return filepath.Join(append([]string{b.Dir}, names...)...)
}

// Object is what the bucket has at key, and its bytes; the test fails when there is none.
func (b *Bed) Object(key string) (ossserver.ObjectInfo, []byte) {
	b.T.Helper()
	o, ok := b.Server.Object(Bucket, key)
	if !ok {
		b.T.Fatalf("the bucket has no object %q; it has %q", key, b.Server.Keys(Bucket))
	}
	body, err := o.Body()
	if err != nil {
		b.T.Fatalf("object %q: %v", key, err)
	}
	return o, body
}

// checkGone fails the test when the mount is still in the kernel's list.
func (b *Bed) checkGone() {
	b.T.Helper()
	list, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		b.T.Error(err)
		return
	}
	for line := range strings.Lines(string(list)) {
		if strings.Contains(line, " "+b.Dir+" ") {
			b.T.Errorf("a mount is left behind: %s", line)
		}
	}
}

// Eventually fails the test unless ok becomes true within the time that a busy machine may take. It is for what the kernel is told
// in the background.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
