package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossfs/ossfs/tests/harness"
)

// program runs one, and fails the test with its output when it fails.
func program(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing (apt-get install %s)", name, name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// realTree is a few hundred real files: a part of this project's own module cache and sources, with links,
// odd modes and old times among them.
func realTree(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	root := strings.TrimSpace(program(t, ".", "go", "env", "GOROOT"))
	for _, dir := range []string{"net/http", "encoding", "os"} {
		program(t, ".", "mkdir", "-p", filepath.Join(top, dir))
		program(t, ".", "cp", "-r", filepath.Join(root, "src", dir)+"/.", filepath.Join(top, dir))
	}
	must(t, os.Symlink("net/http/server.go", filepath.Join(top, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(top, "dangling")))
	must(t, os.WriteFile(filepath.Join(top, "a file with spaces & ünïcode"), []byte("x"), 0o600))
	must(t, os.WriteFile(filepath.Join(top, "empty"), nil, 0o444))
	must(t, os.WriteFile(filepath.Join(top, "big"), noise(50, 25<<20), 0o755))
	must(t, os.Mkdir(filepath.Join(top, "empty dir"), 0o711))
	// Old times, with fractions: rsync takes times of the same second for equal.
	program(t, top, "find", ".", "-exec", "touch", "-h", "-d", "2009-02-13 23:31:30.123456789", "{}", "+")
	if os.Geteuid() == 0 {
		must(t, os.Lchown(filepath.Join(top, "empty"), 1234, 4321))
		must(t, os.Lchown(filepath.Join(top, "link"), 1234, 4321))
	}
	return top
}

// described is a listing of a tree with all that rsync -a keeps; times of directories and links included.
func described(t *testing.T, top string) string {
	return program(t, top, "find", ".", "-mindepth", "1", "-printf", `%P %M %U:%G %T@ %l\n`)
}

func sorted(s string) string {
	lines := strings.Split(strings.Trim(s, "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func wantSameTree(t *testing.T, a, b string) {
	t.Helper()
	program(t, ".", "diff", "-r", "--no-dereference", a, b)
	if x, y := sorted(described(t, a)), sorted(described(t, b)); x != y {
		d := exec.Command("diff", "/dev/stdin", writeTemp(t, y))
		d.Stdin = strings.NewReader(x)
		out, _ := d.CombinedOutput()
		t.Errorf("attributes differ:\n%.4000s", out)
	}
}

func writeTemp(t *testing.T, s string) string {
	name := filepath.Join(t.TempDir(), "x")
	must(t, os.WriteFile(name, []byte(s), 0o600))
	return name
}

func TestRsync(t *testing.T) {
	from := realTree(t)
	b := harness.New(t)
	program(t, ".", "rsync", "-a", from+"/", b.Path("copy")+"/")
	wantSameTree(t, from, b.Path("copy"))
	var files, others int64
	must(t, filepath.WalkDir(from, func(_ string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Type().IsRegular():
			files++
		default:
			others++
		}
		return nil
	}))
	b.Server.ResetCounts()
	b.Flush()
	counts := b.Server.Counts()
	// Each file, directory and link is one PutObject; the one file over 16 MiB is a multipart upload.
	if got, want := counts["PutObject"], files+others-1; got != want {
		t.Errorf("got %d PutObjects, want %d (%d files, %d others): %v", got, want, files, others, counts)
	}
	for _, op := range []string{"CopyObject", "DeleteObject", "DeleteMultipleObjects", "HeadObject"} {
		if counts[op] != 0 {
			t.Errorf("got %d %s, want none", counts[op], op)
		}
	}
	b.Afresh()
	wantSameTree(t, from, b.Path("copy"))
	out := program(t, ".", "rsync", "-a", "--stats", "--itemize-changes", from+"/", b.Path("copy")+"/")
	if !strings.Contains(out, "Number of regular files transferred: 0") {
		t.Errorf("the second rsync transferred something:\n%.4000s", out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, ">") || strings.HasPrefix(line, "c") || strings.HasPrefix(line, ".") {
			t.Errorf("the second rsync found a difference: %s", line)
		}
	}
}

func TestTar(t *testing.T) {
	from := realTree(t)
	b := harness.New(t)
	archive := filepath.Join(t.TempDir(), "a.tar")
	program(t, from, "tar", "cf", archive, ".")
	must(t, os.Mkdir(b.Path("x"), 0o755))
	program(t, b.Path("x"), "tar", "xpf", archive)
	b.Afresh()
	program(t, ".", "diff", "-r", "--no-dereference", from, b.Path("x"))
	back := filepath.Join(t.TempDir(), "b.tar")
	program(t, b.Path("x"), "tar", "cf", back, ".")
	program(t, b.Path("x"), "tar", "df", back)
}

func TestGit(t *testing.T) {
	b := harness.New(t)
	work := b.Path("work")
	must(t, os.Mkdir(work, 0o755))
	program(t, work, "git", "init", "-q", ".")
	for i := range 30 {
		must(t, os.WriteFile(filepath.Join(work, fmt.Sprintf("f%d", i)), noise(uint64(i), 5000), 0o644))
	}
	program(t, work, "git", "add", ".")
	program(t, work, "git", "commit", "-q", "-m", "first")
	program(t, b.Dir, "git", "clone", "-q", "--no-hardlinks", "work", "clone")
	must(t, os.WriteFile(filepath.Join(work, "f0"), []byte("changed"), 0o644))
	program(t, work, "git", "commit", "-q", "-a", "-m", "second")
	program(t, b.Path("clone"), "git", "pull", "-q")
	program(t, work, "git", "gc", "-q")
	b.Afresh()
	for _, dir := range []string{"work", "clone"} {
		program(t, b.Path(dir), "git", "fsck", "--full", "--strict")
		if out := program(t, b.Path(dir), "git", "status", "--porcelain"); out != "" {
			t.Errorf("%s: git status says %q", dir, out)
		}
		wantFile(t, b.Path(dir, "f0"), []byte("changed"))
	}
}

// A database does what few other programs do: it locks, writes in the middle, truncates and syncs.
func TestSQLite(t *testing.T) {
	if exec.Command("python3", "-c", "import sqlite3").Run() != nil {
		t.Skip("python3 has no sqlite3 here")
	}
	b := harness.New(t)
	script := `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("create table if not exists t (i integer primary key, s text)")
for i in range(200):
    db.execute("insert into t (s) values (?)", ("x" * (i % 500),))
    if i % 50 == 0: db.commit()
db.commit()
db.execute("update t set s = s || 'y' where i % 3 = 0")
db.commit()
db.execute("delete from t where i % 7 = 0")
db.execute("vacuum") if db.commit() is None else 0
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
print(db.execute("select count(*), sum(length(s)) from t").fetchone())
`
	first := program(t, ".", "python3", "-c", script, b.Path("db"))
	b.Afresh()
	check := `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
print(db.execute("select count(*), sum(length(s)) from t").fetchone())
`
	if second := program(t, ".", "python3", "-c", check, b.Path("db")); second != first {
		t.Errorf("a new mount: got %s, want %s", second, first)
	}
}

// SEMANTICS 4.5: a second backup, of another mount of the same bucket, reads no file that did not change. restic compares inode
// numbers, sizes and both times.
func TestRestic(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip(err)
	}
	b := harness.New(t)
	must(t, os.MkdirAll(b.Path("d", "e"), 0o755))
	for _, name := range []string{"d/one", "d/e/two", "three"} {
		must(t, os.WriteFile(b.Path(name), []byte(name), 0o644))
	}
	b.Flush()
	repository := t.TempDir()
	restic := func(args ...string) (summary struct {
		New       int `json:"files_new"`
		Changed   int `json:"files_changed"`
		Unchanged int `json:"files_unmodified"`
	}) {
		t.Helper()
		cmd := exec.Command("restic", append([]string{"--json", "--no-cache", "--repo", repository}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=secret")
		out, err := cmd.Output()
		must(t, err)
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, `"summary"`) {
				must(t, json.Unmarshal([]byte(line), &summary))
			}
		}
		return summary
	}
	restic("init")
	if got := restic("backup", b.Dir); got.New != 3 {
		t.Errorf("the first backup: %+v, want 3 new files", got)
	}
	b.Afresh()
	must(t, os.WriteFile(b.Path("d", "new"), []byte("new"), 0o644))
	b.Server.ResetCounts()
	if got := restic("backup", b.Dir); got.New != 1 || got.Changed != 0 || got.Unchanged != 3 {
		t.Errorf("the second backup: %+v, want one new file, and three that did not change", got)
	}
	if n := b.Server.Counts()["GetObject"]; n > 0 {
		t.Errorf("the second backup asked for the bytes of %d objects", n)
	}
}
