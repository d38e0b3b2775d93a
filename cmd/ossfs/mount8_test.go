package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// forgetOthers drops a new mount namespace's copies of other mounts, which would keep them from ending. The kernel drops one by
// itself whose mountpoint is removed meanwhile. It asks nothing of the mounts: one of another test may not answer.
const forgetOthers = `for m in $(awk '$3 == "fuse.ossfs" {print $2}' /proc/self/mounts); do
	umount -cil $m || ! grep -qF " $m fuse.ossfs " /proc/self/mounts
done
`

// ownTable keeps what mount(8) notes of a script's mounts out of this machine's table.
const ownTable = "mkdir -p /run/mount\nmount -t tmpfs none /run/mount\n"

// installed runs a script in a mount namespace of its own, where the program is /usr/local/bin/ossfs:
// mount(8) gives its helpers no PATH. $MNT is the mountpoint, $SRC the source.
func (r *rig) installed(script string, env ...string) processResult {
	r.t.Helper()
	program, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	bin := filepath.Join(r.home, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "ossfs")); err != nil && !os.IsExist(err) { // there already: a copy, or from before
		r.t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-ec", forgetOthers+ownTable+"mount --bind "+bin+" /usr/local/bin\n"+script)
	cmd.Env = append(append(append([]string{}, r.env...), "MNT="+r.mnt, "SRC="+r.source()), env...)
	return finish(r.t, cmd)
}

// Other tests end while their mounts are copied, and forgotten here.
func TestForgetOthersThatAreGone(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.mount()
	defer r.umount()
	got := r.installed(`
		if grep -F " $MNT " /proc/self/mounts; then exit 1; fi
		awk() { echo "$MNT"; } # has read the table before the mount was gone
		` + forgetOthers)
	if got.status != 0 || !isMounted(t, r.mnt) {
		t.Errorf("got %d %q %q", got.status, got.out, got.err)
	}
}

// needHelper skips where mount(8) has no way to a FUSE filesystem.
func needHelper(t *testing.T) {
	t.Helper()
	needRoot(t)
	needFuse(t)
	needTool(t, "mount.fuse", "fuse3")
}

// mount -t fuse.ossfs and umount, by mount(8) and umount(8) themselves.
func TestMount8(t *testing.T) {
	needHelper(t)
	r := newRig(t)
	got := r.installed(`
		mount -t fuse.ossfs "$SRC" "$MNT" -o attr_ttl=5m,_netdev,nofail,noatime,write_back=1h
		grep -q "^$SRC $MNT fuse.ossfs " /proc/self/mounts
		printf world > "$MNT/hello"
		pid=$(ossfs status --json "$MNT" | sed -n 's/^  "pid": \([0-9]*\),/\1/p')
		umount "$MNT"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done`)
	if body, _ := r.object("hello"); got.status != 0 || body != "world" {
		t.Errorf("got %d %q, the bucket has %q\n%s", got.status, got.err, body, r.log())
	}
	got = r.installed(`mount -t fuse.ossfs "$SRC" "$MNT" -o memroy=1G`)
	if got.status == 0 || got.err != "ossfs: no such mount option memroy: did you mean memory?\n" {
		t.Errorf("a wrong option: got %d %q", got.status, got.err)
	}
}

// The fstab line of the README, with mount -a at boot and umount -a at shutdown, which names the types: nothing is lost
// though most of it was not sent yet, and a mount that cannot be does not stop the others.
func TestFstab(t *testing.T) {
	needHelper(t)
	r := newRig(t)
	if err := os.Mkdir(filepath.Join(r.home, "mnt 2"), 0o755); err != nil {
		t.Fatal(err)
	}
	fstab := filepath.Join(r.home, "fstab")
	lines := r.source() + " " + r.mnt + " fuse.ossfs region=cn-hangzhou,_netdev,nofail,x-systemd.requires=network.target,write_back=1h 0 0\n" +
		"oss://no-such-bucket " + r.home + " fuse.ossfs _netdev,nofail 0 0\n" +
		r.source() + "/second " + r.home + `/mnt\0402 fuse.ossfs _netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=60,noatime,user,write_back=1h,file_mode=0600 0 2` + "\n" +
		r.source() + " /nowhere fuse.ossfs noauto,_netdev 0 0\n"
	if err := os.WriteFile(fstab, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	got := r.installed(strings.ReplaceAll(`
		mount -a -T FSTAB || true
		mount -a -T FSTAB 2> /dev/null || true
		[ "$(grep -c " fuse.ossfs " /proc/self/mounts)" = 2 ]
		grep " fuse.ossfs " /proc/self/mounts | grep -q noexec
		printf world > "$MNT/hello"
		i=0; while [ $i -lt 100 ]; do echo $i > "$MNT 2/$i"; i=$((i+1)); done
		dd if=/dev/zero of="$MNT/zeros" bs=1M count=20 2> /dev/null
		pids=$(ossfs status --json | sed -n 's/^ *"pid": \([0-9]*\),/\1/p')
		umount -a -t fuse.ossfs
		! grep -q " fuse.ossfs " /proc/self/mounts
		for pid in $pids; do while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; done`, "FSTAB", fstab))
	if body, _ := r.object("hello"); got.status != 0 || body != "world" {
		t.Errorf("got %d %q, the bucket has %q\n%s", got.status, got.err, body, r.log())
	}
	if !strings.Contains(got.err, "oss://no-such-bucket: there is no such bucket") {
		t.Errorf("of the bucket that does not exist mount -a said %q", got.err)
	}
	for i := range 100 {
		if body, _ := r.object(fmt.Sprintf("second/%d", i)); body != fmt.Sprintf("%d\n", i) {
			t.Errorf("second/%d: the bucket has %q", i, body)
		}
	}
	if body, _ := r.object("zeros"); body != strings.Repeat("\x00", 20<<20) {
		t.Errorf("zeros: the bucket has %d bytes", len(body))
	}
}
