package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

const (
	plainWidth   = 100 // columns assumed where no terminal says its own
	minimumWidth = 40
)

// terminal is the terminal behind w, if it is one.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

// terminalWidth is where text is wrapped; in a narrow terminal it is left to that.
func terminalWidth(w io.Writer) int {
	if f, ok := terminal(w); ok {
		return max(columns(f, plainWidth), minimumWidth)
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		return max(width, minimumWidth)
	}
	return plainWidth
}

// columns is how wide a terminal is; unknown, where it does not say.
func columns(f *os.File, unknown int) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 {
		return unknown
	}
	return width
}
