package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/internal/control"
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

// A service that fails a thousand times a second does not fill the log, and nothing is lost from sight.
func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		log := slog.New(newRepeatFilter(slog.NewTextHandler(&buf, nil)))
		for range 1000 {
			log.Warn("request failed", "op", "PutObject", "code", "AccessDenied", "key", time.Now())
		}
		log.Warn("request failed", "op", "GetObject", "code", "AccessDenied")
		log.Info("done")
		log.Info("done")
		time.Sleep(repeatWindow)
		log.LogAttrs(context.Background(), slog.LevelWarn, "request failed", slog.String("op", "PutObject"), slog.String("code", "AccessDenied"))
		lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
		if len(lines) != 5 || !strings.HasSuffix(lines[4], "repeated=999") {
			t.Errorf("got %d lines:\n%s", len(lines), buf.String())
		}
	})
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		show := newProgress(&buf, "sending")
		at := control.Progress{Files: 3, TotalFiles: 10, Bytes: 3 << 20, TotalBytes: 10 << 20, Rate: 1 << 20}
		show.report(at)
		if buf.Len() != 0 {
			t.Errorf("at once: got %q, want nothing", buf.String())
		}
		time.Sleep(plainLineWait)
		show.report(at)
		show.report(at)
		show.end()
		if want := "sending: 3 of 10 files left, 3MiB, 1MiB/s, 3s\n"; buf.String() != want {
			t.Errorf("got %q, want %q", buf.String(), want)
		}
	})
	for _, p := range []control.Progress{{}, {Files: 5}, {Files: 1, TotalFiles: 1}, {TotalFiles: 3}, {Bytes: 9, TotalBytes: 3}} {
		if text := bar(p); len(text) != barColumns+2 {
			t.Errorf("%+v: got %q", p, text)
		}
	}
}
