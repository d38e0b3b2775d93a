package tests

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// literals are all the texts of the program's own source, without its tests. Texts that are added up
// are one.
func literals(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.path, "tests/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := constant(e)
			if ok {
				all = append(all, text)
			}
			return !ok
		})
	}
	return all
}

// constant is the text of a literal or of a sum, in which "..." stands for what is not known here.
func constant(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return verbs.ReplaceAllString(text, "..."), err == nil
	case *ast.BinaryExpr:
		left, okLeft := constant(e.X)
		right, okRight := constant(e.Y)
		if e.Op != token.ADD || !okLeft && !okRight {
			return "", false
		}
		if !okLeft {
			left = "..."
		}
		if !okRight {
			right = "..."
		}
		return left + right, true
	}
	return "", false
}

var (
	verbs  = regexp.MustCompile(`%[-+#0-9.]*[a-z]`)
	quoted = regexp.MustCompile(`(?m)^> (.*)$`)
)

// docs/TROUBLESHOOTING.md quotes what the program really prints: each part of a message between two
// "..." stands in the source, all of them in that order, though maybe in several places of it.
func TestTroubleshootingQuotesRealMessages(t *testing.T) {
	page, err := os.ReadFile("../docs/TROUBLESHOOTING.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := literals(t)
	messages := quoted.FindAllStringSubmatch(string(page), -1)
	if len(messages) < 30 {
		t.Errorf("%d messages are quoted, want all that matter", len(messages))
	}
	for _, m := range messages {
		for _, part := range parts(m[1]) {
			if !contained(texts, part) {
				t.Errorf("%q\nis quoted, and no text of the program has %q", m[1], part)
			}
		}
	}
}

// parts are the fixed pieces of a quoted message. A piece may be put together of a subject and a
// cause, which stand apart in the source: "CAUSE: CURE".
func parts(message string) []string {
	var list []string
	for piece := range strings.SplitSeq(message, "...") {
		for part := range strings.SplitSeq(piece, ": ") {
			if part = strings.Trim(part, " :(),"); len(part) > 2 {
				list = append(list, part)
			}
		}
	}
	return list
}

func contained(texts []string, part string) bool {
	for _, text := range texts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// Links and paths in the documents lead somewhere.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	path := regexp.MustCompile(`\b(?:docs|contrib|packaging|writeback|cmd)/[A-Za-z0-9_@./-]*[A-Za-z0-9]`)
	for _, name := range []string{"README.md", "CHANGELOG.md", "docs/TROUBLESHOOTING.md", "docs/MIGRATING.md", "docs/TUNING.md",
		"docs/SECURITY.md", "docs/SEMANTICS.md", "docs/ARCHITECTURE.md"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, found := range path.FindAllString(string(text), -1) {
			if _, err := os.Stat(filepath.Join("..", found)); err != nil {
				t.Errorf("%s names %s: %v", name, found, err)
			}
		}
	}
}

// Every --flag that a document for users names exists.
func TestDocumentsNameFlagsThatExist(t *testing.T) {
	known := strings.Join(literals(t), "\n")
	flag := regexp.MustCompile("`[^`]*`|(?m)^    .*$")
	name := regexp.MustCompile(`(?:^|[\s(\[])--([a-z][a-z-]+)`)
	for _, doc := range []string{"README.md", "docs/TROUBLESHOOTING.md", "docs/TUNING.md", "docs/SECURITY.md", "docs/SEMANTICS.md"} {
		text, err := os.ReadFile(filepath.Join("..", doc))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, code := range flag.FindAllString(string(text), -1) {
			if !strings.Contains(code, "ossfs") && !strings.HasPrefix(code, "`--") {
				continue
			}
			for _, m := range name.FindAllStringSubmatch(strings.Trim(code, "`"), -1) {
				if !strings.Contains(known, "\n"+m[1]+"\n") && m[1] != "help" {
					t.Errorf("%s: %s has --%s, which does not exist", doc, code, m[1])
				}
			}
		}
	}
}
