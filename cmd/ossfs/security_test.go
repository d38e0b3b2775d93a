package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Whatever goes wrong, no secret is on a command line, in the state directory, a log, an error, a metric, a status, a profile
// or what doctor says.
func TestNoSecretIsSeen(t *testing.T) {
	r := newRig(t)
	const token = "a-token-that-nobody-may-see"
	r.mount("--log-level", "debug", "--debug", "--metrics", anyAddress, "--write-back", "1h")
	addr := r.metricsAddress()
	seen := map[string]string{}
	say := func(what string, got processResult) { seen[what] = got.out + got.err }
	for _, fault := range []ossserver.Fault{
		{Kind: ossserver.Error500, Status: 403, Code: "SignatureDoesNotMatch"},
		{Kind: ossserver.Error500, Status: 403, Code: "AccessDenied"},
		{Kind: ossserver.Error500, Status: 400, Code: "InvalidArgument"},
		{Kind: ossserver.ResetAfter, Count: 3},
		{Kind: ossserver.FlipBit, Count: 1},
	} {
		name := fault.Code + "-" + string(rune('0'+fault.Kind))
		r.write(name, "world")
		r.server.SetFaults(fault)
		say("flush "+name, r.run("flush", r.mnt))
		say("status "+name, r.run("status", r.mnt))
		say("status --json "+name, r.run("status", "--json"))
		say("doctor "+name, r.run("doctor", r.source()))
		say("doctor --json "+name, r.with("OSS_SESSION_TOKEN="+token).run("doctor", "--json", r.source()))
		say("uploads "+name, r.run("uploads", "list", r.source()))
		say("mount "+name, r.with("OSSFS_STATE_DIR="+filepath.Join(r.home, "other")).run("mount", r.source(), r.home+"/none"))
		r.server.SetFaults()
	}
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap"} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		seen[path] = string(text)
	}
	e, _ := r.entry()
	cmdline, err := os.ReadFile(filepath.Join("/proc", e.pid, "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	seen["command line"] = string(cmdline)
	r.umount()
	err = filepath.WalkDir(r.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		seen[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen[filepath.Join(r.home, "log")], "SignatureDoesNotMatch") {
		t.Error("the log does not have what went wrong")
	}
	for where, text := range seen {
		for _, secret := range []string{ossservertest.Secret, token} {
			if strings.Contains(text, secret) {
				t.Errorf("the secret %s is in %s", secret, where)
			}
		}
	}
}

// A mount gives nobody rights: no set-user-ID, no devices, and the kernel checks the modes, whatever is asked for.
func TestMountGivesNoRights(t *testing.T) {
	r := newRig(t)
	for _, options := range []string{"rw", "suid,dev,exec"} {
		r.mount("-o", options)
		text, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[1] != r.mnt {
				continue
			}
			found = true
			have := "," + fields[3] + ","
			for _, want := range []string{"nosuid", "nodev", "default_permissions"} {
				if !strings.Contains(have, ","+want+",") {
					t.Errorf("-o %s: %s is missing in %s", options, want, fields[3])
				}
			}
		}
		if !found {
			t.Errorf("-o %s: not in the table of mounts", options)
		}
		r.umount()
	}
}

// Core files and other processes of the user get nothing, and the plain endpoint of another machine is warned of.
func TestProcessIsClosed(t *testing.T) {
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	} else {
		defer func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(dumpable), 0, 0, 0) }()
	}
	if status := run([]string{"ossfs", "version"}, &console{out: io.Discard, err: io.Discard}); status != 0 {
		t.Errorf("version: status %d", status)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); dumpable != 0 || err != nil {
		t.Errorf("the process can be dumped: %d, %v", dumpable, err)
	}
	for endpoint, want := range map[string]bool{
		"http://oss.example.com": true, "http://10.0.0.1:9000": true, "HTTP://oss.example.com": true, "http://[2001:db8::1]:80": true,
		"http://127.0.0.1:9000": false, "http://localhost": false, "http://[::1]:9000/": false, "https://oss.example.com": false, "oss.example.com": false,
	} {
		if got := plainHTTP(endpoint); got != want {
			t.Errorf("%s: plain %v, want %v", endpoint, got, want)
		}
	}
}

// Who mounts over plain http is told: the daemon's parent on the terminal, a mount in the foreground in its log. Within the machine
// there is nothing to tell.
func TestPlainHTTPIsTold(t *testing.T) {
	r := newRig(t)
	const warning = "http://oss.example.com: not encrypted: whoever is on the way can read and change everything"
	far := r.with("OSS_ENDPOINT=http://oss.example.com", "OSSFS_ADDRESSING=path", "HTTP_PROXY="+r.server.Endpoint) // which stands in for the way
	needFuse(t)
	if got := far.run("mount", r.source(), r.mnt); got.status != 0 || got.err != "ossfs: "+warning+"\n" {
		t.Errorf("a daemon: got %d %q, want the warning", got.status, got.err)
	}
	far.umount()
	cmd, _ := far.foreground()
	eventually(t, "the warning is in the log", func() bool { return strings.Contains(r.log(), warning) })
	signalTo(t, cmd, syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := r.run("mount", r.source(), r.mnt); got.status != 0 || got.err != "" {
		t.Errorf("on loopback: got %d %q, want no word", got.status, got.err)
	}
	r.umount()
}
