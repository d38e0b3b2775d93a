package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

const (
	actVariable  = "TEST_ACTS_AS_OSSFS"
	selfVariable = "TEST_ASKS_ITSELF" // a file of its own mount, which the process looks up
	slowest      = 25 * time.Second   // a command line that cannot work is refused sooner: 10 s, and what a virtual machine may be suspended

	processPatience = 2 * time.Minute
)

// TestMain lets the test binary be ossfs itself, so that processes, daemons and signals are real.
func TestMain(m *testing.M) {
	if os.Getenv(actVariable) != "" {
		if path := os.Getenv(selfVariable); path != "" && os.Getenv(readyVariable) != "" { // the daemon, and not who starts it
			go func() {
				for { // until its own mount is asked; it never answers then
					_, _ = os.Lstat(path)
				}
			}()
		}
		os.Exit(run(os.Args, &console{out: os.Stdout, err: os.Stderr}))
	}
	if os.Getenv(readyVariable) != "" { // run would go on for ever: each daemon would be a run of these tests
		fmt.Fprintln(os.Stderr, "a test that was to see a command line refused has mounted")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// rig is a server, a mountpoint, and an environment in which processes find nothing of this machine's.
type rig struct {
	t      *testing.T
	server *ossservertest.Server
	home   string
	mnt    string
	env    []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, server: ossservertest.NewTest(t, ossserver.Options{}), home: t.TempDir()}
	r.mnt = filepath.Join(r.home, "mnt")
	if err := os.Mkdir(r.mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	r.env = []string{
		actVariable + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "XDG_STATE_HOME=" + filepath.Join(r.home, "state"),
		"OSSFS_RUN_DIR=" + filepath.Join(r.home, "run"), "OSSFS_STATE_DIR=" + filepath.Join(r.home, "state"),
		"OSSFS_LOG_FILE=" + filepath.Join(r.home, "log"),
		"OSS_ENDPOINT=" + r.server.Endpoint, "OSS_REGION=" + ossservertest.Region,
		"OSS_ACCESS_KEY_ID=" + ossservertest.KeyID, "OSS_ACCESS_KEY_SECRET=" + ossservertest.Secret,
		"GORACE=atexit_sleep_ms=10 " + os.Getenv("GORACE"), // a program with the race detector ends a second late by default
	}
	t.Cleanup(r.unmountAll)
	return r
}

// needFuse fails a test that cannot mount, unless it is meant to be skipped.
func needFuse(t *testing.T) {
	t.Helper()
	if os.Getenv("OSSFS_TEST_NO_FUSE") != "" {
		t.Skip("OSSFS_TEST_NO_FUSE is set")
	}
	if err := checkFuse(); err != nil {
		t.Fatalf("%v (OSSFS_TEST_NO_FUSE=1 skips the tests that mount)", err)
	}
}

// needTool is where a program is that a test asks; without it the test is skipped, but not where a release is
// decided on, whose machine shall have it.
func needTool(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: apt-get install %s", program, debian)
	}
	t.Skipf("%s is missing: apt-get install %s", program, debian)
	return ""
}

// needRoot skips what only root can set up.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can set this up")
	}
}

// unmountAll ends what a failed test left mounted, and says so. It returns when the processes have ended that write below
// home: a mount is gone from the table before its process is.
func (r *rig) unmountAll() {
	all, err := mounts()
	if err != nil {
		r.t.Error(err)
	}
	for _, m := range all {
		if strings.HasPrefix(m.path, r.home) {
			r.t.Errorf("%s is left mounted", m.path)
			if err := detach(m.path); err != nil {
				r.t.Error(err)
			}
		}
	}
	eventually(r.t, "the test's processes have ended", func() bool { return len(r.processes()) == 0 })
}

// processes are those that were started with the rig's environment.
func (r *rig) processes() []string {
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		r.t.Fatal(err)
	}
	var left []string
	for _, path := range all {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte(r.home+"/")) { // an error: it has ended meanwhile
			left = append(left, filepath.Dir(path))
		}
	}
	return left
}

// processResult is how a process ended.
type processResult struct {
	status   int
	out, err string
	took     time.Duration
}

// command prepares a process of ossfs under a name of argv[0].
func (r *rig) command(name string, args ...string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), processPatience) // one that hangs is killed
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = append([]string{name}, args...)
	cmd.Env = r.env
	return cmd
}

func (r *rig) run(args ...string) processResult { return finish(r.t, r.command("ossfs", args...)) }

// with is the rig with more environment.
func (r *rig) with(entries ...string) *rig {
	other := *r
	other.env = append(append([]string{}, r.env...), entries...)
	return &other
}

func finish(t *testing.T, cmd *exec.Cmd) processResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return processResult{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

// source of a prefix of its own for each test's mount.
func (r *rig) source() string { return sourceScheme + ossservertest.Bucket }

// mount mounts as a daemon, and fails the test when that fails.
func (r *rig) mount(flags ...string) {
	r.t.Helper()
	needFuse(r.t)
	got := r.run(append(append([]string{"mount"}, flags...), r.source(), r.mnt)...)
	if got.status != 0 {
		r.t.Fatalf("mount: got %d %q\nlog:\n%s", got.status, got.err, r.log())
	}
}

func (r *rig) log() string {
	text, err := os.ReadFile(filepath.Join(r.home, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (r *rig) umount(flags ...string) {
	r.t.Helper()
	got := r.run(append(append([]string{"umount"}, flags...), r.mnt)...)
	if got.status != 0 {
		r.t.Fatalf("umount: got %d %q\nlog:\n%s", got.status, got.err, r.log())
	}
}

func (r *rig) flush() {
	r.t.Helper()
	if got := r.run("flush", r.mnt); got.status != 0 {
		r.t.Fatalf("flush: got %d %q\nlog:\n%s", got.status, got.err, r.log())
	}
}

// sending waits until something is being sent.
func (r *rig) sending() {
	r.t.Helper()
	eventually(r.t, "something is being sent", func() bool {
		e, _ := r.entry()
		return e.report.Queue.Sending > 0
	})
}

// callers are the connections that a mount's process still has to who has called it by its socket.
func callers(t *testing.T, process int) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	connected := map[string]bool{} // by what /proc calls them
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 6 && f[5] == "03" {
			connected["socket:["+f[6]+"]"] = true
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", process))
	if err != nil || len(fds) == 0 {
		t.Fatalf("of process %d we see no files: %v", process, err)
	}
	n := 0
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && connected[link] { // an error: it is closed meanwhile
			n++
		}
	}
	return n
}

// untilSent is a script, given as a func, that unmounts and shall wait for an object to be sent: the how-manieth of all, which
// stalls until it was looked at whether the mount is still there.
func (r *rig) untilSent(nth int64, key string, script func() processResult) processResult {
	r.t.Helper()
	r.server.ResetCounts()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", KeyPrefix: key, Kind: ossserver.Stall})
	ended, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		defer r.server.SetFaults()
		for r.server.Counts()["PutObject"] < nth {
			select {
			case <-ended:
				r.t.Errorf("it has ended before %s was sent", key)
				return
			case <-time.After(10 * time.Millisecond): // of real processes: there is no clock to fake
			}
		}
		for _, process := range r.processes() {
			if table, err := os.ReadFile(filepath.Join(process, "mounts")); err == nil && strings.Contains(string(table), " "+r.mnt+" fuse.ossfs ") {
				return
			}
		}
		r.t.Errorf("it was unmounted before %s is sent", key)
	}()
	defer func() { <-looked }()
	defer close(ended)
	return script()
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.mnt, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// object is what the bucket has under a key, as somebody else sees it.
func (r *rig) object(key string) (string, bool) {
	r.t.Helper()
	body, ok, err := r.server.Content(ossservertest.Bucket, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body), ok
}

// wantOneLine checks a refusal: its status, its single line, its speed.
func wantOneLine(t *testing.T, what string, got processResult, status int, want string) {
	t.Helper()
	if got.status != status || got.err != "ossfs: "+want+"\n" {
		t.Errorf("%s\n got %d %q\nwant %d %q", what, got.status, got.err, status, "ossfs: "+want+"\n")
	}
	if got.took > slowest {
		t.Errorf("%s: took %v, want under %v", what, got.took, slowest)
	}
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(10 * time.Millisecond) // of a real process: there is no clock to fake
	}
}

func isMounted(t *testing.T, path string) bool {
	t.Helper()
	m, err := mountAt(path)
	if err != nil {
		t.Fatal(err)
	}
	return m != nil
}

// foreground starts a mount that stays a child of the test.
func (r *rig) foreground(flags ...string) (*exec.Cmd, *bytes.Buffer) {
	r.t.Helper()
	needFuse(r.t)
	cmd := r.command("ossfs", append(append([]string{"mount", "--foreground"}, flags...), r.source(), r.mnt)...)
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the mount answers", func() bool { return isMounted(r.t, r.mnt) })
	return cmd, stderr
}

func signalTo(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
