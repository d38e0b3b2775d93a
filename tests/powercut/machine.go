package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// root is what the virtual machine is made of.
type root struct {
	kernel, modules string // vmlinuz, and lib/modules/VERSION of the same; "": no machine (here.go)
	busybox, ossfs  string
}

// drivers are loaded by the guest's init; what they need is loaded by them.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "xfs", "fuse"}

// boot begins the guest's init.
const boot = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /var /mnt /run
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1 </dev/null
for word in $(cat /proc/cmdline); do case $word in OSS*=*|SEED=*|MODE=*|FSTYPE=*|KEPT=*) export "$word";; esac; done
for driver in %s; do modprobe $driver; done
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip link set lo up
for time in writeback expire; do echo $KEPT >/proc/sys/vm/dirty_${time}_centisecs; done
DISK=/dev/vda
`

// script is what is done in a machine. MODE is work or look.
const script = `
mount -t $FSTYPE $DISK /var || { echo "
@@ E the disk was not mounted"; exit 1; }
export OSS_ACCESS_KEY_ID=powercut OSS_ACCESS_KEY_SECRET=powercut OSS_REGION=cn-hangzhou OSSFS_STATE_DIR=/var/ossfs HOME=/
ossfs mount --log-file /proc/1/fd/1 $OSSFS_SOURCE /mnt || echo "
@@ E the mount failed"
case $MODE in
work) powercut -guest work -seed $SEED ;;
look) powercut -guest look; ossfs flush /mnt && sync && echo "
@@ S"; ossfs status ;;
esac
echo "
@@ Z"
sleep 1000
`

// initramfs is the guest's root as a cpio archive.
func (r *root) initramfs() ([]byte, error) {
	var b bytes.Buffer
	n := 0
	add := func(name string, mode int, body []byte) {
		n++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", n, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0, name)
		b.Write(make([]byte, -b.Len()&3))
		b.Write(body)
		b.Write(make([]byte, -b.Len()&3))
	}
	for _, dir := range []string{"bin", "dev", "lib", "lib/modules", "usr", "usr/bin"} {
		add(dir, 0o40755, nil)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, path := range map[string]string{"bin/busybox": r.busybox, "bin/ossfs": r.ossfs, "bin/powercut": self} {
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		add(name, 0o100755, body)
	}
	add("init", 0o100755, fmt.Appendf(nil, boot+script, strings.Join(drivers, " ")))
	if err := r.addModules(add); err != nil {
		return nil, err
	}
	add("TRAILER!!!", 0, nil)
	return b.Bytes(), nil
}

// addModules adds the drivers, and what they depend on.
func (r *root) addModules(add func(name string, mode int, body []byte)) error {
	text, err := os.ReadFile(filepath.Join(r.modules, "modules.dep"))
	if err != nil {
		return err
	}
	var deps bytes.Buffer
	wanted := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		module, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		if slices.Contains(drivers, strings.TrimSuffix(filepath.Base(module), ".ko")) {
			for _, path := range append(strings.Fields(needs), module) {
				wanted[path] = true
			}
		}
		if wanted[module] {
			deps.WriteString(line)
		}
	}
	dir := "lib/modules/" + filepath.Base(r.modules)
	made := make(map[string]bool)
	parents := func(path string) {
		for i, c := range path {
			if c == '/' && !made[path[:i]] && strings.HasPrefix(path[:i], dir) {
				made[path[:i]] = true
				add(path[:i], 0o40755, nil)
			}
		}
	}
	parents(dir + "/modules.dep")
	for line := range strings.Lines(string(text)) {
		module, _, _ := strings.Cut(line, ":")
		if !wanted[module] {
			continue
		}
		body, err := os.ReadFile(filepath.Join(r.modules, module))
		if err != nil {
			return err
		}
		parents(dir + "/" + module)
		add(dir+"/"+module, 0o100644, body)
	}
	for line := range strings.Lines(string(text)) { // those that came before what needs them
		if module, _, _ := strings.Cut(line, ":"); wanted[module] && !strings.Contains(deps.String(), module+":") {
			deps.WriteString(line)
		}
	}
	add(dir+"/modules.dep", 0o100644, deps.Bytes())
	return nil
}

// machine is one life of the virtual machine.
type machine struct {
	cmd    *exec.Cmd
	disk   *volatileDisk
	socket string       // on which the disk is offered
	lines  chan string  // what is said on the console; closed when the machine is off
	kill   func() error // nil: the end of its process is the end of all
	end    []func()     // what remains to be done then
}

// attach offers the disk.
func (m *machine) attach(log io.Writer) error {
	_ = os.Remove(m.socket)
	l, err := net.Listen("unix", m.socket)
	if err != nil {
		return err
	}
	m.end = append(m.end, func() { _ = l.Close() })
	go func() { // it ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := m.disk.serve(c); err != nil {
				fmt.Fprintln(log, err)
			}
		}
	}()
	return nil
}

// run starts the machine's process. What it says goes to the log, too.
func (m *machine) run(log io.Writer) error {
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		return err
	}
	go func() { // it ends with the machine
		defer close(m.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			fmt.Fprintln(log, in.Text())
			if text, ok := strings.CutPrefix(strings.TrimRight(in.Text(), "\r"), said); ok {
				m.lines <- text
			}
		}
	}()
	return nil
}

// start boots the machine on a disk, with words for its command line.
func (r *root) start(dir string, d *volatileDisk, log io.Writer, words ...string) (*machine, error) {
	m := &machine{disk: d, socket: filepath.Join(dir, "disk"), lines: make(chan string, 1000)}
	if err := m.attach(log); err != nil {
		return nil, err
	}
	if r.kernel == "" {
		return m, r.startHere(m, dir, log, words)
	}
	line := "console=ttyS0 quiet panic=-1 no_timer_check " + strings.Join(words, " ")
	m.cmd = exec.Command("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "768", "-smp", "2", "-display", "none", "-no-reboot",
		"-serial", "stdio", "-monitor", "none", "-kernel", r.kernel, "-initrd", filepath.Join(dir, "initramfs"), "-append", line,
		"-drive", "file=nbd+unix:///?socket="+m.socket+",if=virtio,format=raw,cache=none",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=")
	m.cmd.Stderr = log
	return m, m.run(log)
}

// off takes the power away: first the disk's, so that nothing is told to others of what it has not done. What was said before
// stays in lines.
func (m *machine) off() error {
	m.disk.off()
	defer close(m.disk.gone)
	if m.kill != nil {
		return m.kill()
	}
	return m.cmd.Process.Kill()
}

// wait is called when lines is closed.
func (m *machine) wait() error {
	err := m.cmd.Wait()
	for _, f := range slices.Backward(m.end) {
		f()
	}
	return err
}

// isStatic says whether a program needs nothing else in the guest.
func isStatic(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" && s.Value != "0" {
			return fmt.Errorf("%s: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}
