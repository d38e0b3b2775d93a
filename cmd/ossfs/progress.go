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
	rateWait      = 2 * time.Second // before it a rate would be of the first few bytes
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
	pace  pace // of what the bucket has confirmed
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
	p.pace.add(time.Now(), max(p.last.Bytes-p.last.TotalBytes+now.TotalBytes-now.Bytes, 0))
	p.last = now
	if time.Now().Before(p.next) || now.TotalFiles == 0 {
		return
	}
	if !p.terminal {
		p.next = time.Now().Add(plainLineWait)
		fmt.Fprintf(p.out, "%s: %s\n", p.verb, describe(now, p.rate()))
		return
	}
	p.next = time.Now().Add(redrawEvery)
	p.draw()
}

// rate is bytes a second, 0 while it is too early to say.
func (p *progress) rate() float64 {
	if time.Since(p.start) < rateWait {
		return 0
	}
	return p.pace.rate(time.Now())
}

// draw writes the line over the one before. The last column stays free: some terminals begin a new line behind it.
func (p *progress) draw() {
	width := plainWidth
	if f, ok := terminal(p.out); ok {
		width = columns(f, plainWidth)
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", progressLine(width-1, p.verb, p.last, p.rate()))
	p.shown = true
}

// progressLine says as much as there is room for: the bar goes first, then how fast it is, then the number of files.
func progressLine(width int, verb string, p control.Progress, rate float64) string {
	shorter := formatSize(p.Bytes) + " left"
	if p.Bytes == 0 {
		shorter = fmt.Sprintf("%d files left", p.Files)
	}
	lines := []string{
		verb + " " + bar(p) + " " + describe(p, rate),
		verb + " " + describe(p, rate),
		describe(p, 0) + toGo(p, rate),
		shorter + toGo(p, rate),
		shorter,
	}
	for _, text := range lines {
		if len(text) <= width {
			return text
		}
	}
	return shorter[:max(width, 0)]
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

func describe(p control.Progress, rate float64) string {
	text := fmt.Sprintf("%d of %d files left (%s)", p.Files, p.TotalFiles, formatSize(p.Bytes))
	if rate >= 1 {
		text += fmt.Sprintf(", %s/s", formatSize(int64(rate)))
	}
	text += toGo(p, rate)
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	return text
}

// toGo is how long it lasts if it goes on like this.
func toGo(p control.Progress, rate float64) string {
	if rate < 1 {
		return ""
	}
	left := time.Duration(float64(p.Bytes) / rate * float64(time.Second))
	if left < time.Second {
		return ""
	}
	return ", " + age(left) + " to go"
}
