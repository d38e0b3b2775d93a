package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ossfs/ossfs/internal/control"
)

// A line of progress fits into any window, and the narrowest still say what is left.
func TestProgressLine(t *testing.T) {
	p := control.Progress{Files: 40, TotalFiles: 200, Bytes: 30 << 20, TotalBytes: 100 << 20}
	for width, want := range map[int]string{
		120: "sending [#################.......] 40 of 200 files left (30MiB), 1MiB/s, 30s to go",
		79:  "sending 40 of 200 files left (30MiB), 1MiB/s, 30s to go",
		60:  "sending 40 of 200 files left (30MiB), 1MiB/s, 30s to go",
		49:  "40 of 200 files left (30MiB), 30s to go",
		29:  "30MiB left, 30s to go",
		12:  "30MiB left",
		5:   "30MiB",
		0:   "",
	} {
		if got := progressLine(width, "sending", p, 1<<20); got != want {
			t.Errorf("%d columns: got %q, want %q", width, got, want)
		}
	}
	if got := progressLine(29, "sending", control.Progress{Files: 3, TotalFiles: 9}, 0); got != "3 of 9 files left (0B)" {
		t.Errorf("empty files: got %q", got)
	}
	for p.Failed = range int64(2) {
		for width := range 130 {
			if got := progressLine(width, "sending", p, 1e6); len(got) > width {
				t.Errorf("%d columns: %q has %d", width, got, len(got))
			}
		}
	}
}

// A report is folded, not cut: each word of it is there in a narrow window, too.
func TestFolded(t *testing.T) {
	line := "  unsent    1 waiting, 0 being sent, 0 failed; 19.1MiB, the oldest 4s old in /var/lib/ossfs/a-name-without-any-blank-ünd-so-on"
	for width := 1; width < 140; width++ {
		lines := folded(line, width)
		for i, text := range lines {
			if utf8.RuneCountInString(text) > width {
				t.Errorf("%d columns: %q is longer", width, text)
			}
			if i > 0 && width >= 48 && !strings.HasPrefix(text, strings.Repeat(" ", foldedIndent)) {
				t.Errorf("%d columns: %q does not stand below the first line's text", width, text)
			}
		}
		got := strings.ReplaceAll(strings.Join(lines, ""), " ", "")
		if want := strings.ReplaceAll(line, " ", ""); got != want {
			t.Errorf("%d columns: got %q", width, got)
		}
	}
}
