package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const (
	migratingPage  = "../../docs/MIGRATING.md"
	updateVariable = "OSSFS_UPDATE_DOCS" // set: what is generated in the documents is written anew
)

func mountFlags() *pflag.FlagSet {
	flags := newFlagSet(mountName)
	new(settings).define(flags)
	return flags
}

// Every option of the other programs is answered on the command line: it is taken, or the error names what does
// the same here.
func TestEveryLegacyOptionIsAnswered(t *testing.T) {
	isolate(t)
	flags := mountFlags()
	for _, p := range legacyPrograms() {
		options := strings.Fields(p.options)
		if len(options) < 50 {
			t.Errorf("%s: %d options, want all of them", p.name, len(options))
		}
		for _, option := range options {
			answer, ok := p.answer(option, flags)
			if !ok {
				t.Errorf("%s: %s has no answer", p.name, option)
				continue
			}
			if isGeneric(option) || flags.Lookup(option) != nil || len(option) == 1 && flags.ShorthandLookup(option) != nil {
				continue
			}
			advice, _ := adviceFor(option)
			if _, noted := p.notes[option]; !noted && answer != advice {
				t.Errorf("%s: %s: the page says %q and the error %q", p.name, option, answer, advice)
			}
			written := "-o" + option + "=hush"
			if len(option) == 1 {
				written = "-" + option
			}
			status, _, errText := call(t, "mount", "--fake", written, "oss://bucket", "/mnt")
			if status != exitUsage || !strings.HasSuffix(errText, ": "+advice+"\n") || strings.Contains(errText, "hush") {
				t.Errorf("%s: %s: got %d %q, want %d and %q", p.name, written, status, errText, exitUsage, advice)
			}
		}
		for option := range p.notes {
			if !slices.Contains(options, option) {
				t.Errorf("%s: a note on %s, which is none of its options", p.name, option)
			}
		}
	}
}

// A flag that an answer names exists.
func TestLegacyAnswersNameFlagsOfOurs(t *testing.T) {
	flags := mountFlags()
	check := func(text string) {
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;:().", r) }) {
			name, ok := strings.CutPrefix(word, "--")
			if f := flags.Lookup(name); ok && (f == nil || f.Hidden) {
				t.Errorf("%q names %s, which does not exist", text, word)
			}
		}
	}
	for _, group := range legacyOptions() {
		check(group.advice)
	}
	for _, p := range legacyPrograms() {
		for _, note := range p.notes {
			check(note)
		}
	}
}

// A command line of ossfs 1.x, of ossfs 2 and of s3fs is told how it is written here.
func TestCommandLinesOfOthers(t *testing.T) {
	isolate(t)
	conf := filepath.Join(t.TempDir(), "ossfs2.conf")
	if err := os.WriteFile(conf, []byte("--oss_endpoint=https://oss-cn-hangzhou.aliyuncs.com\n--oss_bucket=photos\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"photos:/2024 /mnt -ourl=http://oss-cn-hangzhou.aliyuncs.com": `no such command "photos:/2024": a bucket is mounted by ossfs mount oss://photos/2024 MOUNTPOINT`,
		"photos /mnt -o allow_other":                                  `no such command "photos": a bucket is mounted by ossfs mount oss://photos MOUNTPOINT`,
		"mount /mnt -c " + conf:                                       "no such flag -c: it is called --config here",
		"mount /mnt --conf=" + conf:                                   "no such flag --conf: it is called --config here",
		"mount /mnt --config " + conf:                                 conf + ":1: no such key --oss_endpoint: it is called --endpoint here",
		"mount /mnt":                                                  "mount what on /mnt? ossfs mount oss://BUCKET /mnt",
		"mount --endpoint cn-hangzhou oss://photos /mnt":              "--endpoint cn-hangzhou: that is a region: give it with --region cn-hangzhou",
	} {
		status, _, errText := call(t, strings.Fields(args)...)
		if status != exitUsage || errText != "ossfs: "+want+"\n" {
			t.Errorf("ossfs %s\n got %d %q\nwant %d %q", args, status, errText, exitUsage, want)
		}
	}
}

// docs/MIGRATING.md says of each option what the error message says.
func TestMigratingPage(t *testing.T) {
	flags := mountFlags()
	for _, p := range legacyPrograms() {
		checkGenerated(t, migratingPage, "options of "+p.name, legacyTable(t, p, flags))
	}
}

// legacyTable is a program's options by what they are here.
func legacyTable(t *testing.T, p legacyProgram, flags *pflag.FlagSet) string {
	t.Helper()
	var answers []string
	options := map[string][]string{}
	for _, option := range strings.Fields(p.options) {
		answer, ok := p.answer(option, flags)
		if !ok {
			continue // the test above says it
		}
		if options[answer] == nil {
			answers = append(answers, answer)
		}
		options[answer] = append(options[answer], "`"+option+"`")
	}
	slices.SortFunc(answers, func(a, b string) int { return strings.Compare(options[a][0], options[b][0]) })
	var page strings.Builder
	page.WriteString("| there | here |\n|---|---|\n")
	for _, answer := range answers {
		fmt.Fprintf(&page, "| %s | %s |\n", strings.Join(options[answer], ", "), answer)
	}
	return page.String()
}

// checkGenerated compares the part of a document that stands between two comments with what it should
// be.
func checkGenerated(t *testing.T, path, name, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	if got == want {
		return
	}
	if os.Getenv(updateVariable) == "" {
		t.Errorf("%s: %s is out of date: %s=1 go test ./cmd/ossfs writes it anew\ngot:\n%s\nwant:\n%s", path, name, updateVariable, got, want)
		return
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
