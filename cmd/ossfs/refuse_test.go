package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Each thing that can be wrong with a mount is said in one line, as a daemon and in the foreground.
func TestMountsThatCannotBe(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	plainFile := filepath.Join(r.home, "file")
	if err := os.WriteFile(plainFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(r.home, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	closed := ossservertest.Refusing(t)
	silent := silentPort(t)
	const src = sourceScheme + ossservertest.Bucket
	ask := "check --endpoint, --region and the network"
	tests := []struct {
		name   string
		env    []string
		args   []string
		want   string // a final "..." leaves the request's id out
		slowly bool
	}{
		{"no such bucket", nil, []string{"oss://another", r.mnt},
			"oss://another: there is no such bucket at " + r.server.Endpoint + ": check its name, --region and --endpoint [NoSuchBucket 0015-00000101, request ...", false},
		{"wrong key id", []string{"OSS_ACCESS_KEY_ID=nobody"}, []string{src, r.mnt},
			src + ": the access key ID is not known there, or disabled: use a key that is enabled in RAM (ossfs doctor shows where this one comes from) [InvalidAccessKeyId 0002-00000902, request ...", false},
		{"wrong secret", []string{"OSS_ACCESS_KEY_SECRET=guess"}, []string{src, r.mnt},
			src + ": the access key secret does not belong to the access key ID: correct the secret (ossfs doctor shows where it comes from) [SignatureDoesNotMatch 0002-00000001, request ...", false},
		{"wrong region", []string{"OSS_REGION=cn-beijing"}, []string{src, r.mnt},
			src + ": the bucket lies in another region than cn-beijing: give its own with --region or --endpoint [InvalidArgument 0002-00000228, request ...", false},
		{"not public", nil, []string{"--anonymous", src, r.mnt},
			src + ": not allowed: the bucket is not public: leave --anonymous away and give credentials [AccessDenied 0003-00000001, request ...", false},
		{"nobody listens", nil, []string{"--endpoint", closed, src, r.mnt},
			src + ": " + closed + " refuses the connection: " + ask, false},
		{"nobody answers", nil, []string{"--endpoint", silent, src, r.mnt},
			src + ": " + silent + " does not answer in time: " + ask + "; on ECS without a public address use --internal", true},
		{"no such host", nil, []string{"--endpoint", "http://no-such-host.invalid", "--addressing", "path", src, r.mnt},
			src + ": the name no-such-host.invalid cannot be resolved: check --endpoint, --region and /etc/resolv.conf", true},
		{"no TLS", nil, []string{"--endpoint", "https://" + strings.TrimPrefix(r.server.Endpoint, "http://"), src, r.mnt},
			src + ": https://" + strings.TrimPrefix(r.server.Endpoint, "http://") + " does not speak TLS: write http:// before the endpoint if that is meant", false},
		{"a proxy that refuses", []string{"HTTP_PROXY=http://user:hush@" + strings.TrimPrefix(closed, "http://")}, []string{"--endpoint", "http://oss.example.com", src, r.mnt},
			src + ": the proxy " + closed + " refuses the connection: correct HTTPS_PROXY (for http endpoints HTTP_PROXY), or name the endpoint in NO_PROXY", false},
		{"a proxy that is nowhere", []string{"HTTPS_PROXY=http://no-such-host.invalid:3128"}, []string{"--endpoint", "https://oss.example.com", src, r.mnt},
			src + ": the proxy http://no-such-host.invalid:3128: the name no-such-host.invalid cannot be resolved: correct HTTPS_PROXY (for http endpoints HTTP_PROXY), or name the endpoint in NO_PROXY", true},
		{"no mountpoint", nil, []string{src, "/nowhere/at/all"},
			"mountpoint /nowhere/at/all: it does not exist: mkdir -p /nowhere/at/all", false},
		{"no directory", nil, []string{src, plainFile},
			"mountpoint " + plainFile + ": it is not a directory", false},
		{"a mountpoint of others", nil, []string{src, "/proc"},
			"mountpoint /proc: it is a mountpoint already (proc, proc): choose another directory", false},
		{"a state directory that is open", nil, []string{"--state-dir", open, src, r.mnt},
			"state directory " + open + ": others can write to it (mode 0777): chmod 700 " + open, false},
		{"a state directory that is a file", nil, []string{"--state-dir", plainFile, src, r.mnt},
			"state directory " + plainFile + ": not a directory: give --state-dir DIR", false},
		{"a log file that cannot be", nil, []string{"--log-file", "/nowhere/log", src, r.mnt},
			"log file /nowhere/log: no such file or directory: give another --log-file", false},
		{"a port that is taken", nil, []string{"--metrics", strings.TrimPrefix(r.server.Endpoint, "http://"), src, r.mnt},
			"--metrics " + strings.TrimPrefix(r.server.Endpoint, "http://") + ": address already in use: choose another port", false},
	}
	noEndpoint := r.run("mount", "--endpoint", "http://127.0.0.1/x", src, r.mnt)
	wantOneLine(t, "an endpoint that is none", noEndpoint, exitUsage, src+`: endpoint "http://127.0.0.1/x": want [http://]host[:port] and nothing more: correct the command line`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.slowly {
				t.Parallel()
			}
			for _, mode := range [][]string{{"mount"}, {"mount", "--foreground"}} {
				got := r.with(tt.env...).run(append(mode, tt.args...)...)
				if begin, cut := strings.CutSuffix(tt.want, "..."); cut && strings.HasPrefix(got.err, "ossfs: "+begin) {
					got.err = "ossfs: " + tt.want + "\n"
				}
				wantOneLine(t, strings.Join(mode, " "), got, exitFailed, tt.want)
			}
		})
	}
}

// silentPort is an endpoint that takes connections and says nothing.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

func TestNoCredentials(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	r.env = append(r.env, "OSS_ACCESS_KEY_ID=", "OSS_ACCESS_KEY_SECRET=", "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true")
	got := r.run("mount", r.source(), r.mnt)
	wantOneLine(t, "nothing is configured", got, exitFailed, r.source()+": no credentials (none of 12 places has any; "+
		"set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, write ~/.oss/credentials, or mount a public bucket with --anonymous): "+
		"ossfs doctor shows what was tried")
	passwd := filepath.Join(r.home, ".passwd-ossfs")
	if err := os.WriteFile(passwd, []byte("id:secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got = r.run("mount", r.source(), r.mnt)
	wantOneLine(t, "others can read it", got, exitFailed, r.source()+": no credentials ("+passwd+": refused: its mode 0644 lets others at it; chmod 600 "+passwd+"): "+
		"ossfs doctor shows what was tried")
}

func TestBusyMountpointAndStateDir(t *testing.T) {
	r := newRig(t)
	r.mount()
	defer r.umount()
	e, found := r.entry()
	if !found {
		t.Fatal("the mount is not registered")
	}
	wantOneLine(t, "the same mountpoint", r.run("mount", r.source(), r.mnt), exitFailed,
		"mountpoint "+r.mnt+": "+r.source()+" is mounted there already, pid "+e.pid+": ossfs umount "+r.mnt)
	other := filepath.Join(r.home, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, "the same state directory", r.run("mount", r.source(), other), exitFailed,
		"state directory "+e.report.StateDir+": another mount of the same source uses it (pid "+e.pid+
			"): ossfs status shows where; unmount that one, or give another --state-dir")
}

// In a container without /dev/fuse.
func TestNoFuseDevice(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	hide := forgetOthers + "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec \"$0\" \"$@\""
	cmd := r.command("ossfs")
	shell := exec.Command("unshare", "-m", "sh", "-c", hide, cmd.Path, "mount", r.source(), r.mnt)
	shell.Env = r.env
	got := finish(t, shell)
	want := "/dev/fuse is missing: modprobe fuse"
	if inContainer() {
		want = "/dev/fuse is missing: start the container with --device /dev/fuse --cap-add SYS_ADMIN"
	}
	wantOneLine(t, "mount without /dev/fuse", got, exitFailed, want)
}

// A user who is not root, with and without what that takes. The device is as udev makes it, in a mount
// namespace of the test's own.
func TestOtherUsers(t *testing.T) {
	needRoot(t)
	needFuse(t)
	r := newRig(t)
	const nobody = 65534
	for _, path := range []string{filepath.Dir(r.home), r.home} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(r.home, "ossfs") // go test's own folder is closed to others
	copyFile(t, r.command("").Path, program)
	asNobody := func(env []string, deviceMode, script string) processResult {
		t.Helper()
		cmd := exec.Command("unshare", "-m", "sh", "-ec", forgetOthers+`mount -t tmpfs none /dev
			mknod -m 666 /dev/null c 1 3
			mknod -m `+deviceMode+` /dev/fuse c 10 229
			exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -ec "$0"`, script)
		cmd.Env = append(append(append([]string{}, r.env...), "OSSFS="+program, "SRC="+r.source(), "MNT="+r.mnt), env...)
		return finish(t, cmd)
	}
	const mountIt = `$OSSFS mount "$SRC" "$MNT"`
	if !inContainer() { // where the advice is another
		wantOneLine(t, "with a closed device", asNobody(nil, "600", mountIt), exitFailed,
			"/dev/fuse may not be opened by user 65534: sudo chmod 666 /dev/fuse")
	}
	wantOneLine(t, "without fusermount3", asNobody(nil, "666", "PATH=/nowhere "+mountIt), exitFailed,
		"fusermount3 is missing, with which users other than root mount: sudo apt-get install fuse3")
	wantOneLine(t, "on root's directory", asNobody(nil, "666", mountIt), exitFailed,
		"mountpoint "+r.mnt+": user 65534 may not write to it, and so not mount on it: choose a directory of your own")
	if err := os.Chown(r.mnt, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, "with root's state directory", asNobody(nil, "666", mountIt), exitFailed,
		"state directory "+filepath.Join(r.home, "state")+": permission denied: give --state-dir DIR")
	own := filepath.Join(r.home, "nobody")
	if err := errors.Join(os.Mkdir(own, 0o700), os.Chown(own, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + own, "OSSFS_STATE_DIR=" + own, "OSSFS_RUN_DIR=" + filepath.Join(own, "run"), "OSSFS_LOG_FILE=" + filepath.Join(own, "log")}
	// The state directory's name is too long for a socket's address, a wrapper shows what the helper is given, and nobody
	// else of the user may look into the process.
	helper, err := exec.LookPath("fusermount3")
	if err != nil {
		t.Fatal(err)
	}
	bin, long := filepath.Join(own, "bin"), filepath.Join(own, strings.Repeat("long", 30))
	wrapper := "#!/bin/sh\nenv >> " + own + "/env\nexec " + helper + " \"$@\"\n"
	if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "fusermount3"), []byte(wrapper), 0o755)); err != nil {
		t.Fatal(err)
	}
	env[1] = "OSSFS_STATE_DIR=" + long
	got := asNobody(append(env, "PATH="+bin+":"+os.Getenv("PATH")), "666", mountIt+`
		printf world > "$MNT/hello"
		$OSSFS status --json "$MNT" > "$HOME/status"
		pid=$(sed -n 's/^  "pid": \([0-9]*\),/\1/p' "$HOME/status")
		! cat /proc/$pid/environ > /dev/null 2>&1
		! cat /proc/$pid/mem > /dev/null 2>&1
		$OSSFS umount "$MNT"`)
	given, err := os.ReadFile(filepath.Join(own, "env"))
	if err != nil || !strings.Contains(string(given), "HOME=") || strings.Contains(string(given), ossservertest.Secret) {
		t.Errorf("the helper's environment: %v\n%s", err, given)
	}
	if body, _ := r.object("hello"); got.status != 0 || body != "world" {
		t.Errorf("got %d %q, the bucket has %q", got.status, got.err, body)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
