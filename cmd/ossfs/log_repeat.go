package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	repeatWindow = 30 * time.Second
	repeatMost   = 1000 // different records remembered
)

// repeatFilter keeps a failing service from flooding the log: a warning or error that says the same
// as one within the last half minute is counted instead, and the next that passes carries the count.
// Records are the same when message, operation, code and error are; the key may differ.
type repeatFilter struct {
	slog.Handler
	memory *repeatMemory
}

var _ slog.Handler = (*repeatFilter)(nil)

// repeatMemory is shared by a filter and those made from it by WithAttrs and WithGroup.
type repeatMemory struct {
	mu   sync.Mutex // guards seen
	seen map[string]repeated
}

type repeated struct {
	since time.Time
	count int // dropped since
}

func newRepeatFilter(h slog.Handler) *repeatFilter {
	return &repeatFilter{h, &repeatMemory{seen: make(map[string]repeated)}}
}

func (f *repeatFilter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return f.Handler.Handle(ctx, r)
	}
	dropped, pass := f.memory.admit(signature(r), r.Time)
	if !pass {
		return nil
	}
	if dropped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", dropped))
	}
	return f.Handler.Handle(ctx, r)
}

func (f *repeatFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &repeatFilter{f.Handler.WithAttrs(attrs), f.memory}
}

func (f *repeatFilter) WithGroup(name string) slog.Handler {
	return &repeatFilter{f.Handler.WithGroup(name), f.memory}
}

func (m *repeatMemory) admit(what string, now time.Time) (dropped int, pass bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.seen[what]
	if known && now.Sub(before.since) < repeatWindow {
		before.count++
		m.seen[what] = before
		return 0, false
	}
	if len(m.seen) >= repeatMost {
		clear(m.seen)
	}
	m.seen[what] = repeated{since: now}
	return before.count, true
}

func signature(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "op", "code", "kind", "status", "ec":
			b.WriteString("\x00" + a.Value.String())
		}
		return true
	})
	return b.String()
}
