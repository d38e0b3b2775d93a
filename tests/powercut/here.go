package main

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Without a kernel for it there is no machine, but a namespace of this one, with the disk as a loop device of it, which needs
// root. It is many times as fast. What programs told others before they died may be a little more than in a machine: the disk
// stops first, and then they are killed.

// namespace begins the script. Copies of mounts by others would keep them from ending.
const namespace = `
mount --make-rprivate /
for m in $(awk '$3 ~ /^fuse/ && $2 != ENVIRON["DISK"] {print $2}' /proc/self/mounts); do umount -l $m; done
mount -t proc proc /proc && mount -t tmpfs run /run && mount --bind $BOOT /proc/sys/kernel/random/boot_id || exit
powercut -guest writeback -kept $KEPT &
`

// startHere starts what is no machine.
func (r *root) startHere(m *machine, dir string, log io.Writer, words []string) error {
	file := filepath.Join(dir, "disk.img")
	if err := m.export(file, log); err != nil {
		return err
	}
	id := filepath.Join(dir, "boot_id")
	bin := filepath.Join(dir, "bin")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_ = os.RemoveAll(bin)
	for _, err := range []error{os.WriteFile(id, fmt.Appendln(nil, time.Now().UnixNano()), 0o600), os.Mkdir(bin, 0o700),
		os.Symlink(r.ossfs, filepath.Join(bin, "ossfs")), os.Symlink(self, filepath.Join(bin, "powercut"))} {
		if err != nil {
			return err
		}
	}
	m.cmd = exec.Command("/bin/sh", "-c", namespace+script)
	m.cmd.Env = append(words, "DISK="+file, "BOOT="+id, "PATH="+bin+":"+os.Getenv("PATH"))
	m.cmd.Stderr = log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	m.kill = m.killAll
	return m.run(log)
}

// killAll ends every process of the namespace. When it returns none of them goes on, whatever the disk says to it.
func (m *machine) killAll() error {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.cmd.Process.Pid))
	if err != nil {
		return err
	}
	list, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		return err
	}
	for _, path := range list {
		if of, err := os.Readlink(path); err != nil || of != space {
			continue // of others, or gone
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// export makes a file of the disk, of which mount makes a device.
func (m *machine) export(file string, log io.Writer) error {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	export := exec.Command("qemu-storage-daemon", "--blockdev", "driver=nbd,node-name=disk,server.type=unix,server.path="+m.socket,
		"--export", "type=fuse,id=disk,node-name=disk,writable=on,mountpoint="+file)
	export.Stderr = log
	export.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := export.Start(); err != nil {
		return err
	}
	m.end = append(m.end, func() {
		if !within(20*time.Second, func() bool { return !looped(file) }) { // the namespace ends when the kernel gets to it
			fmt.Fprintln(log, file, "is still mounted")
		}
		_ = export.Process.Signal(syscall.SIGTERM)
		_ = export.Wait()
	})
	ready := func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() == diskSize
	}
	if !within(10*time.Second, ready) {
		return fmt.Errorf("%s is no disk", file)
	}
	return nil
}

// looped says whether a file is the backing of a loop device.
func looped(file string) bool {
	list, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	return err == nil && slices.ContainsFunc(list, func(path string) bool {
		name, err := os.ReadFile(path)
		return err == nil && strings.TrimSpace(string(name)) == file
	})
}

func within(most time.Duration, done func() bool) bool {
	for end := time.Now().Add(most); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// writeBack has the kernel write what is dirty below a folder, some of it each time, for ever.
func writeBack(dir string, every time.Duration) error {
	for ; ; time.Sleep(every) {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error { // what is gone needs it no more
			if err != nil || !e.Type().IsRegular() || rand.IntN(2) == 0 {
				return nil
			}
			f, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer f.Close()
			return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
		})
	}
}
