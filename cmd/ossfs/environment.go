package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

const environmentPrefix = "OSSFS_"

// applyEnvironment sets the flags that the command line left alone from OSSFS_<FLAG>, and region and
// endpoint from the variables that Alibaba Cloud's own tools read.
func applyEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if failed != nil || f.Changed || f.Hidden || f.Name == optionsFlag {
			return
		}
		for _, name := range environmentNames(f.Name) {
			if value := os.Getenv(name); value != "" {
				failed = setFrom(flags, f, name+"=", value)
				return
			}
		}
	})
	return failed
}

// setFrom sets a flag to a value that does not come from the command line; written is what stands before
// the value in its place.
func setFrom(flags *pflag.FlagSet, f *pflag.Flag, written, value string) error {
	err := flags.Set(f.Name, value)
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return valueError(written+value, f, invalid.Unwrap())
	}
	return err
}

// environmentNames are the variables that stand for a flag, the first that is set counts.
func environmentNames(flag string) []string {
	own := environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	switch flag {
	case "region":
		return []string{own, "OSS_REGION"}
	case "endpoint":
		return []string{own, "OSS_ENDPOINT"}
	}
	return []string{own}
}
