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

func terminalWidth(w io.Writer) int {
	if f, ok := terminal(w); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return max(width, minimumWidth)
		}
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		return max(width, minimumWidth)
	}
	return plainWidth
}
