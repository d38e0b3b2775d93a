package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// withLinks puts the helpers' links where mount(8) and umount(8) look for them, in a script's own namespace.
const withLinks = `
	for link in mount.fuse.ossfs umount.fuse.ossfs; do ln -sf /usr/local/bin/ossfs "$LINKS/$link"; done
	mount -t overlay -o lowerdir="$LINKS":/sbin none /sbin
	field() { ossfs status --json "$MNT" | sed -n "s/^  \"$1\": \"*\([^\",]*\).*/\1/p"; }
`

// SEMANTICS 1.12
// umount(8), in each way that systemd and administrators call it, returns when the bucket has everything and the process
// has ended.
func TestUmount8Waits(t *testing.T) {
	needHelper(t)
	for name, command := range map[string]string{
		"by hand": `umount "$MNT"`, "by systemd": `umount -c "$MNT"`, "recursive": `umount -R "$MNT"`, "all": `umount -a -t fuse.ossfs`,
		"by source": `umount -v "$SRC"`, "without mtab": `umount -n "$MNT"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			got := r.untilSent(1, "hello", func() processResult {
				return r.installed(withLinks+`
					mount -t fuse.ossfs "$SRC" "$MNT" -o _netdev,write_back=1h
					echo world > "$MNT/hello"
					pid=$(field pid)
					`+command+`
					if grep " $MNT " /proc/self/mounts; then exit 1; fi
					[ ! -e /proc/$pid/exe ]`, "LINKS="+t.TempDir())
			})
			if body, _ := r.object("hello"); got.status != 0 || body != "world\n" {
				t.Errorf("got %d %q %q, the bucket has %q\n%s", got.status, got.out, got.err, body, r.log())
			}
		})
	}
}

// command8 is the helper as umount(8) calls it.
func (r *rig) command8(args ...string) processResult {
	return finish(r.t, r.command(umountHelperName, args...))
}

// On a terminal it shows how the sending goes, and in the end what was sent.
func TestUmount8OnATerminal(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Kind: ossserver.Stall})
	s := onTerminal(t, r.command(umountHelperName, r.mnt))
	s.typed("", "sending [")
	r.server.SetFaults()
	s.typed("", "1 files sent, 5B in ")
	eventually(t, "the umount ends", func() bool { return len(r.processes()) == 0 })
}

// the is the one file that a pattern matches.
func the(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: found %v, want one (%v)", pattern, found, err)
	}
	return found[0]
}

// sendsAfterwards mounts again, and expects that this sends what was left.
func (r *rig) sendsAfterwards(name string) {
	r.t.Helper()
	r.server.SetFaults()
	r.server.SetLatency(0)
	r.mount()
	r.umount()
	if body, _ := r.object(name); body != "world" {
		r.t.Errorf("after the next mount the bucket has %q", body)
	}
}

// Busy is said as umount(8) says it, and changes nothing; -l detaches it, and what is written is sent all the same.
func TestUmount8Busy(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	holder, err := os.Create(filepath.Join(r.mnt, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	us, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	busy := "umount " + r.mnt + ": target is busy: in use by " + strings.TrimSpace(string(us)) + " (pid " + strconv.Itoa(os.Getpid()) + ")"
	for _, flags := range [][]string{nil, {"-r"}, {"-f"}} { // what is open for writing cannot be made read-only
		wantOneLine(t, "umount", r.command8(append(flags, r.mnt)...), helperFailed, busy)
	}
	if got := r.command8(r.mnt, "-l"); got.status != 0 || got.err != "" || isMounted(t, r.mnt) {
		t.Errorf("umount -l: got %d %q", got.status, got.err)
	}
	if _, err := holder.WriteString("world"); err != nil {
		t.Error(err)
	}
	if err := holder.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "what was written is sent", func() bool { body, _ := r.object("held"); return body == "world" })
}

// With -r what is in use, and only read, is made read-only, and stays what else it was.
func TestUmount8ReadOnly(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.mount("-o", "noexec")
	r.write("hello", "world")
	reader, err := os.Open(filepath.Join(r.mnt, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	wantOneLine(t, "umount -r", r.command8(r.mnt, "-n", "-r"), 0, "umount "+r.mnt+": it is in use, and read-only from now on")
	var st unix.Statfs_t
	const want = unix.ST_RDONLY | unix.ST_NOEXEC | unix.ST_NOSUID | unix.ST_NODEV
	if err := unix.Statfs(r.mnt, &st); err != nil || st.Flags&want != want {
		t.Errorf("afterwards its flags are %#x, want %#x: %v", st.Flags, want, err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if got := r.command8(r.mnt); got.status != 0 || got.err != "" {
		t.Errorf("when it is no longer in use: got %d %q", got.status, got.err)
	}
}

// Where OSS does not answer, umount(8) ends, and so does the process; the next mount sends the rest.
func TestUmount8WithoutNetwork(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	r.server.SetFaults(ossserver.Fault{Kind: ossserver.ResetBefore})
	got := r.command8(r.mnt)
	want := "ossfs: umount " + r.mnt + ": 1 files (5B) could not be sent (OSS does not answer): they are kept in " +
		e.report.StateDir + ", and sent by the next mount of " + r.source() + "\n"
	if got.status != helperUnsent || !strings.HasSuffix(got.err, want) || isMounted(t, r.mnt) { // progress goes before
		t.Errorf("got %d %q, want %q", got.status, got.err, want)
	}
	r.sendsAfterwards("hello")
}

// -f does not wait, nor does a mount that systemd's patience with has ended: SIGTERM reaches umount(8), its helper, and the mount.
func TestUmount8Now(t *testing.T) {
	for name, signalled := range map[string][]string{"-f": nil, "SIGTERM": {"helper"}, "SIGTERM to all": {"mount", "helper"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.mount("--write-back", "1h")
			r.write("hello", "world")
			e, _ := r.entry()
			r.server.SetLatency(time.Hour)
			cmd := r.command(umountHelperName, r.mnt)
			if signalled == nil {
				cmd = r.command(umountHelperName, r.mnt, "-f")
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for _, to := range signalled {
				r.sending()
				if to == "helper" {
					signalTo(t, cmd, syscall.SIGTERM)
				} else if err := syscall.Kill(e.number, syscall.SIGTERM); err != nil {
					t.Error(err)
				}
			}
			_ = cmd.Wait() // its status is looked at
			if got := cmd.ProcessState.ExitCode(); got != helperUnsent || !strings.Contains(stderr.String(), ": 1 files (5B) could not be sent: ") {
				t.Errorf("got %d %q", got, stderr.String())
			}
			if isMounted(t, r.mnt) || len(r.processes()) != 0 {
				t.Errorf("it is left mounted, or its process %v is left", r.processes())
			}
			r.sendsAfterwards("hello")
		})
	}
}

// Ctrl-C leaves it mounted.
func TestUmount8Interrupted(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	r.server.SetLatency(time.Hour)
	cmd := r.command(umountHelperName, r.mnt)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.sending()
	signalTo(t, cmd, syscall.SIGINT)
	_ = cmd.Wait() // its status is looked at
	want := "ossfs: umount " + r.mnt + ": stopped waiting: it is still mounted, and goes on sending; what is unsent is safe in " + e.report.StateDir + "\n"
	if got := cmd.ProcessState.ExitCode(); got != helperInterrupted || stderr.String() != want || !isMounted(t, r.mnt) {
		t.Errorf("got %d %q", got, stderr.String())
	}
	if got := r.command8("-f", r.mnt); got.status != helperUnsent {
		t.Errorf("umount -f: got %d %q", got.status, got.err)
	}
	r.sendsAfterwards("hello")
}

// What a bucket refuses does not keep it mounted.
func TestUmount8Refused(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetFaults(ossserver.Fault{Op: "PutObject", Status: 403, Code: "AccessDenied"})
	got := r.command8(r.mnt)
	if got.status != helperUnsent || !strings.Contains(got.err, "AccessDenied") || isMounted(t, r.mnt) {
		t.Errorf("got %d %q", got.status, got.err)
	}
	r.sendsAfterwards("hello")
}

// A dead mount is removed though somebody is in it; what was never mounted, or is not ours, is left alone.
func TestUmount8OfOthers(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	e, _ := r.entry()
	sub := filepath.Join(r.mnt, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, "a directory in it", r.command8(sub), helperFailed, "umount "+sub+": not mounted")
	wantOneLine(t, "another filesystem", r.command8("/proc"), helperRefused, "umount /proc: it is proc on proc, no mount of ossfs: umount -i /proc")
	wantOneLine(t, "no target", r.command8("-v"), helperRefused, "umount.fuse.ossfs takes a target: it is for umount(8) to call: umount /mnt")
	wantOneLine(t, "two targets", r.command8(r.mnt, "/b"), helperRefused, "umount.fuse.ossfs takes one target: umount /mnt")
	wantOneLine(t, "an option", r.command8(r.mnt, "-x"), helperRefused, "umount.fuse.ossfs: no such option -x: it is for umount(8) to call: umount /mnt")
	sleeper := exec.Command("sleep", "60")
	sleeper.Dir = r.mnt
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	if err := syscall.Kill(e.number, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is dead", func() bool { return isDead(r.mnt) })
	wantOneLine(t, "a dead mount", r.command8(r.mnt), helperUnsent,
		"umount "+r.mnt+": it was dead and is removed; what it had not sent is kept, and sent by the next mount of "+r.source())
	r.sendsAfterwards("hello")
}

// A mount whose process cannot be spoken to is unmounted all the same, as without a helper; and so is one that is bound to another
// place as well, and goes on there.
func TestUmount8WithoutItsProcess(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	bound := filepath.Join(r.home, "bound")
	if err := os.Mkdir(bound, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(r.mnt, bound, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, "umount", r.command8(r.mnt), 0, "umount "+r.mnt+": it is mounted elsewhere, too, and goes on there")
	if body, _ := r.object("hello"); body != "world" || !isMounted(t, bound) || isMounted(t, r.mnt) {
		t.Errorf("the bucket has %q", body)
	}
	if err := os.WriteFile(filepath.Join(bound, "more"), []byte("world"), 0o644); err != nil {
		t.Error(err)
	}
	if got := r.command8(bound); got.status != 0 || got.err != "" { // it was mounted under another name
		t.Errorf("of what it is bound to: got %d %q", got.status, got.err)
	}
	eventually(t, "its process sends the rest", func() bool { body, _ := r.object("more"); return body == "world" })
}

// -f takes a mount away whose process does not answer, and which is not told what becomes of it.
func TestUmount8OfASilentProcess(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	registered := the(t, filepath.Join(r.home, "run", "*.json"))
	text, err := os.ReadFile(registered)
	if err != nil {
		t.Fatal(err)
	}
	silent := filepath.Join(r.home, "silent")
	l, err := net.Listen("unix", silent) // it accepts nobody
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, _ := r.entry()
	changed := strings.Replace(string(text), filepath.Join(e.report.StateDir, socketName), silent, 1)
	if err := os.WriteFile(registered, []byte(changed), 0o644); err != nil || changed == string(text) {
		t.Fatalf("the entry stays %s: %v", text, err)
	}
	wantOneLine(t, "umount -f", r.command8(r.mnt, "-f"), helperUnsent, "umount "+r.mnt+": it is unmounted, but its process does not say whether everything is sent "+
		"(context deadline exceeded): what is not is kept in "+e.report.StateDir+", and sent by it or by the next mount of "+r.source())
	if isMounted(t, r.mnt) {
		t.Error("it is still mounted")
	}
	eventually(t, "its process sends", func() bool { body, _ := r.object("hello"); return body == "world" })
}

// After an umount by somebody else the process sends; umount --now has it end.
func TestUmountNowAfterForeignUmount(t *testing.T) {
	r := newRig(t)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	r.server.SetLatency(time.Hour)
	if err := detach(r.mnt); err != nil {
		t.Fatal(err)
	}
	if got := r.run("umount", "--now", r.mnt); got.status != exitUnsent || len(r.processes()) != 0 {
		t.Errorf("got %d %q, left are %v", got.status, got.err, r.processes())
	}
	r.sendsAfterwards("hello")
}

// umount -N works in another namespace, and leaves a mount of the same place in this one.
func TestUmount8OfAnotherNamespace(t *testing.T) {
	needHelper(t)
	r := newRig(t)
	got := r.installed(withLinks+`
		mkfifo "$HOME/end"
		mount -t tmpfs ours "$MNT"
		unshare -m --propagation private sh -ec '
			umount "$MNT"
			mount -t fuse.ossfs "$SRC" "$MNT" -o _netdev,write_back=1h
			echo world > "$MNT/hello"
			echo mounted > "$HOME/mounted"
			read x < "$HOME/end"
			if grep " $MNT " /proc/self/mounts; then exit 1; fi' &
		while [ ! -s "$HOME/mounted" ]; do kill -0 $!; sleep 0.05; done
		umount -N $! "$MNT" || echo "umount: $?" >&2
		echo > "$HOME/end"
		wait $!
		grep "^ours $MNT " /proc/self/mounts`, "LINKS="+t.TempDir())
	if body, _ := r.object("hello"); got.status != 0 || body != "world\n" {
		t.Errorf("got %d %q %q, the bucket has %q\n%s", got.status, got.out, got.err, body, r.log())
	}
}
