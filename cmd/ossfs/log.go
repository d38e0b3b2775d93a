package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
)

const logFileMode = 0o640

// logOutput is where one process logs.
type logOutput struct {
	*slog.Logger
	where  string // for people
	reopen func() error
	close  func() error
}

// open finds the place for the log: the file that was asked for; else stderr, or for a daemon the
// journal, syslog, or a file in the state directory where neither runs, as in a container.
func (s *logging) open(daemon bool, stateDir string, stderr io.Writer) (*logOutput, error) {
	switch {
	case s.file != "":
		return s.openFile(s.file)
	case !daemon && isJournalStream(stderr):
		return s.output("the journal", func(level slog.Level, text []byte) error {
			_, err := fmt.Fprintf(stderr, "<%d>%s", journalPriority(level), text)
			return err
		}, nil), nil
	case !daemon:
		return s.writer("stderr", stderr), nil
	case journal.Enabled():
		return s.output("the journal", func(level slog.Level, text []byte) error {
			return journal.Send(strings.TrimSuffix(string(text), "\n"), journalPriority(level),
				map[string]string{"SYSLOG_IDENTIFIER": "ossfs"})
		}, nil), nil
	}
	if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "ossfs"); err == nil {
		return s.output("syslog", func(level slog.Level, text []byte) error { return syslogWrite(w, level, string(text)) }, w.Close), nil
	}
	return s.openFile(filepath.Join(stateDir, "ossfs.log"))
}

// handlerOptions sets the level and drops the time where the log's keeper adds its own.
func (s *logging) handlerOptions(withTime bool) *slog.HandlerOptions {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.level.value)) // its words are those of --log-level
	options := &slog.HandlerOptions{Level: level}
	if !withTime {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		}
	}
	return options
}

func (s *logging) handler(w io.Writer, withTime bool) slog.Handler {
	if s.format.value == "json" {
		return slog.NewJSONHandler(w, s.handlerOptions(withTime))
	}
	return slog.NewTextHandler(w, s.handlerOptions(withTime))
}

func (s *logging) writer(where string, w io.Writer) *logOutput {
	return newLogOutput(where, s.handler(w, true), func() error { return nil })
}

// newLogOutput logs to h, repetitions summed up.
func newLogOutput(where string, h slog.Handler, closer func() error) *logOutput {
	filter := newRepeatFilter(h)
	return &logOutput{
		Logger: slog.New(filter),
		where:  where,
		reopen: func() error { return nil },
		close: func() error {
			filter.memory.close()
			return closer()
		},
	}
}

// output logs through emit, which is given the level beside each record's text.
func (s *logging) output(where string, emit func(slog.Level, []byte) error, closer func() error) *logOutput {
	sink := &sink{emit: emit}
	if closer == nil {
		closer = func() error { return nil }
	}
	return newLogOutput(where, &sinkHandler{s.handler(&sink.buffer, false), sink}, closer)
}

func (s *logging) openFile(path string) (*logOutput, error) {
	path, err := filepath.Abs(path) // the daemon leaves the directory it was started in
	if err != nil {
		return nil, err
	}
	file := &logFile{path: path}
	if err := file.reopen(); err != nil {
		return nil, failf("log file %s: %w: give another --log-file", path, reason(err))
	}
	out := newLogOutput(path, s.handler(file, true), file.close)
	out.reopen = file.reopen
	return out, nil
}

// logFile is a file that can be opened again after something renamed it.
type logFile struct {
	path string

	mu   sync.Mutex // guards file
	file *os.File
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

func (l *logFile) reopen() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, logFileMode)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // nothing is buffered in it
	}
	l.file = file
	return nil
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// sink passes records on one at a time.
type sink struct {
	emit func(slog.Level, []byte) error

	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

// sinkHandler formats a record into the sink's buffer and emits it with its level.
type sinkHandler struct {
	slog.Handler
	sink *sink
}

var _ slog.Handler = (*sinkHandler)(nil)

func (h *sinkHandler) Handle(ctx context.Context, r slog.Record) error {
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	h.sink.buffer.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return h.sink.emit(r.Level, h.sink.buffer.Bytes())
}

func (h *sinkHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sinkHandler{h.Handler.WithAttrs(attrs), h.sink}
}

func (h *sinkHandler) WithGroup(name string) slog.Handler {
	return &sinkHandler{h.Handler.WithGroup(name), h.sink}
}

func journalPriority(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	case level >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

func syslogWrite(w *syslog.Writer, level slog.Level, text string) error {
	switch {
	case level >= slog.LevelError:
		return w.Err(text)
	case level >= slog.LevelWarn:
		return w.Warning(text)
	case level >= slog.LevelInfo:
		return w.Info(text)
	default:
		return w.Debug(text)
	}
}

// isJournalStream reports whether w is the journal's socket: JOURNAL_STREAM holds its device and inode
// (systemd.exec(5)).
func isJournalStream(w io.Writer) bool {
	f, ok := w.(*os.File)
	device, inode, hasStream := strings.Cut(os.Getenv("JOURNAL_STREAM"), ":")
	if !ok || !hasStream {
		return false
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return device == strconv.FormatUint(st.Dev, 10) && inode == strconv.FormatUint(st.Ino, 10)
}
