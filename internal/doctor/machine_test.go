package doctor

import (
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

func bundle(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMachine(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	remove := func(name string) func(*Machine) {
		return func(m *Machine) {
			if err := os.Remove(filepath.Join(m.Root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name, text string) func(*Machine) {
		return func(m *Machine) {
			if err := os.WriteFile(filepath.Join(m.Root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := func(m *Machine) { m.UID = 0 }
	for _, test := range []struct {
		name    string
		change  []func(*Machine)
		check   func(Machine) Check
		outcome Outcome
		says    string
	}{
		{"device", nil, checkDevice, OK, "can be opened"},
		{"no device", []func(*Machine){remove("dev/fuse")}, checkDevice, Fail, "modprobe fuse"},
		{"device is a directory", []func(*Machine){remove("dev/fuse"), func(m *Machine) { _ = os.Mkdir(filepath.Join(m.Root, "dev/fuse"), 0o755) }}, checkDevice, Fail, "is a directory"},
		{"helper", nil, checkMounting, OK, "fusermount3"},
		{"no helper", []func(*Machine){func(m *Machine) { m.LookPath = func(string) (string, error) { return "", errors.New("no") } }}, checkMounting, Fail, "install"},
		{"helper without suid", []func(*Machine){func(m *Machine) { _ = os.Chmod(filepath.Join(m.Root, "bin/fusermount3"), 0o755) }}, checkMounting, Warn, "chmod u+s"},
		{"root", []func(*Machine){root}, checkMounting, OK, "without a helper"},
		{"root of a container", []func(*Machine){root, write("proc/self/status", "CapEff:\t00000000a80425fb\n")}, checkMounting, Fail, "--cap-add SYS_ADMIN"},
		{"allow_other", nil, checkAllowOther, OK, "user_allow_other"},
		{"allow_other as a comment", []func(*Machine){write("etc/fuse.conf", "#user_allow_other\n")}, checkAllowOther, Warn, "add the line"},
		{"no fuse.conf", []func(*Machine){remove("etc/fuse.conf")}, checkAllowOther, Warn, "add the line"},
		{"no fuse.conf, root", []func(*Machine){root, remove("etc/fuse.conf")}, checkAllowOther, OK, "root"},
		{"kernel", []func(*Machine){root}, checkKernel, OK, "Linux 6.18.5-generic, lets go of inodes, requests up to 1 MiB, read-ahead is raised"},
		{"kernel, user", nil, checkKernel, OK, "read-ahead stays at 128 KiB"},
		{"older kernel", []func(*Machine){func(m *Machine) { m.Release = "5.10.0" }}, checkKernel, OK, "asks twice for each write (until 5.11), keeps inodes until its memory is short (until 6.18)"},
		{"newer kernel", []func(*Machine){func(m *Machine) { m.Release = "6.1.0-50-amd64" }}, checkKernel, OK, "Linux 6.1.0-50-amd64, keeps inodes until"},
		{"old kernel", []func(*Machine){func(m *Machine) { m.Release = "3.10.0-1160.el7.x86_64" }}, checkKernel, Warn, "5.10 or later"},
		{"strange kernel", []func(*Machine){func(m *Machine) { m.Release = "Plan9" }}, checkKernel, Warn, "not understood"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := healthy(t, s).Machine
			for _, change := range test.change {
				change(&m)
			}
			c := test.check(m)
			if c.Outcome != test.outcome || !strings.Contains(c.Found+" "+c.Cure, test.says) {
				t.Errorf("got %+v, want %s and %q", c, test.outcome, test.says)
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	m := Machine{}.orThis()
	if m.Root != "/" || m.UID != os.Geteuid() || m.Release == "" {
		t.Errorf("got %+v", m)
	}
	if c := checkKernel(m); strings.Contains(c.Found, "not understood") {
		t.Errorf("got %+v", c)
	}
}

func TestOnECS(t *testing.T) {
	root := t.TempDir()
	if (Machine{Root: root}).onECS() {
		t.Error("an empty machine is on ECS")
	}
	dir := filepath.Join(root, "sys/class/dmi/id")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "product_name"), []byte("Alibaba Cloud ECS\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !(Machine{Root: root}).onECS() {
		t.Error("an ECS instance is not recognised")
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 130 << 20: "130 MiB", 5 << 40: "5 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1200 * time.Microsecond: "1.2 ms", 34 * time.Millisecond: "34 ms", time.Minute: "1m0s"} {
		if got := millis(d); got != want {
			t.Errorf("millis(%v) = %q, want %q", d, got, want)
		}
	}
}
