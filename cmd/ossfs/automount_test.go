package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Of the autofs protocol, version 5 (Documentation/filesystems/autofs.rst in Linux).
const (
	autofsPacketSize = 304
	autofsTokenAt    = 8          // behind the version and the type
	autofsReady      = 0x9360     // _IO(0x93, 0x60): what a token is about is done
	autofsCatatonic  = 0x9362     // _IO(0x93, 0x62): nobody waits any more, nor ever again
	autofsExpire     = 0x40049366 // _IOW(0x93, 0x66, int): a mount that is not in use is to be taken away; returns when it was
	autofsImmediate  = 1          // of it: however short a time it was not in use
)

// automount watches a directory as systemd does for x-systemd.automount: the kernel has whoever enters it wait until it is
// told that something is mounted there. Only this process and its group pass meanwhile.
type automount struct {
	t     *testing.T
	watch *os.File // the directory, from below of what is mounted on it
	asks  *os.File
}

func newAutomount(t *testing.T, dir string) *automount {
	t.Helper()
	asks, kernel, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", kernel.Fd(), unix.Getpgrp())
	err = unix.Mount("test", dir, "autofs", 0, options)
	if errors.Is(err, unix.ENODEV) {
		t.Skip("this kernel has no autofs")
	}
	if err != nil {
		t.Fatal(err)
	}
	watch, err := os.Open(dir)
	if err != nil {
		t.Fatal(errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
	}
	t.Cleanup(func() {
		err := unix.IoctlSetInt(int(watch.Fd()), autofsCatatonic, 0)
		if err = errors.Join(err, watch.Close(), unix.Unmount(dir, unix.MNT_DETACH), asks.Close()); err != nil {
			t.Error(err)
		}
	})
	return &automount{t, watch, asks}
}

// serve waits until the kernel asks, mounts or unmounts, and tells it that it is done.
func (a *automount) serve(act func()) {
	a.t.Helper()
	packet := make([]byte, autofsPacketSize)
	if n, err := a.asks.Read(packet); err != nil || n < autofsTokenAt+4 {
		a.t.Fatalf("asked for something in %d bytes: %v", n, err)
	}
	act()
	token := binary.NativeEndian.Uint32(packet[autofsTokenAt:])
	if err := unix.IoctlSetInt(int(a.watch.Fd()), autofsReady, int(token)); err != nil {
		a.t.Fatal(err)
	}
}

// An automount is mounted by who first enters it. The daemon must pass, though the kernel has everybody else wait.
func TestAutomount(t *testing.T) {
	needRoot(t)
	needFuse(t)
	r := newRig(t)
	if err := r.server.Put(ossservertest.Bucket, "hello", []byte("world"), nil); err != nil {
		t.Fatal(err)
	}
	a := newAutomount(t, r.mnt)
	first := exec.Command("cat", r.mnt+"/hello")
	first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var read, failed strings.Builder
	first.Stdout, first.Stderr = &read, &failed
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	a.serve(func() { r.mount() })
	if err := first.Wait(); err != nil || read.String() != "world" {
		t.Errorf("who entered it first read %q: %v %s", read.String(), err, failed.String())
	}
	r.umount()
}

// A mount that autofs expires is unmounted by umount(8)'s helper, and everything is sent. The daemon must stay away: the kernel
// has it wait there, as everybody but who expires it, and the helper waits for the daemon.
func TestAutomountExpires(t *testing.T) {
	needRoot(t)
	needFuse(t)
	r := newRig(t)
	a := newAutomount(t, r.mnt)
	r.mount("--write-back", "1h")
	r.write("hello", "world")
	expired := make(chan error, 1)
	go func() { expired <- unix.IoctlSetPointerInt(int(a.watch.Fd()), autofsExpire, autofsImmediate) }()
	a.serve(func() {
		if got := r.command8(r.mnt); got.status != 0 || got.err != "" {
			t.Errorf("got %d %q\n%s", got.status, got.err, r.log())
		}
	})
	if err := <-expired; err != nil {
		t.Error(err)
	}
	if body, _ := r.object("hello"); body != "world" {
		t.Errorf("the bucket has %q", body)
	}
}
