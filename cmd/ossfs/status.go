package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/ossfs/ossfs/internal/control"
)

const (
	watchEvery     = time.Second
	statusPatience = 5 * time.Second // for one mount's answer
	foldedIndent   = 12              // columns before a report's text
)

// statusQuestion is what the status command was asked.
type statusQuestion struct {
	mountpoint string // empty: all mounts
	json       bool
	watch      bool
}

func statusCommand() command {
	return command{
		name:  "status",
		usage: "[--json] [--watch] [MOUNTPOINT]",
		short: "one mount, or all: queue, rates, memory, errors",
		setup: func(flags *pflag.FlagSet) runner {
			q := new(statusQuestion)
			flags.BoolVar(&q.json, "json", false, "print JSON: an object for the MOUNTPOINT, or a list of all")
			flags.BoolVarP(&q.watch, "watch", "w", false, "show it again every second, until Ctrl-C")
			return func(inv *invocation) error {
				switch len(inv.args) {
				case 0:
				case 1:
					path, err := resolveMountpoint(inv.args[0])
					if err != nil {
						return failf("status %s: %w", inv.args[0], reason(err))
					}
					q.mountpoint = path
				default:
					return usagef("status takes one MOUNTPOINT, or none for all")
				}
				return q.run(inv)
			}
		},
	}
}

func (q *statusQuestion) run(inv *invocation) error {
	ctx, stop := inv.signals()
	defer stop()
	screen, isTerminal := terminal(inv.out)
	drawn := isTerminal && !q.json
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var page bytes.Buffer
		if err := q.show(ctx, &page); err != nil {
			return err
		}
		text := page.String()
		switch {
		case drawn && q.watch:
			text = onScreen(text, screen)
		case drawn:
			text = strings.Join(fitting(text, columns(screen, plainWidth)), "\n") + "\n"
		}
		if _, err := io.WriteString(inv.out, text); err != nil {
			return failf("status: %w", err)
		}
		if !q.watch {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// onScreen draws a page over the one before, without a flicker, as much of it as there is room for.
func onScreen(page string, screen *os.File) string {
	width, height, err := term.GetSize(int(screen.Fd()))
	if err != nil || width < 1 || height < 2 {
		return page
	}
	lines := fitting(page, width)
	if len(lines) >= height {
		more := len(lines) - (height - 2)
		lines = append(lines[:height-2:height-2], fmt.Sprintf("(%d more lines)", more))
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // home
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\r\n") // and clear what is left of the line before
	}
	b.WriteString("\x1b[J") // and of the page
	return b.String()
}

// fitting is a page's lines, folded where they are too long.
func fitting(page string, width int) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimRight(page, "\n")) {
		lines = append(lines, folded(strings.TrimSuffix(line, "\n"), width)...)
	}
	return lines
}

// folded cuts a line that is too long at its blanks; what follows stands below the line's text.
func folded(line string, width int) []string {
	indent := strings.Repeat(" ", min(foldedIndent, width/4))
	var lines []string
	for text := []rune(line); ; {
		if len(text) <= width {
			return append(lines, string(text))
		}
		at := width
		for i := width; i > len(indent)+1; i-- {
			if text[i] == ' ' {
				at = i
				break
			}
		}
		lines = append(lines, string(text[:at]))
		text = []rune(indent + strings.TrimLeft(string(text[at:]), " "))
	}
}

// show prints one state of what was asked for.
func (q *statusQuestion) show(ctx context.Context, w io.Writer) error {
	entries, err := q.entries()
	if err != nil {
		return err
	}
	all := make([]json.RawMessage, 0, len(entries))
	for _, e := range entries {
		text, err := askStatus(ctx, e)
		if err != nil {
			if q.mountpoint != "" {
				return err
			}
			if text, err = json.Marshal(silentReport{Entry: e, Error: oneLine(err.Error())}); err != nil {
				return failf("status: %w", err)
			}
		}
		all = append(all, text)
	}
	switch {
	case q.json && q.mountpoint != "":
		return printJSON(w, all[0])
	case q.json:
		return printJSON(w, all)
	}
	return printReports(w, all)
}

func (q *statusQuestion) entries() ([]control.Entry, error) {
	registry := control.OpenRegistry()
	if q.mountpoint == "" {
		all, err := registry.List()
		if err != nil {
			return nil, failf("status: %w", err)
		}
		return all, nil
	}
	e, found, err := registry.Find(q.mountpoint)
	switch {
	case err != nil:
		return nil, failf("status: %w", err)
	case found:
		return []control.Entry{e}, nil
	}
	return nil, noMount(q.mountpoint)
}

// noMount is the error for a mountpoint that no living process serves.
func noMount(mountpoint string) error {
	m, err := mountAt(mountpoint)
	if err == nil && m != nil && m.fsType == fuseType && isDead(mountpoint) {
		return failf("status %s: the mount is dead: its process was killed or crashed: mount %s there again, which sends what is left", mountpoint, m.source)
	}
	if err == nil && m != nil && m.fsType == fuseType && control.OpenRegistry().Held(mountpoint) {
		return failf("status %s: the mount hangs: its process was killed, and the kernel has not let go of it: mount %s there again, which frees whoever waits for it, and sends what is left", mountpoint, m.source)
	}
	return failf("status %s: no mount of ossfs: ossfs status lists them", mountpoint)
}

// silentReport stands for a mount that did not answer.
type silentReport struct {
	control.Entry
	Error string `json:"error"`
}

func askStatus(ctx context.Context, e control.Entry) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	client := control.NewClient(e.Socket)
	defer client.Close()
	text, err := client.Status(ctx)
	switch {
	case err == nil:
		return text, nil
	case control.IsGone(err):
		return nil, noMount(e.Mountpoint)
	case errors.Is(err, os.ErrPermission):
		return nil, failf("status %s: it is another user's mount: sudo ossfs status", e.Mountpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failf("status %s: process %d does not answer: kill -QUIT %d makes it say where it hangs", e.Mountpoint, e.PID, e.PID)
	default:
		return nil, failf("status %s: %w", e.Mountpoint, err)
	}
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func printReports(w io.Writer, all []json.RawMessage) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no mounts of ossfs")
		return err
	}
	now := time.Now()
	for i, text := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		var silent silentReport
		if err := json.Unmarshal(text, &silent); err == nil && silent.Error != "" {
			fmt.Fprintf(w, "%s: %s\n", silent.Entry, silent.Error)
			continue
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return failf("status: a mount of another version: %w", err)
		}
		r.write(w, now)
	}
	return nil
}
