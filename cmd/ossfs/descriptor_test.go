package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// supervised mounts as a container's supervisor does: it opens /dev/fuse, calls mount(2), and hands the descriptor, number 3,
// to an ossfs that needs no right of its own.
func supervised(t *testing.T, r *rig) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	device, err := os.OpenFile(fuseDevice, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close() // ossfs has it by then
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device.Fd())
	if err := unix.Mount(r.source(), r.mnt, fuseType, unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		t.Fatal(err)
	}
	cmd := r.command("ossfs", "mount", "--foreground", "--write-back", "1h", r.source(), "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{device}
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

func TestDescriptorAsMountpoint(t *testing.T) {
	needRoot(t)
	needFuse(t)
	r := newRig(t)
	for round := range 2 { // the second time the supervisor unmounts first
		cmd, stderr := supervised(t, r)
		name := fmt.Sprintf("hello%d", round)
		r.write(name, "world") // the kernel lets us wait until the mount answers
		if got := r.run("status"); !strings.Contains(got.out, r.source()+" on /dev/fd/3 (pid ") {
			t.Errorf("status: got %d %q %q", got.status, got.out, got.err)
		}
		if got := r.run("status", "/dev/fd/3"); got.status != 0 {
			t.Errorf("status /dev/fd/3: got %d %q", got.status, got.err)
		}
		if round == 0 {
			signalTo(t, cmd, syscall.SIGTERM)
		} else if err := unix.Unmount(r.mnt, 0); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("round %d: got %v, %q\n%s", round, err, stderr, r.log())
		}
		if body, _ := r.object(name); body != "world" {
			t.Errorf("round %d: the bucket has %q", round, body)
		}
		if round == 0 {
			if err := unix.Unmount(r.mnt, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDescriptorsThatCannotBe(t *testing.T) {
	r := newRig(t)
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for target, want := range map[string]string{
		"/dev/fd/3":  "descriptor 3 is not a /dev/fuse",
		"/dev/fd/99": "descriptor 99 is not open: who starts ossfs must pass it on",
		"/dev/fd/0":  "want /dev/fd/N, with the number of an open /dev/fuse that is above 2",
	} {
		cmd := r.command("ossfs", "mount", "-f", r.source(), target)
		cmd.ExtraFiles = []*os.File{plain}
		wantOneLine(t, target, finish(t, cmd), exitFailed, "mountpoint "+target+": "+want)
	}
	wantOneLine(t, "as a daemon", r.run("mount", r.source(), "/dev/fd/3"), exitUsage,
		"mountpoint /dev/fd/3: an open descriptor cannot be handed to a daemon: mount with --foreground")
	if _, err := os.Stat(filepath.Join(r.home, "state")); err == nil {
		t.Error("a state directory was made for a mount that cannot be")
	}
}
