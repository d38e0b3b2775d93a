package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// report is everything that one call of the program measured.
type report struct {
	Machine string      `json:"machine"`
	Peer    string      `json:"peer,omitempty"` // the other program that was measured
	Rows    []reportRow `json:"rows"`
}

type reportRow struct {
	Name string `json:"name"`
	Work string `json:"work"`
	result
}

// machine says where the figures come from: without it they mean nothing.
func machine() string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	kernel, _, _ = strings.Cut(kernel, "-")
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, Linux %s, %s, server and mount on the same machine", runtime.NumCPU(), model, kernel, runtime.Version())
}

func (r *report) print(w io.Writer, i int) {
	row := r.Rows[i]
	fmt.Fprintf(w, "\n%s: %s\n", row.Name, row.Work)
	for _, f := range row.Figures {
		mark := ""
		if !f.met() {
			mark = "  MISSED"
		}
		fmt.Fprintf(w, "  %-26s %10s %-5s %s%s\n", f.Name, number(f.Value), f.Unit, f.target(), mark)
	}
}

func (r *report) write(o options) error {
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.svg == "" {
		return nil
	}
	if err := os.MkdirAll(o.svg, 0o755); err != nil {
		return err
	}
	for _, group := range []string{"list", "read", "write"} {
		if picture := r.picture(group); picture != "" {
			if err := os.WriteFile(filepath.Join(o.svg, group+".svg"), []byte(picture), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
