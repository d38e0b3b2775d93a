package packaging

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const distVariable = "OSSFS_TEST_DIST" // where packaging/build has put the packages

// dist is the folder of the packages; without one the test is skipped, since building them takes a while.
func dist(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(distVariable)
	if dir == "" {
		t.Skipf("%s is not set: make package-test builds the packages and tests them", distVariable)
	}
	return dir
}

// the is the one file of a folder that a pattern matches.
func the(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s/%s: found %v, want one (%v)", dir, pattern, found, err)
	}
	return found[0]
}

// output runs a program and returns what it wrote; it has to exit with 0.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// installed is the deb, unpacked.
func installed(t *testing.T) string {
	t.Helper()
	deb := the(t, dist(t), "*.deb")
	root := t.TempDir()
	output(t, "/", "dpkg-deb", "-x", deb, root)
	return root
}

// files are what both packages hold, and its modes.
func files() map[string]string {
	return map[string]string{
		"/usr/bin/ossfs":                                        "-rwxr-xr-x",
		"/sbin/mount.ossfs":                                     "l /usr/bin/ossfs",
		"/sbin/mount.fuse.ossfs":                                "l /usr/bin/ossfs",
		"/sbin/umount.fuse.ossfs":                               "l /usr/bin/ossfs",
		"/usr/lib/systemd/system/ossfs@.service":                "-rw-r--r--",
		"/etc/ossfs":                                            "drwx------",
		"/etc/ossfs.conf":                                       "-rw-r--r--",
		"/usr/share/man/man1/ossfs.1.gz":                        "-rw-r--r--",
		"/usr/share/man/man5/ossfs.conf.5.gz":                   "-rw-r--r--",
		"/usr/share/man/man8/mount.ossfs.8.gz":                  "l ../man1/ossfs.1.gz",
		"/usr/share/bash-completion/completions/ossfs":          "-rw-r--r--",
		"/usr/share/fish/vendor_completions.d/ossfs.fish":       "-rw-r--r--",
		"/usr/share/doc/ossfs/copyright":                        "-rw-r--r--",
		"/usr/share/doc/ossfs/README.md":                        "-rw-r--r--",
		"/usr/share/doc/ossfs/docs/SEMANTICS.md":                "-rw-r--r--",
		"/usr/share/doc/ossfs/docs/TROUBLESHOOTING.md":          "-rw-r--r--",
		"/usr/share/doc/ossfs/examples/mnt-bucket.mount":        "-rw-r--r--",
		"/usr/share/doc/ossfs/examples/grafana/ossfs.json":      "-rw-r--r--",
		"/usr/share/doc/ossfs/examples/kubernetes/sidecar.yaml": "-rw-r--r--",
	}
}

func TestDebContents(t *testing.T) {
	root := installed(t)
	for path, want := range files() {
		info, err := os.Lstat(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		got := info.Mode().String()
		if info.Mode()&os.ModeSymlink != 0 {
			to, err := os.Readlink(filepath.Join(root, path))
			if err != nil {
				t.Error(err)
			}
			got = "l " + to
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "/usr/share/zsh/vendor-completions/_ossfs")); err != nil {
		t.Error(err)
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.IsDir() && path != root && !strings.HasSuffix(path, "/etc/ossfs") && info.Mode().Perm() != 0o755 {
			t.Errorf("%s: folder with mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if got := output(t, "/", "dpkg-deb", "--field", the(t, dist(t), "*.deb"), "Package", "Recommends"); got != "Package: ossfs\nRecommends: fuse3, ca-certificates\n" {
		t.Errorf("control: got %q", got)
	}
	if got := output(t, "/", "dpkg-deb", "-I", the(t, dist(t), "*.deb"), "conffiles"); got != "/etc/ossfs.conf\n" {
		t.Errorf("conffiles: got %q", got)
	}
}

func TestRPMContents(t *testing.T) {
	rpm := the(t, dist(t), "*.rpm")
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed")
	}
	list := output(t, "/", "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES} %{FILELINKTOS}\n]", rpm)
	got := map[string]string{}
	for entry := range strings.Lines(list) {
		fields := strings.Fields(entry)
		got[fields[1]] = fields[0]
		if len(fields) == 3 {
			got[fields[1]] = "l " + fields[2]
		}
	}
	for path, want := range files() {
		if got[path] != want {
			t.Errorf("%s: got %q, want %q", path, got[path], want)
		}
	}
	if got["/usr/share/zsh/site-functions/_ossfs"] == "" {
		t.Error("no completion for zsh")
	}
	if marked := output(t, "/", "rpm", "-qpc", rpm); marked != "/etc/ossfs.conf\n" {
		t.Errorf("configuration files: got %q", marked)
	}
	// The program in it is the one that was built.
	root := t.TempDir()
	output(t, root, "sh", "-c", `rpm2cpio "$0" | cpio -idm --quiet --no-absolute-filenames`, rpm)
	if sum(t, filepath.Join(root, "usr/bin/ossfs")) != sum(t, filepath.Join(dist(t), "ossfs")) {
		t.Error("the program of the rpm is another")
	}
}

func sum(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// What the deb installs runs: in its own root, where nothing else is, so that it needs no library.
func TestInstalledProgramRuns(t *testing.T) {
	root := installed(t)
	program := filepath.Join(root, "usr/bin/ossfs")
	version := output(t, "/", program, "version")
	for _, word := range []string{"ossfs ", "commit ", "date   20", "go     go"} {
		if !strings.Contains(version, word) {
			t.Errorf("version: %q does not say %q", version, word)
		}
	}
	if strings.Contains(version, "unknown") {
		t.Errorf("version: %q", version)
	}
	if help := output(t, "/", program, "help"); !strings.Contains(help, "ossfs mount") {
		t.Errorf("help: %q", help)
	}
	if os.Geteuid() != 0 {
		t.Log("chroot needs root: not tried")
		return
	}
	if got := output(t, "/", "chroot", root, "/usr/bin/ossfs", "version"); got != version {
		t.Errorf("in a root of its own: got %q, want %q", got, version)
	}
	// mount(8) calls its helper by the link's name; -f checks the command line alone.
	output(t, "/", "chroot", root, "/sbin/mount.ossfs", "oss://bucket/prefix", "/mnt", "-f", "-o", "rw,_netdev,attr_ttl=5m")
	out, err := exec.Command("chroot", root, "/sbin/mount.fuse.ossfs", "oss://bucket", "/mnt", "-f", "-o", "url=x").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "--endpoint") {
		t.Errorf("mount.fuse.ossfs: got %v %q, want status 2 and a word on --endpoint", err, out)
	}
	out, err = exec.Command("chroot", root, "/sbin/umount.fuse.ossfs", "-v").CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "takes a target") {
		t.Errorf("umount.fuse.ossfs: got %v %q, want status 1 and what it takes", err, out)
	}
}

// A demo of the installed program mounts, writes and reads back.
func TestInstalledDemo(t *testing.T) {
	if os.Getenv("OSSFS_TEST_NO_FUSE") != "" {
		t.Skip("OSSFS_TEST_NO_FUSE is set")
	}
	root := installed(t)
	dir := t.TempDir()
	program := filepath.Join(root, "usr/bin/ossfs")
	output(t, "/", program, "demo", "--dir", dir, "--", "cp", filepath.Join(root, "usr/share/doc/ossfs/copyright"), "{}/licence")
	got := output(t, "/", program, "demo", "--dir", dir, "--", "cat", "{}/licence")
	want, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("read back %d bytes, want the %d of the licence", len(got), len(want))
	}
}

// The manual pages are clean and render; the alias of mount(8) leads to the first.
func TestManualPages(t *testing.T) {
	root := installed(t)
	pages := map[string]string{"man1/ossfs.1.gz": "ossfs mount", "man5/ossfs.conf.5.gz": "attr_ttl = DUR", "man8/mount.ossfs.8.gz": "ossfs mount"}
	for page, want := range pages {
		path := filepath.Join(root, "usr/share/man", page)
		if text := output(t, "/", "man", "-l", "--warnings", path); !strings.Contains(text, want) {
			t.Errorf("man %s: no %q in\n%s", page, want, text)
		}
		if _, err := exec.LookPath("mandoc"); err != nil {
			t.Log("mandoc is not installed")
			continue
		}
		out, err := exec.Command("mandoc", "-Tlint", "-Wwarning", path).Output()
		if err != nil || len(out) > 0 {
			t.Errorf("mandoc -Tlint %s: %v\n%s", page, err, out)
		}
	}
}

// The completions load in their shells, from where the package has put them.
func TestCompletionsLoad(t *testing.T) {
	root := filepath.Join(installed(t), "usr/share")
	for shell, script := range map[string]string{
		"bash": `source "$0/bash-completion/completions/ossfs" && complete -p ossfs`,
		"zsh":  `fpath=("$0/zsh/vendor-completions" $fpath); autoload -Uz compinit; compinit -D -u; print -- ${_comps[ossfs]}`,
		"fish": `source $argv[1]/fish/vendor_completions.d/ossfs.fish; complete -C "ossfs mou"`,
	} {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		want := map[string]string{"bash": "complete -F _ossfs ossfs", "zsh": "_ossfs", "fish": "mount"}[shell]
		if got := output(t, "/", shell, "-c", script, root); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", shell, got, want)
		}
	}
}

// The same commit gives the same bytes, in another folder and at another time.
func TestReproducible(t *testing.T) {
	first := dist(t)
	if changed := output(t, "..", "git", "status", "--porcelain"); changed != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("something here changes files that git knows:\n%s", changed)
		}
		t.Skipf("there are changes that no clone has:\n%s", changed)
	}
	clone := filepath.Join(t.TempDir(), "a-folder-with-another-name")
	output(t, "..", "git", "clone", "-q", ".", clone)
	build := exec.Command("packaging/build")
	build.Dir = clone
	if out, err := build.CombinedOutput(); err != nil { // with this user's caches, unlike output
		t.Fatalf("packaging/build: %v\n%s", err, out)
	}
	var names []string
	for _, dir := range []string{first, filepath.Join(clone, "dist")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() && !slices.Contains(names, e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) != 3 {
		t.Errorf("%v were built, want the program, a deb and an rpm", names)
	}
	for _, name := range names {
		if a, b := sum(t, filepath.Join(first, name)), sum(t, filepath.Join(clone, "dist", name)); a != b {
			t.Errorf("%s differs: %s and %s", name, a, b)
		}
	}
}

// The Dockerfile cannot be built where there is no daemon; what it shares with packaging/build agrees.
func TestDockerfileAgreesWithBuild(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	file, build := read("Dockerfile"), read("packaging/build")
	_, rest, _ := strings.Cut(read("go.mod"), "\ntoolchain go")
	release, _, found := strings.Cut(rest, "\n")
	if !found || !strings.Contains(file, "ARG GO_VERSION="+release+"\n") {
		t.Errorf("the Dockerfile builds with another Go than the %q of go.mod", release)
	}
	for _, flags := range []string{"CGO_ENABLED=0 go build -trimpath -buildvcs=false", "-s -w -X main.version=", "-X main.date="} {
		if !strings.Contains(file, flags) || !strings.Contains(build, flags) {
			t.Errorf("%q is not in both", flags)
		}
	}
}
