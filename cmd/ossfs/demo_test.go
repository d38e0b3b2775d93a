package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree makes a small one with links, modes and times.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "1", "d/b": "22", "d/e/c": strings.Repeat("x", 100_000), "d/empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("d/b", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hollow"), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The README's demo: what a command wrote is there in the next demo, the same in every attribute.
func TestDemoKeepsItsTree(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	dir := filepath.Join(r.home, "demo")
	from := tree(t) + "/"
	got := r.run("demo", "--dir", dir, "--", "rsync", "-a", from, "{}/copy/")
	if got.status != 0 || !strings.Contains(got.err, "ossfs demo: done in ") {
		t.Fatalf("got %d %q", got.status, got.err)
	}
	if got := r.run("demo", "--dir", dir, "--", "diff", "-r", "--no-dereference", from, "{}/copy/"); got.status != 0 {
		t.Errorf("the next demo differs: %d %s%s", got.status, got.out, got.err)
	}
	if got := r.run("demo", "--dir", dir, "--", "rsync", "-ai", "--delete", from, "{}/copy/"); got.status != 0 || got.out != "" {
		t.Errorf("rsync would send again: %d\n%s%s", got.status, got.out, got.err)
	}
}

func TestDemoEndsAsItsCommand(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	dir := filepath.Join(r.home, "demo")
	got := r.run("demo", "--dir", dir, r.mnt, "--", "sh", "-c", `[ "$OSSFS_MOUNT" = "$1" ] && mountpoint -q "$1" && exit 7`, "sh", "{}")
	if got.status != 7 {
		t.Errorf("got %d %q, want the command's 7", got.status, got.err)
	}
	if got := r.run("demo", "--dir", dir, "--", "sh", "-c", "kill -9 $$"); got.status != 128+9 {
		t.Errorf("got %d %q, want 137", got.status, got.err)
	}
	wantOneLine(t, "a missing program", r.run("demo", "--dir", dir, "--", "no-such-tool", "x"), exitFailed,
		"no-such-tool is not installed: "+sudo()+"apt-get install no-such-tool")
	wantOneLine(t, "a missing path", r.run("demo", "--dir", dir, "--", "/nowhere/tool"), exitFailed,
		"/nowhere/tool: no such file or directory")
}

// Without a command it introduces itself, keeps others out of its directory, and ends at Ctrl-C.
func TestDemoUntilInterrupted(t *testing.T) {
	needFuse(t)
	r := newRig(t)
	dir := filepath.Join(r.home, "demo")
	cmd := r.command("ossfs", "demo", "--dir", dir, "--write-back", "1h", r.mnt)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the demo's mount answers", func() bool { return isMounted(t, r.mnt) })
	r.write("hello", "world")
	got := r.run("demo", "--dir", dir)
	if got.status != exitFailed || !strings.Contains(got.err, "a demo is running in it (pid ") {
		t.Errorf("a second demo: got %d %q", got.status, got.err)
	}
	signalTo(t, cmd, syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: got %v, want status 0", err)
	}
	if !strings.Contains(out.String(), "oss://demo is mounted on "+r.mnt) {
		t.Errorf("got %q", out.String())
	}
	if got := r.run("demo", "--dir", dir, "--", "cat", "{}/hello"); got.out != "world" {
		t.Errorf("the next demo has %q (%s)", got.out, got.err)
	}
}
