package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Printer writes checks for a person to read, each when it is over.
type Printer struct {
	W      io.Writer
	Width  int  // columns; below 60 counts as 60
	Colour bool // ANSI colours
}

const (
	nameWidth = 12
	indent    = 6 + nameWidth + 1
)

// Check writes one check: its outcome, its name, what was found, and what to change below it.
func (p Printer) Check(c Check) {
	fmt.Fprintf(p.W, "%s  %-*s ", p.mark(c.Outcome), nameWidth, c.Name)
	p.wrapped(c.Found, "")
	if c.Cure != "" && c.Outcome != OK {
		fmt.Fprintf(p.W, "%*s", indent, "")
		p.wrapped("-> "+c.Cure, "   ")
	}
	for _, line := range c.Details {
		fmt.Fprintf(p.W, "%*s", indent, "")
		p.wrapped("- "+line, "  ")
	}
}

// Summary writes how it all ended.
func (p Printer) Summary(r Report) {
	failed, warned := r.Count(Fail), r.Count(Warn)
	text := fmt.Sprintf("%d ok", r.Count(OK))
	if warned > 0 {
		text += fmt.Sprintf(", %d to look at", warned)
	}
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if skipped := r.Count(Skip); skipped > 0 {
		text += fmt.Sprintf(", %d not asked", skipped)
	}
	verdict := "this bucket can be mounted here"
	if failed > 0 {
		verdict = "follow the arrows below what failed, from the top"
	}
	fmt.Fprintf(p.W, "\n%s: %s\n", text, verdict)
}

// mark is the outcome, four columns wide.
func (p Printer) mark(o Outcome) string {
	text := fmt.Sprintf("%-4s", o)
	colours := map[Outcome]string{OK: "32", Warn: "33", Fail: "31;1", Skip: "2"}
	if !p.Colour {
		return text
	}
	return "\x1b[" + colours[o] + "m" + text + "\x1b[0m"
}

// wrapped writes words in the column of what was found, later lines behind hang.
func (p Printer) wrapped(text, hang string) {
	room := max(p.Width, 40) - indent
	used := 0
	for i, word := range strings.Fields(printable(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > room:
			fmt.Fprintf(p.W, "\n%*s%s", indent, "", hang)
			used = len(hang)
		default:
			fmt.Fprint(p.W, " ")
			used++
		}
		fmt.Fprint(p.W, word)
		used += n
	}
	fmt.Fprintln(p.W)
}

// printable keeps what a server said from moving the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}
