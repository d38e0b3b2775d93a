package main

import (
	"fmt"
	"time"
)

// A row is one line of the tables: a piece of work done on a fresh mount.
type row struct {
	name string // "read/one-1GiB"; groups end at the slash
	work string // what is done, for a person
	run  func(*bench) (result, error)
}

// result is what one run of a row measured.
type result struct {
	Figures []figure `json:"figures"`
}

// figure is one measured value, with the target it has to meet where there is one.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Most  float64 `json:"most,omitempty"`  // target: at most; 0: none
	Least float64 `json:"least,omitempty"` // target: at least; 0: none
}

func (r *result) add(name string, value float64, unit string) *figure {
	r.Figures = append(r.Figures, figure{Name: name, Value: value, Unit: unit})
	return &r.Figures[len(r.Figures)-1]
}

// seconds adds a duration.
func (r *result) seconds(name string, d time.Duration) *figure {
	return r.add(name, d.Seconds(), "s")
}

// beyondBudget is what a mount may take beside its --memory, in bytes.
const beyondBudget = 100 << 20

// usage adds what the mount's process used between two looks at it, its memory beside what the budget allows.
func (r *result) usage(before, after usage, budget int64) {
	r.add("cpu", (after.cpu - before.cpu).Seconds(), "s")
	rss := r.add("peak RSS", float64(after.peakRSS)/(1<<20), "MiB")
	if budget != 0 {
		rss.atMost(float64(budget+beyondBudget) / (1 << 20))
	}
}

func (f *figure) atMost(v float64) *figure  { f.Most = v; return f }
func (f *figure) atLeast(v float64) *figure { f.Least = v; return f }

// met reports whether the figure meets its target; a figure without one does.
func (f figure) met() bool {
	return (f.Most == 0 || f.Value <= f.Most) && (f.Least == 0 || f.Value >= f.Least)
}

func (f figure) target() string {
	switch {
	case f.Most != 0:
		return fmt.Sprintf("<= %s", number(f.Most))
	case f.Least != 0:
		return fmt.Sprintf(">= %s", number(f.Least))
	}
	return ""
}

// number prints three significant digits, and whole numbers whole.
func number(v float64) string {
	if v == float64(int64(v)) && v < 1e9 {
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.3g", v)
}
