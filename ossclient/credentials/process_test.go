package credentials

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func (w *world) script(name, text string) string {
	w.t.Helper()
	path := w.file(name, "#!/bin/sh\n"+text+"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func TestCredentialProcess(t *testing.T) {
	t.Setenv("OSS_ACCESS_KEY_SECRET", testSecret)
	for _, test := range []struct{ name, script, want string }{
		{"services' names", "echo '" + tempAnswer("2999-01-01T00:00:00Z") + "'", ""},
		{"the CLI's names", `echo '{"mode":"StsToken","access_key_id":"` + tempID + `","access_key_secret":"` + tempSecret + `","sts_token":"` + tempToken + `"}'`, ""},
		{"arguments", `[ "$1" = "two words" ] && echo '` + tempAnswer("2999-01-01T00:00:00Z") + "'", ""},
		{"our keys are not its", `[ -z "$OSS_ACCESS_KEY_SECRET" ] && echo '` + tempAnswer("2999-01-01T00:00:00Z") + "'", ""},
		{"it fails", "echo " + tempSecret + " >&2; exit 3", "exit status 3"},
		{"no JSON", "echo " + tempSecret, "not a JSON object"},
		{"too much", "head -c 200000 /dev/zero", "printed more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.opt.Process = w.script("keys.sh", test.script) + ` 'two words' --token "` + testToken + `"`
			p := w.provider()
			if test.want == "" {
				wantKey(t, p, temp)
				return
			}
			_, err := p.Retrieve(context.Background())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestProcessOfAProfile(t *testing.T) {
	w := newWorld(t)
	script := w.script("keys.sh", "echo '"+tempAnswer("2999-01-01T00:00:00Z")+"'")
	w.file(".aliyun/config.json", `{"current":"a","profiles":[{"name":"a","mode":"External","process_command":"`+script+`"}]}`)
	wantKey(t, w.provider(), temp)

	w.vars[envNoExternal], w.vars[envURI] = "true", "http://127.0.0.1:1/"
	w.opt.Process = script
	p := w.provider()
	if _, err := p.Retrieve(context.Background()); err == nil || strings.Count(err.Error(), envNoExternal+" is set") != 3 {
		t.Errorf("got %v, want that profile, process and URI are switched off", err)
	}
}

// A command that never ends is ended, with what it started.
func TestProcessThatHangs(t *testing.T) {
	w := newWorld(t)
	mark := filepath.Join(w.home, "started")
	args := []string{w.script("hang.sh", "sleep 100 & echo $! > "+mark+"; wait")}
	p := processSource{func() []string { return args }, 2 * time.Second}
	_, err := p.Retrieve(context.Background())
	if err == nil || !strings.Contains(err.Error(), "longer than 2s") || !isTemporary(err) {
		t.Fatalf("got %v, want a time-out that may pass", err)
	}
	pid, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() { // SIGKILL is not instant
		status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(status), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child %s still runs: %s", pid, status)
		}
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("the mount goes away")
	cancel(cause)
	if _, err := p.Retrieve(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestSplitCommand(t *testing.T) {
	for command, want := range map[string][]string{
		`a b  c`:                      {"a", "b", "c"},
		`"/opt/my tool" --x='1 2' ""`: {"/opt/my tool", "--x=1 2", ""},
		`a\ b "c\"d" "e\f" 'g\h'`:     {"a b", `c"d`, `e\f`, `g\h`},
		`$HOME;rm`:                    {"$HOME;rm"},
	} {
		if got, err := splitCommand(command); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", command, got, err, want)
		}
	}
	for _, command := range []string{"", "  ", `"a`, `a 'b`, `a\`, `"" b`} {
		if got, err := splitCommand(command); err == nil {
			t.Errorf("%s: got %q, want an error", command, got)
		}
	}
}
