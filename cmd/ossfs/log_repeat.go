package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	repeatWindow = 30 * time.Second
	repeatMost   = 1000 // different records remembered
)

// repeatFilter keeps a failing service from flooding the log: a warning or error that says the same as
// one within the last half minute is counted instead. At the end of that time the last of them is logged, with
// how many they were. Records are the same when message, operation, code and cause are; the key may differ.
type repeatFilter struct {
	slog.Handler
	memory *repeatMemory
}

var _ slog.Handler = (*repeatFilter)(nil)

// repeatMemory is shared by a filter and those made from it by WithAttrs and WithGroup.
type repeatMemory struct {
	mu     sync.Mutex // guards the fields below
	seen   map[string]*repeated
	closed bool
}

// repeated is what became of the records of one kind since one of them was logged.
type repeated struct {
	timer   *time.Timer
	count   int // since the last that was logged
	last    slog.Record
	handler slog.Handler // of last
}

func newRepeatFilter(h slog.Handler) *repeatFilter {
	return &repeatFilter{h, &repeatMemory{seen: make(map[string]*repeated)}}
}

func (f *repeatFilter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || f.memory.first(signature(r), r, f.Handler) {
		return f.Handler.Handle(ctx, r)
	}
	return nil
}

func (f *repeatFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &repeatFilter{f.Handler.WithAttrs(attrs), f.memory}
}

func (f *repeatFilter) WithGroup(name string) slog.Handler {
	return &repeatFilter{f.Handler.WithGroup(name), f.memory}
}

// first reports whether a record is the first of its kind for a while; otherwise it is kept for the sum.
func (m *repeatMemory) first(what string, r slog.Record, h slog.Handler) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x := m.seen[what]; x != nil {
		x.count++
		x.last, x.handler = r.Clone(), h
		return false
	}
	if !m.closed && len(m.seen) < repeatMost {
		m.seen[what] = &repeated{timer: time.AfterFunc(repeatWindow, func() { m.sumUp(what) })}
	}
	return true
}

// sumUp logs what came since the last record of its kind, and waits for more; when nothing came, it forgets
// the kind.
func (m *repeatMemory) sumUp(what string) {
	m.mu.Lock()
	x := m.seen[what]
	if x == nil {
		m.mu.Unlock()
		return
	}
	sum := *x
	x.count, x.last, x.handler = 0, slog.Record{}, nil
	if sum.count == 0 || m.closed {
		delete(m.seen, what)
	} else {
		x.timer.Reset(repeatWindow)
	}
	m.mu.Unlock()
	sum.log()
}

func (x *repeated) log() {
	if x.count == 0 {
		return
	}
	x.last.AddAttrs(slog.Int("repeated", x.count))
	_ = x.handler.Handle(context.Background(), x.last) // a log that cannot be written to has no place to say so
}

// close logs the sums that are due.
func (m *repeatMemory) close() {
	m.mu.Lock()
	m.closed = true
	var due []string
	for what, x := range m.seen {
		x.timer.Stop()
		due = append(due, what)
	}
	m.mu.Unlock()
	for _, what := range due {
		m.sumUp(what)
	}
}

// signature is what makes two records the same.
func signature(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		err, isError := a.Value.Any().(error)
		switch {
		case isError:
			b.WriteString("\x00" + kindOf(err))
		case a.Key == "op" || a.Key == "code" || a.Key == "why" || a.Key == "errno":
			b.WriteString("\x00" + a.Value.String())
		}
		return true
	})
	return b.String()
}

// kindOf is an error without what differs each time: keys, addresses, request ids.
func kindOf(err error) string {
	var refused *ossclient.Error
	if errors.As(err, &refused) {
		return refused.Op + "\x00" + refused.Kind.Error() + "\x00" + refused.Code
	}
	return causeOf(err).Error()
}
