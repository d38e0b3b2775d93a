package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/internal/control"
	"github.com/ossfs/ossfs/ossclient"
)

func TestLogFileIsReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := &logging{level: oneOf("info"), format: oneOf("json"), file: path}
	out, err := s.open(true, t.TempDir(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	out.Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	out.Info("two")
	if err := out.reopen(); err != nil {
		t.Fatal(err)
	}
	out.Info("three")
	out.Debug("nothing")
	if err := out.close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{path + ".1": {"one", "two"}, path: {"three"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%s: got %q, want %v", name, lines, want)
		}
		for i, message := range want {
			if !strings.Contains(lines[i], `"msg":"`+message+`"`) {
				t.Errorf("%s: line %d is %s, want %s", name, i, lines[i], message)
			}
		}
	}
}

func TestLogFileThatCannotBe(t *testing.T) {
	s := &logging{level: oneOf("info"), format: oneOf("text"), file: "/nowhere/log"}
	if _, err := s.open(true, t.TempDir(), os.Stderr); err == nil ||
		err.Error() != "log file /nowhere/log: no such file or directory: give another --log-file" {
		t.Errorf("got %v", err)
	}
}

func TestSinkGetsTheLevel(t *testing.T) {
	var got []string
	s := &logging{level: oneOf("warn"), format: oneOf("text")}
	out := s.output("test", func(level slog.Level, text []byte) error {
		got = append(got, level.String()+" "+strings.TrimSpace(string(text)))
		return nil
	}, nil)
	out.Info("quiet")
	out.With("a", 1).WithGroup("g").Error("loud", "b", 2)
	if len(got) != 1 || got[0] != "ERROR msg=loud a=1 g.b=2" {
		t.Errorf("got %q", got)
	}
}

// lockedBuffer is written to by several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.String()
	b.buf.Reset()
	return text
}

// A service that fails a thousand times a second does not fill the log, and nothing is lost from sight.
func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf lockedBuffer
		filter := newRepeatFilter(slog.NewTextHandler(&buf, nil))
		log := slog.New(filter)
		for i := range 1000 {
			log.Warn("request failed", "op", "PutObject", "code", "AccessDenied", "key", i)
		}
		log.Warn("request failed", "op", "GetObject", "code", "AccessDenied")
		log.Info("done")
		log.Info("done")
		for _, code := range []string{"QuotaExceeded", "AccessDenied"} { // told apart by what the error is, not by its text
			for i := range 2 {
				err := &ossclient.Error{Op: "PutObject", Key: ossclient.Key(strconv.Itoa(i)), Kind: ossclient.ErrPermission, Code: code}
				log.Error("not sent", "error", fmt.Errorf("file %d: %w", i, err))
			}
		}
		take := func() []string {
			synctest.Wait()
			return strings.Split(strings.TrimSpace(buf.take()), "\n")
		}
		if got := take(); len(got) != 6 {
			t.Errorf("at once: got %d lines, want 6:\n%s", len(got), strings.Join(got, "\n"))
		}
		time.Sleep(repeatWindow + time.Second) // the sums come by themselves
		got := take()
		slices.Sort(got)
		if len(got) != 3 || !strings.HasSuffix(got[0], "repeated=1") || !strings.HasSuffix(got[2], "key=999 repeated=999") {
			t.Errorf("after the window: got %d lines:\n%s", len(got), strings.Join(got, "\n"))
		}
		time.Sleep(2 * repeatWindow) // by now all is forgotten
		log.Warn("request failed", "op", "PutObject", "code", "AccessDenied")
		log.Warn("request failed", "op", "PutObject", "code", "AccessDenied")
		if got := take(); len(got) != 1 {
			t.Errorf("later: got %q, want one line", got)
		}
		filter.memory.close()
		if got := take(); len(got) != 1 || !strings.HasSuffix(got[0], "repeated=1") {
			t.Errorf("at the end: got %q, want the sum", got)
		}
	})
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		show := newProgress(&buf, "sending")
		const tick = 200 * time.Millisecond
		for i := range int64(plainLineWait/tick) + 1 {
			if buf.Len() != 0 {
				t.Errorf("after %v: got %q, want nothing", time.Duration(i)*tick, buf.String())
			}
			show.report(control.Progress{Files: 13 - i/5, TotalFiles: 20, Bytes: 13<<20 - i<<20/5, TotalBytes: 13 << 20})
			time.Sleep(tick)
		}
		show.report(control.Progress{Files: 2, TotalFiles: 20, Bytes: 2 << 20, TotalBytes: 13 << 20})
		show.end()
		if want := "sending: 3 of 20 files left (3MiB), 1MiB/s, 3s to go\n"; buf.String() != want {
			t.Errorf("got %q, want %q", buf.String(), want)
		}
	})
	for _, p := range []control.Progress{{}, {Files: 5}, {Files: 1, TotalFiles: 1}, {TotalFiles: 3}, {Bytes: 9, TotalBytes: 3}} {
		if text := bar(p); len(text) != barColumns+2 {
			t.Errorf("%+v: got %q", p, text)
		}
	}
}
