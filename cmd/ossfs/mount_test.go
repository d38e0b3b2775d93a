package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// registered is what a test wants to know of a mount.
type registered struct {
	pid    string
	number int
	report report
}

func (r *rig) entry() (registered, bool) {
	r.t.Helper()
	got := r.run("status", "--json", r.mnt)
	if got.status != 0 {
		return registered{}, false
	}
	var rep report
	if err := json.Unmarshal([]byte(got.out), &rep); err != nil {
		r.t.Fatalf("status --json: %v:\n%s", err, got.out)
	}
	return registered{strconv.Itoa(rep.PID), rep.PID, rep}, true
}

func TestMountWriteUmount(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h") // nothing is sent before it has to be
	r.write("hello", "world")
	if _, there := r.object("hello"); there {
		t.Error("the object is there before the delay has passed")
	}
	e, _ := r.entry()
	if e.report.Queue.Waiting != 1 || e.report.Queue.Bytes != 5 || e.report.Source != r.source() {
		t.Errorf("status: got %+v", e.report.Queue)
	}
	if got := r.run("status"); got.status != 0 || !strings.Contains(got.out, r.source()+" on "+r.mnt) || !strings.Contains(got.out, "1 waiting") {
		t.Errorf("status: got %d %q", got.status, got.out)
	}
	got := r.run("flush", filepath.Join(r.mnt, "hello"))
	if body, _ := r.object("hello"); got.status != 0 || body != "world" {
		t.Errorf("flush: got %d %q, the bucket has %q", got.status, got.err, body)
	}
	missing := filepath.Join(r.mnt, "missing")
	wantOneLine(t, "flush of nothing", r.run("flush", missing), exitFailed, "flush "+missing+": no such file or directory")
	wantOneLine(t, "refresh of a file", r.run("flush", "--refresh", filepath.Join(r.mnt, "hello")), exitFailed, "refresh "+filepath.Join(r.mnt, "hello")+": not a directory")
	r.write("more", "words")
	r.umount()
	if body, _ := r.object("more"); body != "words" {
		t.Errorf("after umount the bucket has %q", body)
	}
	eventually(t, "the process is gone", func() bool { return syscall.Kill(e.number, 0) != nil })
	wantOneLine(t, "umount again", r.run("umount", r.mnt), exitFailed, "umount "+r.mnt+": nothing is mounted there: ossfs status lists the mounts")
	if got := r.run("status"); got.out != "no mounts of ossfs\n" {
		t.Errorf("status: got %q", got.out)
	}
}

// --log-level debug shows each request to OSS, and --debug alone those of the kernel as well.
func TestDebugLogs(t *testing.T) {
	for _, tt := range []struct {
		flags  []string
		kernel bool
	}{
		{[]string{"--log-level", "debug"}, false},
		{[]string{"--debug"}, true},
	} {
		r := newRig(t)
		r.mount(tt.flags...)
		r.write("hello", "world")
		r.umount()
		log := r.log()
		if !regexp.MustCompile(`msg=request op=PutObject key=hello status=200 duration=\S+ sent=5 received=0`).MatchString(log) {
			t.Errorf("%q: the PutObject is not in the log:\n%s", tt.flags, log)
		}
		if got := strings.Contains(log, "CREATE n1"); got != tt.kernel {
			t.Errorf("%q: the kernel's CREATE is in the log: %v, want %v", tt.flags, got, tt.kernel)
		}
	}
}

// umount(8) by somebody else: the process notices, sends, and ends.
func TestForeignUmount(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	if err := detach(r.mnt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process ends", func() bool { return syscall.Kill(e.number, 0) != nil })
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("the bucket has %q\n%s", body, r.log())
	}
}

func TestSignalSendsAndEnds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			r := newRig(t)
			cmd, _ := r.foreground("--write-back", "1h")
			r.write("hello", "world")
			signalTo(t, cmd, sig)
			if err := cmd.Wait(); err != nil {
				t.Errorf("got %v, want status 0\n%s", err, r.log())
			}
			if body, _ := r.object("hello"); body != "world" {
				t.Errorf("the bucket has %q", body)
			}
		})
	}
}

// A second signal ends at once; the next mount sends the rest.
func TestSecondSignal(t *testing.T) {
	r := newRig(t)
	cmd, stderr := r.foreground("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetLatency(time.Hour)
	signalTo(t, cmd, syscall.SIGTERM)
	eventually(t, "the first signal is heard", func() bool { return strings.Contains(r.log(), "ending") })
	signalTo(t, cmd, syscall.SIGTERM)
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitUnsent {
		t.Errorf("got %v, want status 3", err)
	}
	if want := "ended at once: 1 files (5B) are unsent: they are kept in "; !strings.Contains(stderr.String(), want) {
		t.Errorf("got %q, want %q", stderr, want)
	}
	r.server.SetLatency(0)
	r.mount()
	r.umount()
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("after the next mount the bucket has %q", body)
	}
}

// A shutdown that has taken the network away does not wait for it: the next mount sends what is left.
func TestSignalWithoutNetwork(t *testing.T) {
	r := newRig(t)
	cmd, stderr := r.foreground("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetFaults(ossserver.Fault{Kind: ossserver.ResetBefore})
	start := time.Now()
	signalTo(t, cmd, syscall.SIGTERM)
	err := cmd.Wait()
	if took := time.Since(start); cmd.ProcessState.ExitCode() != exitUnsent || took < exitSilence {
		t.Errorf("got %v after %v, want status 3 some time after %v", err, took, exitSilence)
	}
	if want := "OSS does not answer: 1 files (5B) are unsent: they are kept in "; !strings.Contains(stderr.String(), want) {
		t.Errorf("got %q, want %q", stderr, want)
	}
	r.server.SetFaults()
	r.mount()
	r.umount()
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("after the next mount the bucket has %q", body)
	}
}

// A shutdown unmounts and then sends SIGTERM: that one is the first.
func TestSignalAfterForeignUmount(t *testing.T) {
	r := newRig(t)
	cmd, stderr := r.foreground("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Stall, Count: 1})
	if err := detach(r.mnt); err != nil {
		t.Fatal(err)
	}
	r.sending()
	signalTo(t, cmd, syscall.SIGTERM)
	eventually(t, "the signal is heard", func() bool { return strings.Contains(r.log(), "ending") })
	r.server.SetFaults()
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want everything sent\n%s", err, stderr)
	}
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("the bucket has %q", body)
	}
}

// A killed mount is replaced by the next, which sends what it had.
func TestDeadMountIsReplaced(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	if err := syscall.Kill(e.number, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is dead", func() bool { return isDead(r.mnt) })
	wantOneLine(t, "status of a dead mount", r.run("status", r.mnt), exitFailed, "status "+r.mnt+
		": the mount is dead: its process was killed or crashed: mount "+r.source()+" there again, which sends what is left")
	got := r.run("mount", r.source(), r.mnt)
	want := "ossfs: " + r.mnt + ": a dead mount was there (its process was killed or crashed); it is replaced\n"
	if got.status != 0 || got.err != want {
		t.Fatalf("got %d %q, want %q", got.status, got.err, want)
	}
	text, err := os.ReadFile(filepath.Join(r.mnt, "hello"))
	if err != nil || string(text) != "world" {
		t.Errorf("got %q, %v", text, err)
	}
	r.umount()
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("the bucket has %q", body)
	}
}

// A process is killed while the kernel keeps one of its threads, for an answer that the process itself would have given. So the mount is not dead, and
// whoever uses it hangs: until it is mounted again, or unmounted.
func TestKilledMountThatHangs(t *testing.T) {
	needRoot(t)
	for name, cure := range map[string]func(r *rig) processResult{
		"mounted again":          func(r *rig) processResult { return r.run("mount", r.source(), r.mnt) },
		"unmounted":              func(r *rig) processResult { return r.run("umount", r.mnt) },
		"unmounted by umount(8)": func(r *rig) processResult { return r.command8(r.mnt) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.env = append(r.env, selfVariable+"="+filepath.Join(r.mnt, "own"))
			r.mount("--write-back", "1h", "--attr-ttl", "0s")
			r.env = r.env[:len(r.env)-1]
			r.write("hello", "world")
			r.server.SetFaults(ossserver.Fault{Op: "HeadObject", KeyPrefix: "own", Kind: ossserver.Stall})
			e, _ := r.entry()
			eventually(t, "the mount waits for itself", func() bool { return waitsForFUSE(t, e.number) })
			if err := syscall.Kill(e.number, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			wantOneLine(t, "status", r.run("status", r.mnt), exitFailed, "status "+r.mnt+": the mount hangs: its process was killed, and the kernel has not let go of it: mount "+
				r.source()+" there again, which frees whoever waits for it, and sends what is left")
			if got := cure(r); got.status != 0 && got.status != helperUnsent {
				t.Fatalf("got %d %q", got.status, got.err)
			}
			r.server.SetFaults()
			if !isMounted(t, r.mnt) {
				r.mount()
			}
			if text, err := os.ReadFile(filepath.Join(r.mnt, "hello")); err != nil || string(text) != "world" {
				t.Errorf("got %q, %v", text, err)
			}
			r.umount()
			if body, _ := r.object("hello"); body != "world" {
				t.Errorf("the bucket has %q", body)
			}
		})
	}
}

// waitsForFUSE says whether a thread of a process waits for an answer of FUSE's.
func waitsForFUSE(t *testing.T, pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range threads {
		if where, err := os.ReadFile(name); err == nil && string(where) == "request_wait_answer" { // an error: it has ended
			return true
		}
	}
	return false
}

// Who gives a directory in a mount is told which mount that is.
func TestUmountOfADirectoryInAMount(t *testing.T) {
	r := newRig(t)
	r.mount()
	sub := filepath.Join(r.mnt, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, "umount", r.run("umount", sub), exitFailed, "umount "+sub+": it is no mountpoint, and lies in the mount of "+r.source()+": ossfs umount "+r.mnt)
	r.umount()
}

func TestUmountOfADeadMount(t *testing.T) {
	r := newRig(t)
	r.mount()
	e, _ := r.entry()
	if err := syscall.Kill(e.number, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is dead", func() bool { return isDead(r.mnt) })
	got := r.run("umount", r.mnt)
	want := "ossfs: " + r.mnt + " was dead and is removed; what it had not sent is kept, and sent by the next mount of " + r.source() + "\n"
	if got.status != 0 || got.err != want || isMounted(t, r.mnt) {
		t.Errorf("got %d %q, want %q", got.status, got.err, want)
	}
}

func TestBusyUmountNamesTheHolder(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("held", "x")
	sleeper := exec.Command("sleep", "60")
	sleeper.Dir = r.mnt
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = sleeper.Process.Kill() // gone already at the end
		_ = sleeper.Wait()
	}
	defer end()
	wantOneLine(t, "umount", r.run("umount", r.mnt), exitFailed, "umount "+r.mnt+": the mount is in use by sleep (pid "+
		strconv.Itoa(sleeper.Process.Pid)+"): end it, or ossfs umount --lazy "+r.mnt)
	if !isMounted(t, r.mnt) {
		t.Error("the mount is gone")
	}
	end()
	r.umount()
}

// What cannot be sent is kept, said, and sent when it can be.
func TestUmountWithSomethingUnsent(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	got := r.run("umount", "--now", r.mnt)
	if got.status != exitUnsent || !strings.Contains(got.err, "1 files (5B) could not be sent") {
		t.Errorf("got %d %q", got.status, got.err)
	}
	r.mount()
	r.umount()
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("the bucket has %q", body)
	}
}

// Ctrl-C of umount leaves the mount as it is: it sends, and is not taken away when that is done.
func TestUmountInterrupted(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Stall, Count: 1})
	cmd := r.command("ossfs", "umount", r.mnt)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.sending()
	signalTo(t, cmd, syscall.SIGINT)
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitUnsent || !strings.Contains(stderr.String(), "they are safe in ") {
		t.Errorf("got %d %q", cmd.ProcessState.ExitCode(), stderr.String())
	}
	eventually(t, "the mount has heard that umount is gone", func() bool { return callers(t, e.number) == 0 })
	r.server.SetFaults()
	eventually(t, "it is sent all the same", func() bool { _, there := r.object("hello"); return there })
	for i := range 20 { // an unmount that went on would be here by then
		name := fmt.Sprint("more", i)
		r.write(name, "content")
		if got := r.run("flush", r.mnt); got.status != 0 {
			t.Fatalf("flush of the mount: got %d %q", got.status, got.err)
		}
		if _, there := r.object(name); !there || !isMounted(t, r.mnt) {
			t.Fatalf("the mount is gone, or does not send any more: %s was sent: %v", name, there)
		}
	}
	r.server.SetLatency(time.Hour)
	r.write("late", "content")
	if got := r.run("umount", "--now", r.mnt); got.status != exitUnsent {
		t.Errorf("umount --now: got %d %q, want 3", got.status, got.err)
	}
	r.server.SetLatency(0)
	r.mount()
	r.umount()
	if _, there := r.object("late"); !there {
		t.Error("what umount --now has left was not sent by the next mount")
	}
}

// A mount that is told to end serves as long as it sends, and is taken away then.
func TestEndingMountServes(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Stall, Count: 1})
	if err := syscall.Kill(e.number, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.sending()
	if body, err := os.ReadFile(filepath.Join(r.mnt, "hello")); err != nil || string(body) != "world" {
		t.Errorf("read while it ends: got %q (%v)", body, err)
	}
	r.write("late", "content")
	r.server.SetFaults()
	eventually(t, "the mount is gone", func() bool { return !isMounted(t, r.mnt) })
	for _, name := range []string{"hello", "late"} {
		eventually(t, name+" is sent", func() bool { _, there := r.object(name); return there })
	}
}

func TestLogRotationAndReport(t *testing.T) {
	r := newRig(t)
	r.mount()
	defer r.umount()
	e, _ := r.entry()
	path := filepath.Join(r.home, "log")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(e.number, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is re-opened", func() bool { return strings.Contains(r.log(), "log re-opened") })
	if err := syscall.Kill(e.number, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the report is written", func() bool { return strings.Contains(r.log(), "nothing: the bucket has everything") })
}

// As mount(8) calls its helpers, and as mount.fuse calls the filesystem's program.
func TestMountHelper(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	for name, args := range map[string][]string{
		"mount.fuse.ossfs":  {r.source(), r.mnt, "-n", "-o", "rw,noatime,_netdev,attr_ttl=5m", "-t", "fuse.ossfs"},
		"mount.ossfs":       {r.source(), r.mnt, "-sv", "-o", "ro,no_such_option=1"},
		"ossfs":             {r.source(), r.mnt, "-o", "rw,nosuid,nodev"},
		"/sbin/mount.ossfs": {"ossfs#" + r.source(), r.mnt},
	} {
		if got := finish(t, r.command(name, args...)); got.status != 0 {
			t.Errorf("%s %q: got %d %q", name, args, got.status, got.err)
			continue
		}
		text, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^oss://test ` + regexp.QuoteMeta(r.mnt) + ` fuse\.ossfs `).Match(text) {
			t.Errorf("%s: not in the table of mounts:\n%s", name, text)
		}
		err = os.WriteFile(filepath.Join(r.mnt, "f"), nil, 0o600)
		if readOnly := strings.Contains(strings.Join(args, " "), "ro,"); readOnly != (err != nil) {
			t.Errorf("%s: writing: got %v, want read-only %v", name, err, readOnly)
		}
		r.umount()
	}
	if got := finish(t, r.command("mount.ossfs", r.source(), r.mnt, "-f", "-o", "ro")); got.status != 0 || isMounted(t, r.mnt) {
		t.Errorf("mount -f: got %d %q", got.status, got.err)
	}
}
