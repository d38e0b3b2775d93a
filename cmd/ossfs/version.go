package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "devel"

func versionCommand() command {
	return command{
		name:  "version",
		usage: "[--json]",
		short: "version, commit and date of this program",
		setup: func(flags *pflag.FlagSet) runner {
			asJSON := flags.Bool("json", false, "print it as JSON")
			return func(inv *invocation) error {
				b := readBuild()
				if *asJSON {
					return json.NewEncoder(inv.out).Encode(b)
				}
				_, err := fmt.Fprintf(inv.out, "ossfs %s\ncommit %s\ndate   %s\ngo     %s %s/%s\n",
					b.Version, b.Commit, b.Date, b.Go, runtime.GOOS, runtime.GOARCH)
				return err
			}
		},
	}
}

// build is what the program knows of its making.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"` // of the commit, RFC 3339
	Go      string `json:"go"`
}

func readBuild() build {
	b := build{Version: version, Commit: "unknown", Date: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				b.Commit += " (changed)"
			}
		}
	}
	return b
}
