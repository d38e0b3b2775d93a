package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ossfs/ossfs/internal/control"
)

const (
	barColumns    = 24
	redrawEvery   = 100 * time.Millisecond
	plainLineWait = 10 * time.Second
)

// progress shows how a flush goes: one line that is drawn over on a terminal, a plain line every ten
// seconds elsewhere, and nothing at all for what is done at once.
type progress struct {
	out      io.Writer
	terminal bool
	verb     string // "sending"
	start    time.Time

	mu    sync.Mutex // guards the fields below
	shown bool       // a line is on the terminal, without its end
	next  time.Time  // nothing is shown before
	last  control.Progress
}

func newProgress(out io.Writer, verb string) *progress {
	_, isTerminal := terminal(out)
	p := &progress{out: out, terminal: isTerminal, verb: verb, start: time.Now()}
	if !isTerminal {
		p.next = time.Now().Add(plainLineWait)
	}
	return p
}

// report takes the newest state.
func (p *progress) report(now control.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = now
	if time.Now().Before(p.next) || now.TotalFiles == 0 {
		return
	}
	if !p.terminal {
		p.next = time.Now().Add(plainLineWait)
		fmt.Fprintf(p.out, "%s: %s\n", p.verb, describe(now))
		return
	}
	p.next = time.Now().Add(redrawEvery)
	p.draw()
}

// draw writes the line over the one before.
func (p *progress) draw() {
	text := fmt.Sprintf("%s %s %s", p.verb, bar(p.last), describe(p.last))
	width := terminalWidth(p.out) - 1
	if len(text) > width {
		text = p.verb + " " + describe(p.last)
	}
	if runes := []rune(text); len(runes) > width {
		text = string(runes[:width])
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", text)
	p.shown = true
}

// end leaves the last state on a line of its own.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown {
		return
	}
	if p.last.Files > 0 {
		p.draw()
	} else {
		fmt.Fprintf(p.out, "\r%d files sent, %s in %s\x1b[K", p.last.TotalFiles, formatSize(p.last.TotalBytes), age(time.Since(p.start)))
	}
	fmt.Fprintln(p.out)
	p.shown = false
}

func bar(p control.Progress) string {
	full := int(fraction(p) * barColumns)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barColumns-full) + "]"
}

// fraction is how much of the work is done. Empty files count too: each stands for some bytes.
func fraction(p control.Progress) float64 {
	const fileCost = 64 << 10
	total := p.TotalBytes + p.TotalFiles*fileCost
	left := p.Bytes + p.Files*fileCost
	if total <= 0 {
		return 1
	}
	return min(max(1-float64(left)/float64(total), 0), 1)
}

func describe(p control.Progress) string {
	text := fmt.Sprintf("%d of %d files left (%s)", p.Files, p.TotalFiles, formatSize(p.Bytes))
	if p.Rate >= 1 {
		text += fmt.Sprintf(", %s/s", formatSize(int64(p.Rate)))
		if left := time.Duration(float64(p.Bytes) / p.Rate * float64(time.Second)); left >= time.Second {
			text += ", " + age(left) + " to go"
		}
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	return text
}
