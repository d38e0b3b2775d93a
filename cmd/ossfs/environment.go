package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const environmentPrefix = "OSSFS_"

// applyEnvironment sets the flags that the command line left alone from OSSFS_<FLAG>, and region and
// endpoint from the variables that Alibaba Cloud's own tools read.
func applyEnvironment(flags *pflag.FlagSet) error {
	if err := mistyped(flags, os.Environ()); err != nil {
		return err
	}
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

const (
	mistypedMost  = 2 // edits between a variable and the one that was meant
	mistypedLeast = 5 // bytes of a name: shorter ones are all near to each other
)

// mistyped refuses a variable whose name is nearly that of a flag. Others that begin with OSSFS_ are left alone:
// Kubernetes makes some up for a service of that name.
func mistyped(flags *pflag.FlagSet, environment []string) error {
	all := newFlagSet(mountName)
	new(settings).define(all)
	names := append(longNames(all), longNames(flags)...)
	for _, entry := range environment {
		variable, _, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(variable, environmentPrefix)
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if !ours || len(name) < mistypedLeast || slices.Contains(names, name) {
			continue
		}
		if near := nearest(name, names); near != "" && editDistance(name, near) <= mistypedMost {
			return usagef("%s: no such setting: did you mean %s?", variable, environmentNames(near)[0])
		}
	}
	return nil
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
