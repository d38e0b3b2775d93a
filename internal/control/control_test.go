package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a mount that does what its fields say.
type fake struct {
	flush func(ctx context.Context, path string, report func(Progress)) (Result, error)
	left  chan struct{} // closed when a caller of Leave has gone away
}

var _ Handler = (*fake)(nil)

func (f *fake) Status(context.Context) (any, error)          { return map[string]int{"files": 3}, nil }
func (f *fake) Refresh(_ context.Context, path string) error { return errors.New("refresh " + path) }
func (f *fake) Flush(ctx context.Context, path string, report func(Progress)) (Result, error) {
	return f.flush(ctx, path, report)
}
func (f *fake) Unmount(_ context.Context, req UnmountRequest, _ func(Progress)) (Result, error) {
	if req.Lazy {
		return Result{Unsent: 1}, nil
	}
	return Result{}, &Failure{Kind: KindBusy, Text: "in use by vi"}
}
func (f *fake) Leave(ctx context.Context, req LeaveRequest, ready func(), report func(Progress)) (Result, error) {
	report(Progress{Files: 1})
	ready()
	if !req.Now { // the caller fails to unmount
		<-ctx.Done()
		close(f.left)
		return Result{}, ctx.Err()
	}
	report(Progress{})
	return Result{Unsent: 4}, nil
}

// start serves f on a socket whose path does not fit into a socket's address.
func start(t *testing.T, f *fake) *Client {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // what a crash left
		t.Fatal(err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v, want mode 0600", info, err)
	}
	s := Serve(l, f)
	c := NewClient(path)
	t.Cleanup(func() {
		c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	return c
}

func TestConversation(t *testing.T) {
	ctx := context.Background()
	c := start(t, &fake{flush: func(_ context.Context, path string, report func(Progress)) (Result, error) {
		for i := range int64(3) {
			report(Progress{Files: 3 - i, TotalFiles: 3})
		}
		return Result{Unsent: 2, UnsentBytes: 5, Reason: path}, nil
	}})
	text, err := c.Status(ctx)
	var status struct{ Files int }
	if err != nil || json.Unmarshal(text, &status) != nil || status.Files != 3 {
		t.Errorf("status: got %s, %v", text, err)
	}
	var seen []int64
	result, err := c.Flush(ctx, "a b/ü?&", func(p Progress) { seen = append(seen, p.Files) })
	if want := (Result{Unsent: 2, UnsentBytes: 5, Reason: "a b/ü?&"}); err != nil || result != want {
		t.Errorf("flush: got %+v, %v, want %+v", result, err, want)
	}
	if len(seen) != 3 || seen[2] != 1 {
		t.Errorf("progress: got %v", seen)
	}
	if err := c.Refresh(ctx, "x"); err == nil || err.Error() != "refresh x" {
		t.Errorf("refresh: got %v", err)
	}
	var failure *Failure
	if _, err := c.Unmount(ctx, UnmountRequest{}, nil); !errors.As(err, &failure) || failure.Kind != KindBusy || failure.Text != "in use by vi" {
		t.Errorf("unmount: got %v", err)
	}
	if result, err := c.Unmount(ctx, UnmountRequest{Lazy: true}, nil); err != nil || result.Unsent != 1 {
		t.Errorf("lazy unmount: got %+v, %v", result, err)
	}
}

// A caller that goes away ends its flush, and the mount goes on.
func TestCallerGoesAway(t *testing.T) {
	ended := make(chan struct{})
	c := start(t, &fake{flush: func(ctx context.Context, _ string, report func(Progress)) (Result, error) {
		report(Progress{Files: 1})
		<-ctx.Done()
		close(ended)
		return Result{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := c.Flush(ctx, "", func(Progress) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	<-ended
	if _, err := c.Status(context.Background()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The mount asks its caller to unmount, once, and hears when that fails.
func TestLeave(t *testing.T) {
	ctx := context.Background()
	f := &fake{left: make(chan struct{})}
	c := start(t, f)
	var said []string
	report := func(p Progress) { said = append(said, fmt.Sprint(p.Files)) }
	unmount := func() error { said = append(said, "unmount"); return nil }
	result, err := c.Leave(ctx, LeaveRequest{Now: true}, unmount, report)
	if got := strings.Join(said, " "); err != nil || result.Unsent != 4 || got != "1 unmount 0" {
		t.Errorf("got %+v, %v, after %s", result, err, got)
	}
	busy := errors.New("busy")
	if _, err := c.Leave(ctx, LeaveRequest{}, func() error { return busy }, report); !errors.Is(err, busy) {
		t.Errorf("got %v", err)
	}
	<-f.left
}

func TestRegistry(t *testing.T) {
	t.Setenv("OSSFS_RUN_DIR", filepath.Join(t.TempDir(), "run"))
	r := OpenRegistry()
	if all, err := r.List(); err != nil || len(all) != 0 {
		t.Errorf("before any mount: got %v, %v", all, err)
	}
	add := func(mountpoint string, pid int) func() {
		t.Helper()
		remove, err := r.Add(Entry{PID: pid, Mountpoint: mountpoint})
		if err != nil {
			t.Fatal(err)
		}
		return remove
	}
	outer := add("/mnt", os.Getpid())
	add("/mnt/in", os.Getpid())
	add("/gone", 1<<22+1) // above the highest pid there can be
	all, err := r.List()
	if err != nil || len(all) != 2 || all[0].Mountpoint != "/mnt" {
		t.Fatalf("got %v, %v", all, err)
	}
	for path, want := range map[string][2]string{
		"/mnt": {"/mnt", ""}, "/mnt/a/b": {"/mnt", "a/b"}, "/mnt/in/x": {"/mnt/in", "x"}, "/mnt/inner": {"/mnt", "inner"}, "/mntx": {}, "/gone": {},
	} {
		e, below, ok, err := r.Containing(path)
		if err != nil || ok != (want[0] != "") || e.Mountpoint != want[0] || below != want[1] {
			t.Errorf("%s: got %s %q %v %v, want %v", path, e.Mountpoint, below, ok, err, want)
		}
	}
	add("/mnt", 1) // another process took the mountpoint over: ours does not remove its entry
	outer()
	if _, ok, err := r.Find("/mnt"); !ok || err != nil {
		t.Errorf("the new mount's entry is gone: %v", err)
	}
}

func TestRegistryOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OSSFS_RUN_DIR", dir)
	if _, err := OpenRegistry().Add(Entry{Mountpoint: "/mnt"}); err == nil || !strings.Contains(err.Error(), "no one else can write to") {
		t.Errorf("got %v", err)
	}
}

// Another user's entry counts when the process is his, and never before one of ours.
func TestEntriesOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can write files of others")
	}
	r := &Registry{own: t.TempDir(), others: []string{t.TempDir()}}
	put := func(dir string, e Entry, uid int) {
		t.Helper()
		text, err := json.Marshal(e)
		path := filepath.Join(dir, entryName(e.Mountpoint))
		if err := errors.Join(err, os.WriteFile(path, text, 0o644), os.Chown(path, uid, uid)); err != nil {
			t.Fatal(err)
		}
	}
	his := exec.Command("sleep", "60")
	his.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4321}}
	if err := his.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = his.Process.Kill()
		_ = his.Wait()
	}()
	put(r.own, Entry{Mountpoint: "/ours", PID: os.Getpid(), Socket: "right"}, 0)
	put(r.others[0], Entry{Mountpoint: "/ours", PID: his.Process.Pid, Socket: "wrong"}, 4321)
	put(r.others[0], Entry{Mountpoint: "/his", PID: his.Process.Pid, Socket: "right"}, 4321)
	put(r.others[0], Entry{Mountpoint: "/claimed", PID: os.Getpid(), Socket: "wrong"}, 4321)
	for path, want := range map[string]bool{"/ours": true, "/his": true, "/claimed": false} {
		e, found, err := r.Find(path)
		if err != nil || found != want || found && e.Socket != "right" {
			t.Errorf("%s: got %+v, %v, %v", path, e, found, err)
		}
		if e, _, found, err := r.Containing(path + "/x"); err != nil || found != want || found && e.Socket != "right" {
			t.Errorf("in %s: got %+v, %v, %v", path, e, found, err)
		}
	}
}
