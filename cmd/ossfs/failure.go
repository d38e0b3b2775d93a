package main

import (
	"errors"
	"fmt"
	"strings"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitUnsent = 3
)

// failure is an error with an exit status. Its text is one line: what failed, on what, why, and what
// to do about it.
type failure struct {
	status int
	text   string
	cause  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// exitStatus ends the program with a status and without a word: all is said already.
type exitStatus struct{ status int }

func (e *exitStatus) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// failf is a failure of what was asked for.
func failf(format string, args ...any) error { return newFailure(exitFailed, format, args) }

// usagef is a mistake in the command line.
func usagef(format string, args ...any) error { return newFailure(exitUsage, format, args) }

// unsentf says that something is still unsent, and kept.
func unsentf(format string, args ...any) error { return newFailure(exitUnsent, format, args) }

func newFailure(status int, format string, args []any) error {
	err := fmt.Errorf(format, args...)
	return &failure{status: status, text: err.Error(), cause: errors.Unwrap(err)}
}

// statusOf is the exit status for an error.
func statusOf(err error) int {
	var f *failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &f):
		return f.status
	default:
		return exitFailed
	}
}

// oneLine folds an error's text into one line: what comes from a server or from a library may have more.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
