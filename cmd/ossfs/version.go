package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"
)

// What the build says of itself: -ldflags "-X main.version=1.2.3 -X main.commit=... -X main.date=...". What it does not say,
// Go knows when it was run in a clone.
var (
	version = "devel"
	commit  = ""
	date    = "" // of the commit, RFC 3339
)

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
	b := build{Version: version, Commit: commit, Date: date, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	stamp := map[string]string{}
	for _, s := range info.Settings {
		stamp[s.Key] = s.Value
	}
	if b.Version == "devel" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // of go install, or the clone's
	}
	if b.Commit == "" {
		b.Commit = cmp.Or(stamp["vcs.revision"], "unknown")
		if stamp["vcs.modified"] == "true" {
			b.Commit += " (changed)"
		}
	}
	b.Date = cmp.Or(b.Date, stamp["vcs.time"], "unknown")
	return b
}
