package clidoc

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Documents names what [Program.Write] can write: ossfs.1, ossfs.bash, ...
func Documents() ([]string, error) {
	entries, err := fs.ReadDir(templates, "templates")
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".tmpl"))
	}
	return names, nil
}

// Write writes one of the documents.
func (p Program) Write(w io.Writer, document string) error {
	file := document + ".tmpl"
	t, err := template.New(file).Funcs(template.FuncMap{
		"roff":     roff,
		"line":     oneLine,
		"single":   single,
		"fallback": fallback,
		"commas":   func(s string) string { return strings.ReplaceAll(s, " ", " , ") },
		"zsh":      zsh,
		"sentence": sentence,
		"flags":    longFlags,
		"comment":  func(s string) string { return wrap("# ", s, 100) },
		"date":     func() string { return p.Date.UTC().Format("January 2, 2006") },
	}).ParseFS(templates, path.Join("templates", file))
	if err != nil {
		return fmt.Errorf("no document %q: %w", document, err)
	}
	return t.Execute(w, p)
}

// roff makes a text harmless for mdoc(7): no character of it is a request, an escape or a break that
// was not meant. Each sentence begins a line, so that the space before it is right.
func roff(s string) string {
	var lines []string
	for sentence := range strings.SplitSeq(oneLine(s), ". ") {
		lines = append(lines, wrap("", sentence, 78))
	}
	return strings.Join(lines, ".\n")
}

// oneLine is roff for a line of its own, or for a part of one.
func oneLine(s string) string {
	words := strings.Fields(strings.NewReplacer(`\`, `\e`, "--", `\-\-`, `"`, `\(dq`, "()", `\&()`).Replace(s))
	for i, word := range words {
		switch word[0] {
		case '.', '\'':
			words[i] = `\&` + word
		case '-':
			words[i] = `\` + word
		}
	}
	return strings.Join(words, " ")
}

// single quotes a text for a shell.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zsh is a description within the brackets of _arguments, between single quotes.
func zsh(s string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`, "'", `'\''`).Replace(s)
}

// sentence is a text with a capital and a full stop.
func sentence(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// fallback is a sentence about what holds when nothing is said.
func fallback(f Flag) string {
	if f.Fallback == "" {
		return ""
	}
	return " Default: " + f.Fallback + "."
}

// longFlags lists --name and -n of all flags, with spaces.
func longFlags(list []Flag) string {
	var words []string
	for _, f := range list {
		words = append(words, "--"+f.Name)
		if f.Short != "" {
			words = append(words, "-"+f.Short)
		}
	}
	return strings.Join(words, " ")
}

// wrap breaks a text into lines of at most width bytes, each with a prefix.
func wrap(prefix, s string, width int) string {
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(s) {
		switch {
		case column == 0:
			out.WriteString(prefix)
			column = len(prefix)
		case column+1+len(word) > width:
			out.WriteString("\n" + prefix)
			column = len(prefix)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}
