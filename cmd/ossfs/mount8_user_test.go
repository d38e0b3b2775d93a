package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// A line of fstab with the option user: who is not root mounts by mount(8), through fusermount3; a mount of his that was killed is
// replaced by the next; and he unmounts it by umount(8), which waits where it has a helper. Everything is sent.
func TestUserMountsFromFstab(t *testing.T) {
	needHelper(t)
	needTool(t, "setpriv", "util-linux")
	r := newRig(t)
	const user = 65534
	own := filepath.Join(r.home, "user")
	fstab := filepath.Join(r.home, "fstab")
	entry := r.source() + " " + r.mnt + " fuse.ossfs noauto,user,_netdev,write_back=1h,region=cn-hangzhou 0 0\n"
	program := filepath.Join(r.home, "bin", "ossfs") // go test's own folder is closed to others
	for _, err := range []error{
		os.Chmod(filepath.Dir(r.home), 0o755), os.Chmod(r.home, 0o755), os.Mkdir(filepath.Dir(program), 0o755),
		os.WriteFile(fstab, []byte(entry), 0o644), os.Mkdir(own, 0o700), os.Chown(own, user, user), os.Chown(r.mnt, user, user),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, r.command("").Path, program)
	r.env = append(r.env, "HOME="+own, "OSSFS_STATE_DIR="+filepath.Join(own, "state"), "OSSFS_RUN_DIR="+filepath.Join(own, "run"),
		"OSSFS_LOG_FILE="+filepath.Join(own, "log"))
	for _, way := range []string{"through mount.fuse", "through links of its own"} {
		t.Run(way, func(t *testing.T) {
			script := func() processResult {
				return r.installed(`
				mount --bind "$FSTAB" /etc/fstab
				if [ "$WAY" != "through mount.fuse" ]; then`+withLinks+`fi
				mount -t tmpfs none /dev
				mknod -m 666 /dev/null c 1 3
				mknod -m 666 /dev/fuse c 10 229
				exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -exc '
					field() { ossfs status --json "$MNT" | sed -n "s/^  \"$1\": \"*\([^\",]*\).*/\1/p"; }
					mount "$MNT"
					grep " $MNT fuse.ossfs " /proc/self/mounts | grep noexec | grep -q user_id=65534
					echo one > "$MNT/first"
					kill -9 $(field pid)
					while ls "$MNT" 2> /dev/null; do sleep 0.05; done
					ossfs mount -o write_back=1h "$SRC" "$MNT" 2> "$HOME/replaced"
					grep -q "a dead mount was there" "$HOME/replaced"
					[ "$(cat "$MNT/first")" = one ]
					echo two > "$MNT/second"
					pid=$(field pid)
					umount "$MNT"
					if grep " $MNT " /proc/self/mounts; then exit 1; fi
					if [ "$WAY" = "through mount.fuse" ]; then while kill -0 $pid 2> /dev/null; do sleep 0.05; done; fi
					if grep "State:.[RSD]" /proc/$pid/status 2> /dev/null; then exit 1; fi'`, "FSTAB="+fstab, "LINKS="+t.TempDir(), "WAY="+way)
			}
			var got processResult
			if way == "through mount.fuse" { // the script waits
				got = script()
			} else {
				got = r.untilSent(2, "second", script)
			}
			if got.status != 0 {
				log, err := os.ReadFile(filepath.Join(own, "log"))
				t.Errorf("got %d %q\n%s", got.status, got.err, errors.Join(errors.New(string(log)), err))
			}
			for key, want := range map[string]string{"first": "one\n", "second": "two\n"} {
				if body, _ := r.object(key); body != want {
					t.Errorf("%s: the bucket has %q, want %q", key, body, want)
				}
				if err := r.server.Delete(ossservertest.Bucket, key); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
